"""Compare the lexical index with what could stand in its place: speed, size, agreement.

    python benchmarks/lexical.py [--chunks 100000] [--data ../shared/data]

Contestants, all over the same terms (``lunheng.text.terms``): ours; SQLite FTS5 with its own bm25(); BM25 by numpy over
FTS5's postings (``fts5vocab``); tantivy. The passages are mixed from sentences of the bilingual test sets. Called by
``make bench-indexes``; writes ``reports/lexical.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sqlite3
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from itertools import islice
from pathlib import Path

import bm25s
import numpy as np
from sqlalchemy import Connection, create_engine

from common import machine, mixed_passages, table, versions, write_part
from lunheng.evaluation.datasets import load_dataset
from lunheng.indexes.lexical import K1, B, SqliteLexicalIndex
from lunheng.text import split_sentences, terms

SETS = ("xquad_zh", "dureader2_demo", "rgb_zh_fact", "xquad_en", "hotpotqa_200", "medquad_sub")
BATCH = 20
Search = Callable[[str, int], list[tuple[int, float]]]


def passages(data: Path, n: int, seed: int = 7) -> tuple[list[str], list[str]]:
    """``n`` passages of about 300 characters (Chinese) or 120 words, and 200 questions."""
    pick = random.Random(seed)
    pools: list[list[str]] = []
    questions: list[str] = []
    for name in SETS:
        dataset = load_dataset(data / name)
        pools.append([p.text[a:b] for p in dataset.passages for a, b in split_sentences(p.text)])
        questions += pick.sample([q.text for q in dataset.queries], 34)
    return list(islice(mixed_passages(pools), n)), questions[:200]


def ours(connection: Connection, texts: list[str]) -> Search:
    index = SqliteLexicalIndex()
    index.create(connection)
    for start in range(0, len(texts), BATCH):
        chunk = texts[start : start + BATCH]
        index.add(connection, range(start + 1, start + 1 + len(chunk)), chunk)
        connection.commit()
    index.settle(connection)
    connection.commit()
    return lambda query, k: index.search(connection, query, k)


def quoted(token: str) -> str:
    return '"' + token.replace('"', '""') + '"'


def fts5(connection: Connection, texts: list[str]) -> Search:
    """FTS5 with its own bm25(): k1 = 1.2 and b = 0.75 fixed, another idf. Terms go in hex to survive its tokenizer."""
    connection.exec_driver_sql("CREATE VIRTUAL TABLE f USING fts5(body, content='', tokenize='ascii')")
    for start in range(0, len(texts), BATCH):
        rows = [(start + 1 + i, hexed(terms(t))) for i, t in enumerate(texts[start : start + BATCH])]
        connection.exec_driver_sql("INSERT INTO f (rowid, body) VALUES (?, ?)", rows)
        connection.commit()

    def search(query: str, k: int) -> list[tuple[int, float]]:
        match = " OR ".join(quoted(hexed([t])) for t in dict.fromkeys(terms(query, for_query=True)))
        rows = connection.exec_driver_sql(
            "SELECT rowid, -bm25(f) FROM f WHERE f MATCH ? ORDER BY bm25(f) LIMIT ?", (match, k)
        )
        return [(key, score) for key, score in rows]

    return search


def hexed(tokens: list[str]) -> str:
    return " ".join(token.encode().hex() for token in tokens)


def fts5_postings(connection: Connection, texts: list[str]) -> Search:
    """Lucene's BM25 in numpy over the postings that ``fts5vocab`` gives (one row an occurrence)."""
    connection.exec_driver_sql("CREATE VIRTUAL TABLE v USING fts5vocab(f, instance)")
    lengths = np.zeros(len(texts) + 1)
    for i, text in enumerate(texts, 1):
        lengths[i] = len(terms(text))
    norm = K1 * (1 - B + B * lengths / lengths[1:].mean())

    def search(query: str, k: int) -> list[tuple[int, float]]:
        scores = np.zeros(lengths.size)
        for term, repeats in Counter(terms(query, for_query=True)).items():
            rows = connection.exec_driver_sql("SELECT doc FROM v WHERE term = ?", (hexed([term]),)).fetchall()
            if rows:
                keys, counts = np.unique(np.fromiter((r[0] for r in rows), dtype=np.int64), return_counts=True)
                idf = np.log1p((len(texts) - keys.size + 0.5) / (keys.size + 0.5))
                scores[keys] += repeats * idf * counts / (counts + norm[keys])
        top = np.argsort(-scores, kind="stable")[:k]
        return [(int(key), float(scores[key])) for key in top if scores[key] > 0]

    return search


def tantivy_index(folder: Path, texts: list[str]) -> Search:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("key", stored=True)
    builder.add_text_field("body", tokenizer_name="whitespace", index_option="freq")
    index = tantivy.Index(builder.build(), path=str(folder))
    writer = index.writer(heap_size=100_000_000, num_threads=1)
    for start in range(0, len(texts), BATCH):
        for i, text in enumerate(texts[start : start + BATCH]):
            writer.add_document(tantivy.Document(key=start + 1 + i, body=hexed(terms(text))))
    writer.commit()  # one commit: a commit a batch, as the others make, would take it minutes
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def search(query: str, k: int) -> list[tuple[int, float]]:
        parsed = index.parse_query(" ".join(hexed([t]) for t in terms(query, for_query=True)) or "none", ["body"])
        return [(searcher.doc(at)["key"][0], score) for score, at in searcher.search(parsed, k).hits]

    return search


def tree_size(folder: Path) -> float:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


def contest(data: Path, n: int) -> None:
    texts, questions = passages(data, n)
    start = time.perf_counter()
    corpus = [terms(text) for text in texts]
    cut = time.perf_counter() - start
    model = bm25s.BM25(method="lucene", k1=K1, b=B)
    model.index(corpus, show_progress=False)
    del corpus
    asked = [terms(q, for_query=True) for q in questions]
    known = [[t for t in q if t in model.vocab_dict] for q in asked]
    reference = [model.get_scores(q) if q else np.zeros(n) for q in known]
    rows: list[tuple[str, ...]] = []
    base = 0.0
    with tempfile.TemporaryDirectory() as name:
        for label, search, build, size in contestants(Path(name), texts):
            times, worst, same = [], 0.0, 0.0
            for question, scores in zip(questions, reference, strict=True):
                begin = time.perf_counter()
                hits = search(question, 10)
                times.append(1000 * (time.perf_counter() - begin))
                worst = max([worst, *(abs(score - float(scores[key - 1])) for key, score in hits)])
                # Ties at the tenth place may fall either way, so compare with the tenth score.
                tenth = np.sort(scores)[-10] - 1e-5
                same += sum(scores[key - 1] >= tenth for key, _ in hits) / 10 / len(questions)
            p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
            base = base or p50
            row = (f"{build:.1f}", f"{size:.0f}", f"{p50:.2f}", f"{p99:.2f}", f"{p50 / base:.2f}")
            rows.append((label, *row, f"{worst:.1e}", f"{same:.3f}"))
            print(*rows[-1], sep="  ", flush=True)
    header = ("", "build s", "MB", "p50 ms", "p99 ms", "p50 over ours", "worst score error", "same first ten")
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    write_part(
        "lexical",
        f"""## The lexical index and its alternatives

{n:,} passages mixed from the bilingual sets (sha256 {digest}), {len(questions)} questions of
{statistics.mean(map(len, asked)):.1f} terms, the same terms for all; cutting all texts, {cut:.1f} s, is part of every
build. Errors are against bm25s {versions("bm25s").split()[1]} (method lucene, k1 = {K1}, b = {B}). {machine()};
{versions("tantivy", "sqlalchemy")}, SQLite {sqlite3.sqlite_version}. {date.today()}.

{table(header, rows)}

Ours keeps its own postings in SQLite, in the same transaction as the chunk. FTS5 ranks by another formula (k1 and b are
fixed, another idf) and its scores cannot be corrected from outside; its postings read from outside cost an SQL row an
occurrence. Tantivy is the fastest to build; it is a second store beside the catalog, with a commit of its own.""",
    )


def contestants(root: Path, texts: list[str]) -> Iterator[tuple[str, Search, float, float]]:
    for label, make in (("ours", ours), ("fts5 bm25()", fts5)):
        path = root / f"{make.__name__}.db"
        with create_engine(f"sqlite:///{path}").connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            connection.exec_driver_sql("PRAGMA synchronous = NORMAL")
            start = time.perf_counter()
            search = make(connection, texts)
            yield label, search, time.perf_counter() - start, path.stat().st_size / 1e6
            if make is fts5:
                connection.exec_driver_sql("DROP TABLE f")
                connection.exec_driver_sql("CREATE VIRTUAL TABLE f USING fts5(body, content='', tokenize='ascii')")
                start = time.perf_counter()
                for i, text in enumerate(texts, 1):
                    connection.exec_driver_sql("INSERT INTO f (rowid, body) VALUES (?, ?)", (i, hexed(terms(text))))
                search = fts5_postings(connection, texts)
                yield "fts5 + numpy", search, time.perf_counter() - start, path.stat().st_size / 1e6
    folder = root / "tantivy"
    folder.mkdir()
    start = time.perf_counter()
    search = tantivy_index(folder, texts)
    yield "tantivy", search, time.perf_counter() - start, tree_size(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    given = parser.parse_args()
    contest(given.data, given.chunks)
