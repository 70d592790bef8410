"""Search over a plain set of passages, many queries at a time: what negatives are mined with where there is no
knowledge base.

Called by ``lunheng tune data negatives``. BM25 is the knowledge base's own index, in a temporary database in memory; dense
search multiplies blocks of queries with blocks of passages and keeps the best of each, so that memory grows with the
passages' vectors and never with queries times passages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import create_engine

from lunheng.indexes.lexical import SqliteLexicalIndex
from lunheng.protocols import Embedder, Vectors

QUERY_BLOCK = 64
PASSAGE_BLOCK = 8192
EMBEDDED_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that a search gave."""

    id: str
    text: str


SearchMany = Callable[[Sequence[str], int], list[list[Found]]]
"""Queries and k to the passages found for each, best first."""


class LexicalSearch:
    """BM25 over passages."""

    def __init__(self, passages: Sequence[Found]) -> None:
        self._passages = passages
        self._index = SqliteLexicalIndex()
        self._engine = create_engine("sqlite://")
        with self._engine.begin() as connection:
            self._index.create(connection)
            for start in range(0, len(passages), 1000):
                part = passages[start : start + 1000]
                self._index.add(connection, list(range(start, start + len(part))), [p.text for p in part])
            self._index.merge(connection)

    def __call__(self, queries: Sequence[str], k: int) -> list[list[Found]]:
        """The ``k`` best passages of each query."""
        with self._engine.begin() as connection:
            return [[self._passages[key] for key, _ in self._index.search(connection, q, k)] for q in queries]


class DenseSearch:
    """Cosine over passages."""

    def __init__(
        self,
        passages: Sequence[Found],
        embedder: Embedder,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._passages = passages
        self._embedder = embedder
        self.vectors = np.empty((len(passages), embedder.dimension), np.float32)
        """(passages, dimension): also what they are scored with."""
        for start in range(0, len(passages), EMBEDDED_AT_ONCE):
            texts = [p.text for p in passages[start : start + EMBEDDED_AT_ONCE]]
            self.vectors[start : start + len(texts)] = embedder.embed(texts, "passage")
            if progress is not None:
                progress(start + len(texts), len(passages))

    def __call__(self, queries: Sequence[str], k: int) -> list[list[Found]]:
        """The ``k`` nearest passages of each query."""
        found: list[list[Found]] = []
        for start in range(0, len(queries), QUERY_BLOCK):
            rows = self._embedder.embed(list(queries[start : start + QUERY_BLOCK]), "query")
            found += [[self._passages[i] for i in nearest] for nearest in nearest_rows(rows, self.vectors, k).tolist()]
        return found


def nearest_rows(queries: Vectors, passages: Vectors, k: int, block: int = PASSAGE_BLOCK) -> NDArray[np.int64]:
    """int64 (queries, min(k, passages)): the nearest rows of each, best first, equal ones in order; by blocks."""
    best = np.empty((len(queries), 0), np.float32)
    where = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(passages), block):
        scores = queries @ passages[start : start + block].T
        numbers = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
        best, where = np.concatenate([best, scores], axis=1), np.concatenate([where, numbers], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :k]
        best, where = np.take_along_axis(best, order, 1), np.take_along_axis(where, order, 1)
    return where
