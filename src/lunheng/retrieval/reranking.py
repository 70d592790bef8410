"""The default reranker: cosine, late interaction and lexical share, weighed by three numbers.

Called by the search pipeline on the fused candidates. Chosen by measurement among late interaction alone, larger
linear models over a dozen features, the language model's yes/no and a cross-encoder (see
benchmarks/reports/retrieval.md): it wins on every set, also on those that had no part in choosing the numbers, and
takes milliseconds, since it runs no model but the embedder on the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lunheng.protocols import TokenEmbedder, Vectors
from lunheng.retrieval.fusion import z_scores
from lunheng.retrieval.late_interaction import TokenCodec
from lunheng.types import content_id

COSINE_WEIGHT = 1.0
INTERACTION_WEIGHT = 1.6
SHARE_WEIGHT = 0.4
"""Per standard deviation among the candidates, for the first two; per whole share for the third."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of a passage before reranking."""

    cosine: float
    """To the question's vector."""
    share: float
    """BM25 score over the most that the question could give; 0 where the lexical list lacks it."""
    codes: bytes
    """Its token vectors, packed by ``TokenCodec``; without those of its prefix."""
    language: str = ""
    """Candidates are compared with their own language's mean: see fusion.py."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of the candidates, in their order."""

    scores: NDArray[np.float32]
    interactions: NDArray[np.float32]
    """MaxSim of each, comparable across questions."""


class EvidenceReranker:
    """Scores candidates of one question; higher is better, comparable within the question only."""

    def __init__(self, embedder: TokenEmbedder, codec: TokenCodec) -> None:
        self._embedder = embedder
        self._codec = codec

    @property
    def fingerprint(self) -> str:
        """Changes with the embedder and the weights."""
        return content_id(
            "evidence", self._embedder.fingerprint, f"{COSINE_WEIGHT} {INTERACTION_WEIGHT} {SHARE_WEIGHT}"
        )

    def read(self, question: str) -> tuple[Vectors, Vectors]:
        """The question's vector, (dimension,), and its prepared token vectors, in one run of the model."""
        return self._codec.read(self._embedder, question)

    def score(self, tokens: Vectors, candidates: Sequence[Candidate]) -> Scored:
        """Weigh ``candidates`` against the question whose prepared token vectors are ``tokens``."""
        return weigh(tokens, candidates, self._codec)


def weigh(question: Vectors, candidates: Sequence[Candidate], codec: TokenCodec) -> Scored:
    """Cosine and MaxSim in standard deviations among the candidates of a language, plus the lexical share as it is.

    The two similarities have no absolute meaning, so they count by how far a candidate stands out; the share has.
    """
    interactions = codec.score(question, [c.codes for c in candidates])
    languages = [c.language for c in candidates]
    scores = (
        COSINE_WEIGHT * z_scores(np.array([c.cosine for c in candidates], dtype=np.float64), languages)
        + INTERACTION_WEIGHT * z_scores(interactions, languages)
        + SHARE_WEIGHT * np.array([c.share for c in candidates], dtype=np.float64)
    )
    return Scored(np.asarray(scores, dtype=np.float32), interactions)
