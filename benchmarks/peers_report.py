"""Writes the report of ``peers.py`` from its results: tables, ratios, and every row where a peer is ahead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common import file_digest, machine

US = "lunheng"
Results = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One line of a table: what is compared, the value a side has there, and which way is better."""

    name: str
    value: Callable[[str], float | None]
    more_is_better: bool = False
    digits: int = 1


def write_report(results: Results, names: Mapping[str, str], work: Path, model: Path, note: str = "") -> str:
    """The whole report as Markdown."""
    sides = [s for s in names if s in results["installed"]]
    ahead: list[str] = []
    notes = [note] if note else []
    parts = [_head(results, sides, names, work, model)]

    def table(title: str, rows: list[Row], about: str) -> None:
        parts.append(f"\n## {title}\n\n{about}\n\n" + _table(title, rows, sides, names, ahead))

    def cell(name: str, *path: str) -> Callable[[str], float | None]:
        def value(side: str) -> float | None:
            found: Any = results.get(name, {}).get(side, {})
            for key in path:
                found = found.get(key) if isinstance(found, Mapping) else None
            return found

        return value

    table(
        "Before the first document",
        [
            Row("installed, MiB", cell("installed", "mb"), digits=0),
            Row("import, ms", lambda s: _times(cell("import", "seconds")(s), 1000), digits=0),
            Row("memory after import, MiB", cell("import", "mb"), digits=0),
        ],
        "Installed: every file in site-packages but pip's, with the runtime that the shared model needs. Ours holds "
        "the runtime of the language model and the parsers of fifteen formats too; none of the others' does. Import: "
        "the fastest of seven fresh processes, of what the quickstart imports.",
    )
    for name in sorted(n for n in results if n.startswith("folder ")):
        files = int(name.split()[1])

        def rate(*path: str, name: str = name, files: int = files) -> Callable[[str], float | None]:
            return lambda s: _over(files, cell(name, *path)(s))

        table(
            f"A folder of {files:,} files, the real model",
            [
                Row("ingest, documents/s", rate("first", "seconds"), True),
                Row("ingest without the model's time, documents/s", rate("first", "seconds_without_model"), True, 0),
                Row(
                    "unchanged folder again, ms",
                    lambda s, n=name: _times(cell(n, "again", "seconds")(s), 1000),
                    digits=0,
                ),  # type: ignore[misc]
                Row(
                    "the same without the model's time, ms",
                    lambda s, n=name: _times(cell(n, "again", "seconds_without_model")(s), 1000),
                    digits=0,
                ),  # type: ignore[misc]
                Row("query p50, ms", cell(name, "first", "p50_ms"), digits=2),
                Row("query p99, ms", cell(name, "first", "p99_ms"), digits=2),
                Row("query p50 without the model, ms", cell(name, "first", "p50_ms_without_model"), digits=2),
                Row("query p99 without the model, ms", cell(name, "first", "p99_ms_without_model"), digits=2),
                Row("peak memory, ingest and queries, MiB", cell(name, "first", "peak_mb_with_queries"), digits=0),
                Row("right passage first, share of questions", cell(name, "first", "hit@1"), True, 3),
                Row("right passage among ten", cell(name, "first", "hit@10"), True, 3),
            ],
            'Each side reads the folder by its own loader and ends with its state on disk; "again" is a new process '
            "that opens that state and brings it up to date with the same folder (the fastest of three where no model "
            "runs). Ours keeps whole documents durable as it goes (transactions synced to the disk), parses in child "
            "processes, whose memory counts, and reranks every search by token vectors; no other does any of these. "
            "Haystack and txtai have no step in these pipelines that skips what is unchanged before the model. Chinese "
            "and English passages and questions, every side with its default splitting into words.",
        )
        first, again = (cell(name, part, "seconds")(US) for part in ("first", "again"))
        if first and again:
            notes.append(
                f"Our second look at the unchanged folder takes {again * 1000:.0f} ms, the first took "
                f"{first:.1f} s: {first / again:.0f} times as fast."
            )
        _unequal(name, files, results, sides, names, notes, "first")
    for name in sorted((n for n in results if n.startswith("texts ")), key=lambda n: int(n.split()[1])):
        size = results[name].get(US, {}).get("chunks", int(name.split()[1]))
        table(
            f"{size:,} chunks, vectors from a table",
            [
                Row("ingest, chunks/s", lambda s, n=name, c=size: _over(c, cell(n, "seconds")(s)), True, 0),  # type: ignore[misc]
                Row("ready to search after, s", cell(name, "seconds_to_ready"), digits=2),
                Row("query p50, ms", cell(name, "p50_ms"), digits=2),
                Row("query p99, ms", cell(name, "p99_ms"), digits=2),
                Row("peak memory, ingest and queries, MiB", cell(name, "peak_mb_with_queries"), digits=0),
            ],
            "The model takes no time here. Without token vectors our reranking is off, as is the others'. Ready: "
            "until the first search can be made, with what a side must still build. LangChain, LlamaIndex and Haystack hold "
            "everything in memory and write it out at the end; ours and txtai's are on disk. Our chunker counts every "
            "text's tokens, segments it into words, and tags it; the others take it as it is.",
        )
        _unequal(name, size, results, sides, names, notes)
    parts.append("\n## Growth\n\n" + _growth(results, sides, names))
    parts.append("\n## Rows where a peer is ahead of us\n\n" + ("\n".join(f"- {a}" for a in ahead) or "None."))
    parts.append(f"\n## Why\n\n{_WHY}")
    if notes:
        parts.append("\n## Notes\n\n" + "\n".join(f"- {n}" for n in notes))
    return "\n".join(parts) + "\n"


_WHY = (
    "Where the profiler puts our own time. Ingest, about 2 ms a short document: word segmentation, tags, tokens "
    "counted, token vectors packed, and rows for the catalog and the postings, synced to the disk; a side that holds "
    "texts and vectors in memory does none of it. Before the first document 0.3 s of processes and dictionaries, "
    "which is most of a small folder's time. Search: some nine SQL statements, reranking by token vectors, confidence "
    "and near-duplicates, which the others do not compute; at 100,000 chunks most of it is the vector index, asked "
    "once for each language of the collection. Memory: the tokenizer's vocabulary, the word list of the segmenter, "
    "the parsing processes, and at 100,000 chunks the mapped files of the indexes. Installed size: the language "
    "model's runtime, the vector index and the parsers. Every side runs the same model file; the peers' small adapter "
    "tokenises with the tokenizers library, ours with SentencePiece."
)


def _head(results: Results, sides: list[str], names: Mapping[str, str], work: Path, model: Path) -> str:
    wanted = {
        "lunheng": ("lunheng", "qdrant-edge-py", "sqlalchemy"),
        "llamaindex": ("llama-index-core", "llama-index-retrievers-bm25", "bm25s"),
        "haystack": ("haystack-ai",),
        "txtai": ("txtai", "torch", "faiss-cpu"),
        "langchain": ("langchain", "langchain-community", "langchain-classic", "faiss-cpu", "rank-bm25"),
    }
    lines = ["# Beside LlamaIndex, Haystack, txtai and LangChain", ""]
    lines.append("Written by `make bench-peers`; what each side does is in `benchmarks/peers/*_side.py`.")
    lines.append(f"\n- Machine: {machine()}")
    lines.append(f"- Date: {datetime.now(UTC):%Y-%m-%d}")
    for side in sides:
        versions = results["installed"][side]["versions"]
        lines.append(f"- {names[side]}: " + ", ".join(f"{p} {versions[p]}" for p in wanted[side] if p in versions))
    runtime = results["installed"][sides[0]]["versions"].get("onnxruntime", "?")
    lines.append(
        f"- Model of every side: {model.name}, model.onnx {file_digest(model / 'model.onnx')}, onnxruntime {runtime}"
    )
    for path in sorted((work / "data").glob("*/*.jsonl")):
        lines.append(f"- Data: {path.parent.name}/{path.name} {file_digest(path)}")
    lines.append(
        "- Configuration: the defaults of every side, ten hits a search; hybrid search on every side; OPENBLAS_NUM_THREADS=1"
    )
    lines.append("\nIn brackets: ours over theirs, turned so that more than 1 means that we are ahead.")
    return "\n".join(lines)


def _table(title: str, rows: list[Row], sides: list[str], names: Mapping[str, str], ahead: list[str]) -> str:
    lines = ["| | " + " | ".join(names[s] for s in sides) + " |", "|---|" + "---:|" * len(sides)]
    for row in rows:
        ours = row.value(US)
        cells = []
        for side in sides:
            value = row.value(side)
            if value is None:
                cells.append("-")
            elif side == US or ours is None:
                cells.append(f"{value:,.{row.digits}f}")
            else:
                ratio = (ours / value if row.more_is_better else value / ours) if ours and value else float("nan")
                cells.append(
                    f"{value:,.{row.digits}f} ({ratio:,.2g}x)"
                    if ratio < 100
                    else f"{value:,.{row.digits}f} ({ratio:,.0f}x)"
                )
                if ratio < 1:
                    ahead.append(
                        f"{title}: {row.name}: {names[side]} {value:,.{row.digits}f}, ours {ours:,.{row.digits}f}"
                    )
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _growth(results: Results, sides: list[str], names: Mapping[str, str]) -> str:
    sizes = sorted(int(n.split()[1]) for n in results if n.startswith("texts "))
    lines = ["| query p50, ms; (peak MiB); seconds to ready | " + " | ".join(names[s] for s in sides) + " |"]
    lines.append("|---|" + "---:|" * len(sides))
    for size in sizes:
        cells = []
        for side in sides:
            found = results[f"texts {size}"].get(side, {})
            if "p50_ms" in found:
                text = (
                    f"{found['p50_ms']:,.1f}; ({found['peak_mb_with_queries']:,.0f}); {found['seconds_to_ready']:,.1f}"
                )
            else:
                text = found.get("failed", "-")
            cells.append(text)
        held = results[f"texts {size}"].get(US, {}).get("chunks", size)
        lines.append(f"| {held:,} chunks | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _unequal(
    name: str, want: int, results: Results, sides: list[str], names: Mapping[str, str], notes: list[str], *path: str
) -> None:
    """Say what was not measured alike: other chunk counts, fewer queries, a measurement given up."""
    for side in sides:
        found = results[name].get(side, {})
        if "failed" in found:
            notes.append(f"{name}: {names[side]} was given up: {found['failed']}.")
            continue
        for key in path:
            found = found.get(key, {})
        if found.get("chunks", want) != want:
            notes.append(f"{name}: {names[side]} holds {found['chunks']:,} chunks of {want:,}.")
        if found.get("queries", 200) < 190:
            notes.append(f"{name}: {names[side]} answered {found['queries']} queries within the time.")


def _over(count: int, seconds: float | None) -> float | None:
    return count / seconds if seconds else None


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
