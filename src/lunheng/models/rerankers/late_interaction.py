"""Reranks by late interaction: MaxSim over the embedder's own token vectors (ColBERT, Khattab & Zaharia 2020).

Called through ``lunheng.models.load_reranker``. Needs no model beside the embedder: for each token
of the query, the most similar token of the passage counts; the mean over the query's tokens is the
score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lunheng.protocols import Vectors
from lunheng.types import EmbedKind, content_id


@runtime_checkable
class TokenEmbedder(Protocol):
    """An embedder that also gives its token vectors (``OnnxEmbedder`` does)."""

    @property
    def fingerprint(self) -> str: ...

    def embed_tokens(self, texts: Sequence[str], kind: EmbedKind) -> list[Vectors]:
        """Each text's token vectors, float32 (tokens, dimension), rows of length 1."""
        ...


class LateInteractionReranker:
    """Implements ``Reranker``."""

    def __init__(self, embedder: TokenEmbedder) -> None:
        self._embedder = embedder

    @property
    def fingerprint(self) -> str:
        """Changes with the embedder."""
        return content_id("maxsim", self._embedder.fingerprint)

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n,), in [-1, 1]. A query or passage without tokens scores 0."""
        if not texts:
            return np.empty(0, np.float32)
        asked = self._embedder.embed_tokens([query], "query")[0]
        distinct = list(dict.fromkeys(texts))
        passages = dict(zip(distinct, self._embedder.embed_tokens(distinct, "passage"), strict=True))
        return np.array([maxsim(asked, passages[t]) for t in texts], np.float32)


def maxsim(query: Vectors, passage: Vectors) -> float:
    """The mean over the query's tokens of the best cosine among the passage's tokens."""
    if not len(query) or not len(passage):
        return 0.0
    return float((query @ passage.T).max(axis=1).mean())
