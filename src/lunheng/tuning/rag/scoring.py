"""How well passages answer a query, by one scorer for positives and candidates alike: what margins are taken of.

Called by negatives. A search's own scores will not do: BM25 and cosine are not compared, and the positive need not be
among the hits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lunheng.protocols import Embedder, Vectors

Scores = NDArray[np.float32]
Scorer = Callable[[str, Sequence[str]], Scores]
"""A query and passages to scores, higher is better: a ``CosineScorer``, or a reranker's ``score``, which is dearer and
nearer to what answers a query."""


class CosineScorer:
    """By an embedder; each passage is embedded once while it is remembered."""

    def __init__(self, embedder: Embedder, remembered: int = 50_000) -> None:
        self._embedder = embedder
        self._most = remembered
        self._known: OrderedDict[str, Vectors] = OrderedDict()

    def learn(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Take vectors that were made elsewhere; none of these is forgotten."""
        self._most += len(texts)
        self._known.update(zip(texts, vectors, strict=True))

    def __call__(self, query: str, texts: Sequence[str]) -> Scores:
        """float32 (n,): cosines."""
        fresh = list(dict.fromkeys(t for t in texts if t not in self._known))
        if fresh:
            self._known.update(zip(fresh, self._embedder.embed(fresh, "passage"), strict=True))
        rows = np.stack([self._known[t] for t in texts]) if texts else np.empty((0, self._embedder.dimension))
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return np.asarray(rows @ self._embedder.embed([query], "query")[0], np.float32)
