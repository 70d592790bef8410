"""BM25 that is incremental, exact, and in the same SQLite transaction as the chunk.

Called by the knowledge base (add, remove) and the lexical retriever (search). Scores follow
Lucene's BM25 (Kamphuis et al. 2020, "Which BM25 do you mean?")::

    idf(t) = ln(1 + (N - df + 0.5) / (df + 0.5))
    score  = sum over query terms of idf(t) * tf / (tf + k1 * (1 - b + b * length / mean length))

Three parts, all in the catalog's file:

- ``lexical_chunks``: each chunk's terms and counts. Adding a chunk writes this one row; removing it
  reads from here which postings to mend, so removal is exact and leaves no tombstones.
- ``lexical_postings``: for each term and each block of 8,192 keys, the offsets and counts as one
  blob. Chunks wait in ``lexical_chunks`` (``merged = 0``) and are folded in at the end of a run where 64 wait, and
  within it at each 2,048: folding few at a time writes every frequent term's blob again and again. A search reads the
  waiting ones straight from their rows.
- ``lexical_terms``: the numbers of the terms, from 1. Postings of number 0 are the chunks' lengths.

A search reads only its own terms' blobs and adds them up in numpy. Nothing is approximated and no
frequent term is dropped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from lunheng.errors import IndexDamagedError
from lunheng.protocols import Keys
from lunheng.text import terms

K1 = 0.9
B = 0.6
"""Chosen on six sets in both languages: see benchmarks/lexical.py."""

_BLOCK = 8192
_MERGE_AT = 2048
"""Chunks that wait at the most: reading so many costs a search some 5 ms."""
_SETTLE_AT = 64
"""Chunks that may go on waiting when a run has ended."""
_POSTING = np.dtype([("offset", "<u2"), ("count", "<u2")])
_FORWARD = np.dtype([("term", "<u4"), ("count", "<u2")])
_MOST = 65_535
"""Counts and lengths above it are stored as it; a chunk that fits any embedder is far below."""
_LENGTH_TERM = 0

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS lexical_terms (id INTEGER PRIMARY KEY, term TEXT NOT NULL UNIQUE)",
    """CREATE TABLE IF NOT EXISTS lexical_chunks (
        key INTEGER PRIMARY KEY, merged INTEGER NOT NULL, length INTEGER NOT NULL, data BLOB NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS lexical_waiting ON lexical_chunks (key) WHERE merged = 0",
    # id = term << 32 | block: one b-tree seek a term, its blocks side by side.
    "CREATE TABLE IF NOT EXISTS lexical_postings (id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
)
_TABLES = ("lexical_postings", "lexical_chunks", "lexical_terms")

Postings = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class QueryStatistics:
    """What the index has to say about a query: evidence for fusion."""

    terms: int
    """Different terms of the query."""
    found: int
    """How many of them occur in the index."""
    idf_sum: float
    """The query's whole idf mass, terms that occur nowhere included."""
    found_idf: float
    """The part of that mass that lies on terms which occur in the index."""
    covered: float
    """Share of the idf mass whose terms the best hit holds, in [0, 1]; 0 where nothing matches."""


@dataclass(frozen=True, slots=True)
class LexicalResult:
    """The hits of a search with the evidence behind them."""

    hits: list[tuple[int, float]]
    """(key, BM25 score), best first; equal scores by key."""
    coverage: list[float]
    """For each hit the share of the query's idf mass that it holds."""
    statistics: QueryStatistics


@dataclass(frozen=True, slots=True)
class _Scores:
    """Dense over the blocks that exist: row = place of the block, column = key - block * _BLOCK."""

    blocks: NDArray[np.int64]
    scores: NDArray[np.float64]
    coverage: NDArray[np.float64]
    terms: int
    found: int
    idf_sum: float
    found_idf: float


class SqliteLexicalIndex:
    """BM25 over the tables above. Holds no state: every method works in the caller's transaction."""

    def create(self, connection: Connection) -> None:
        """Make the tables where they are missing."""
        for statement in _SCHEMA:
            connection.exec_driver_sql(statement)

    def drop(self, connection: Connection) -> None:
        """Remove the tables and all that is in them."""
        for table in _TABLES:
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")

    def count(self, connection: Connection) -> int:
        return int(connection.exec_driver_sql("SELECT count(*) FROM lexical_chunks").scalar_one())

    def keys(self, connection: Connection) -> Keys:
        """Every key that it holds, sorted."""
        rows = connection.exec_driver_sql("SELECT key FROM lexical_chunks ORDER BY key")
        return np.array([row[0] for row in rows.fetchall()], dtype=np.int64)

    def add(self, connection: Connection, keys: Sequence[int] | Keys, texts: Sequence[str]) -> None:
        """Index ``texts`` under ``keys``; a key that is there already is replaced."""
        if len(keys) != len(texts):
            raise ValueError(f"{len(keys)} keys for {len(texts)} texts")
        if not len(texts):
            return
        self.remove(connection, keys)
        counts = [Counter(terms(text)) for text in texts]
        numbers = _number_terms(connection, counts)
        rows = []
        for key, counter in zip(keys, counts, strict=True):
            forward = np.empty(len(counter), dtype=_FORWARD)
            forward["term"] = [numbers[term] for term in counter]
            forward["count"] = [min(count, _MOST) for count in counter.values()]
            rows.append((int(key), min(counter.total(), _MOST), forward.tobytes()))
        connection.exec_driver_sql("INSERT INTO lexical_chunks (key, merged, length, data) VALUES (?, 0, ?, ?)", rows)
        self._merge_at(connection, _MERGE_AT)

    def settle(self, connection: Connection) -> None:
        """Fold the waiting chunks into the postings if they are many: at the end of a run of ``add``."""
        self._merge_at(connection, _SETTLE_AT)

    def _merge_at(self, connection: Connection, enough: int) -> None:
        waiting = connection.exec_driver_sql("SELECT count(*) FROM lexical_chunks WHERE merged = 0").scalar_one()
        if waiting >= enough:
            self.merge(connection)

    def merge(self, connection: Connection) -> None:
        """Fold the waiting chunks into the postings."""
        waiting = _waiting(connection)
        if not waiting.keys.size:
            return
        sizes = np.diff(waiting.ends, prepend=0)
        keys = np.concatenate([waiting.keys, np.repeat(waiting.keys, sizes)])
        term = np.concatenate([np.full(waiting.keys.size, _LENGTH_TERM), waiting.terms.astype(np.int64)])
        count = np.concatenate([waiting.lengths, waiting.counts])
        ids = (term << 32) | (keys // _BLOCK)
        order = np.lexsort((keys, ids))
        ids, keys = ids[order], keys[order]
        postings = np.empty(keys.size, dtype=_POSTING)
        postings["offset"] = keys % _BLOCK
        postings["count"] = count[order]
        starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
        ends = np.r_[starts[1:], ids.size]
        connection.exec_driver_sql(
            # The cast matters: || gives text.
            """INSERT INTO lexical_postings (id, data) VALUES (?, ?)
               ON CONFLICT (id) DO UPDATE SET data = CAST(data || excluded.data AS BLOB)""",
            [(int(ids[a]), postings[a:b].tobytes()) for a, b in zip(starts, ends, strict=True)],
        )
        connection.exec_driver_sql("UPDATE lexical_chunks SET merged = 1 WHERE merged = 0")

    def remove(self, connection: Connection, keys: Sequence[int] | Keys) -> None:
        """Forget ``keys``; unknown ones are no error."""
        wanted = json.dumps([int(key) for key in keys])
        rows = connection.exec_driver_sql(
            "SELECT key, data FROM lexical_chunks WHERE merged = 1 AND key IN (SELECT value FROM json_each(?))",
            (wanted,),
        ).fetchall()
        dead: dict[int, list[int]] = {}
        for key, data in rows:
            block, offset = divmod(key, _BLOCK)
            for term in (_LENGTH_TERM, *_decode(data, _FORWARD)["term"].tolist()):
                dead.setdefault(term << 32 | block, []).append(offset)
        for number, offsets in dead.items():
            _drop_postings(connection, number, offsets)
        connection.exec_driver_sql(
            "DELETE FROM lexical_chunks WHERE key IN (SELECT value FROM json_each(?))", (wanted,)
        )

    def search(
        self, connection: Connection, query: str, k: int, allowed: Keys | None = None
    ) -> list[tuple[int, float]]:
        """The ``k`` best (key, BM25 score) that share a term with ``query``; only among ``allowed`` (sorted)."""
        return self.search_with_evidence(connection, query, k, allowed).hits

    def query_statistics(self, connection: Connection, query: str, allowed: Keys | None = None) -> QueryStatistics:
        """How much of the query the index knows and its best hit covers."""
        return self.search_with_evidence(connection, query, 1, allowed).statistics

    def search_with_evidence(
        self, connection: Connection, query: str, k: int, allowed: Keys | None = None
    ) -> LexicalResult:
        """``search`` and ``query_statistics`` in one reading of the postings."""
        state = _score(connection, Counter(terms(query, for_query=True)))
        places = _best(state, k, allowed)
        keys = state.blocks[places // _BLOCK] * _BLOCK + places % _BLOCK if places.size else places
        scores = state.scores[places].tolist()
        coverage = np.minimum(1.0, state.coverage[places] / state.idf_sum).tolist() if places.size else []
        statistics = QueryStatistics(
            state.terms, state.found, state.idf_sum, state.found_idf, coverage[0] if coverage else 0.0
        )
        return LexicalResult(list(zip(keys.tolist(), scores, strict=True)), coverage, statistics)


def _number_terms(connection: Connection, counts: Iterable[Counter[str]]) -> dict[str, int]:
    """The numbers of all terms, new ones given out."""
    distinct = sorted(set().union(*counts))
    numbers = _numbers(connection, distinct)
    new = [(term,) for term in distinct if term not in numbers]
    if new:
        connection.exec_driver_sql("INSERT INTO lexical_terms (term) VALUES (?)", new)
        numbers |= _numbers(connection, [term for (term,) in new])
    return numbers


def _numbers(connection: Connection, wanted: Sequence[str]) -> dict[str, int]:
    rows = connection.exec_driver_sql(
        "SELECT term, id FROM lexical_terms WHERE term IN (SELECT value FROM json_each(?))",
        (json.dumps(wanted, ensure_ascii=False),),
    )
    return {row[0]: row[1] for row in rows.fetchall()}


def _decode(data: bytes, dtype: np.dtype[np.void]) -> Postings:
    if len(data) % dtype.itemsize:
        raise IndexDamagedError("the lexical index holds a broken record; run: lunheng rebuild")
    return np.frombuffer(data, dtype=dtype)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The chunks not yet merged: row ``i`` holds the postings from ``ends[i - 1]`` to ``ends[i]``."""

    keys: NDArray[np.int64]
    lengths: NDArray[np.int64]
    ends: NDArray[np.int64]
    terms: NDArray[np.uint32]
    counts: NDArray[np.uint16]

    def read(self, term: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if term == _LENGTH_TERM:
            return self.keys, self.lengths
        at = np.flatnonzero(self.terms == term)
        return self.keys[np.searchsorted(self.ends, at, side="right")], self.counts[at].astype(np.int64)


def _waiting(connection: Connection) -> _Waiting:
    rows = connection.exec_driver_sql("SELECT key, length, data FROM lexical_chunks WHERE merged = 0").fetchall()
    forward = _decode(b"".join(row[2] for row in rows), _FORWARD)
    return _Waiting(
        np.array([row[0] for row in rows], dtype=np.int64),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.cumsum([len(row[2]) // _FORWARD.itemsize for row in rows], dtype=np.int64),
        np.ascontiguousarray(forward["term"]),
        np.ascontiguousarray(forward["count"]),
    )


def _drop_postings(connection: Connection, number: int, offsets: list[int]) -> None:
    data = connection.exec_driver_sql("SELECT data FROM lexical_postings WHERE id = ?", (number,)).scalar()
    if data is None:
        raise IndexDamagedError("the lexical index lacks postings of a chunk it holds; run: lunheng rebuild")
    postings = _decode(data, _POSTING)
    left = postings[~np.isin(postings["offset"], offsets)]
    if left.size:
        connection.exec_driver_sql("UPDATE lexical_postings SET data = ? WHERE id = ?", (left.tobytes(), number))
    else:
        connection.exec_driver_sql("DELETE FROM lexical_postings WHERE id = ?", (number,))


class _Reader:
    """Reads postings as (places, counts). A place is where a chunk stands in dense arrays over the blocks that exist."""

    def __init__(self, connection: Connection, terms: Iterable[int]) -> None:
        self._waiting = _waiting(connection)
        self._merged: dict[int, list[tuple[int, bytes]]] = {}
        rows = connection.exec_driver_sql(
            """SELECT asked.value, posting.id & 4294967295, posting.data
               FROM json_each(?) AS asked CROSS JOIN lexical_postings AS posting
               ON posting.id BETWEEN asked.value << 32 AND asked.value << 32 | 4294967295""",
            (json.dumps([_LENGTH_TERM, *terms]),),
        )
        for term, block, data in rows.fetchall():
            self._merged.setdefault(term, []).append((block, data))
        merged = [block for block, _ in self._merged.get(_LENGTH_TERM, ())]
        self.blocks = np.unique(np.concatenate([np.array(merged, np.int64), self._waiting.keys // _BLOCK]))

    def read(self, term: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        held = self._merged.get(term, [])
        postings = _decode(b"".join([data for _, data in held]), _POSTING)
        sizes = [len(data) // _POSTING.itemsize for _, data in held]
        blocks = np.array([block for block, _ in held], np.int64)
        places = np.repeat(self._base(blocks), sizes) + postings["offset"]
        keys, counts = self._waiting.read(term)
        return (
            np.concatenate([places, self._base(keys // _BLOCK) + keys % _BLOCK]),
            np.concatenate([postings["count"], counts], dtype=np.float64),
        )

    def _base(self, blocks: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self.blocks, blocks) * _BLOCK


def _score(connection: Connection, query: Counter[str]) -> _Scores:
    """BM25 of every chunk for ``query`` (term to its count in the query)."""
    numbers = _numbers(connection, list(query))
    reader = _Reader(connection, numbers.values())
    chunks, lengths = reader.read(_LENGTH_TERM)
    norm = np.zeros(reader.blocks.size * _BLOCK)
    scores, coverage = np.zeros_like(norm), np.zeros_like(norm)
    if chunks.size:
        norm[chunks] = K1 * (1 - B) + K1 * B / max(lengths.mean(), 1.0) * lengths
    found, idf_sum, found_idf = 0, 0.0, 0.0
    for term, repeats in query.items():
        at, counts = reader.read(numbers[term]) if term in numbers else (chunks[:0], lengths[:0])
        idf = float(np.log1p((chunks.size - at.size + 0.5) / (at.size + 0.5)))
        idf_sum += idf
        if at.size:
            found, found_idf = found + 1, found_idf + idf
            scores[at] += repeats * idf * counts / (counts + norm[at])
            coverage[at] += idf
    return _Scores(reader.blocks, scores, coverage, len(query), found, idf_sum, found_idf)


def _best(state: _Scores, k: int, allowed: Keys | None) -> NDArray[np.int64]:
    """Places of the ``k`` highest positive scores, best first, equal ones by key."""
    if allowed is None:
        places = np.flatnonzero(state.scores)
    else:
        keys = np.asarray(allowed, dtype=np.int64)
        keys = keys[np.isin(keys // _BLOCK, state.blocks)]
        places = np.searchsorted(state.blocks, keys // _BLOCK) * _BLOCK + keys % _BLOCK
        places = places[state.scores[places] > 0]
    found = state.scores[places]
    if places.size > k:
        # Keep all that tie with the k-th, so that the order by key decides among them.
        threshold = np.partition(found, places.size - k)[places.size - k] if k else np.inf
        places, found = places[found >= threshold], found[found >= threshold]
    order = np.lexsort((places, -found))[:k]
    chosen: NDArray[np.int64] = places[order]
    return chosen
