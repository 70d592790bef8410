"""What a search knows of its candidates, stage by stage, before it reads a single chunk.

Called by the search pipeline. To read a chunk costs more than all its scores, so candidates are numbers until the
last ones become hits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from lunheng.catalog import LiveChunk
from lunheng.indexes.lexical import QueryStatistics
from lunheng.protocols import Keys, Vectors
from lunheng.retrieval.fusion import Fused
from lunheng.types import Chunk, Hit, ScoreKind


@dataclass(frozen=True, slots=True)
class Groups:
    """The languages that count as groups of their own (see fusion.py), as of one sequence number."""

    sequence: int
    names: dict[str, str]
    """The group that each language counts with."""
    keys: dict[str, Keys]
    """The chunks of each group, sorted."""


@dataclass(frozen=True)
class Found:
    """Candidates of the first stage: (key, score) lists, best first."""

    dense: list[list[tuple[int, float]]]
    """One list for each language of the collection: see fusion.py."""
    lexical: list[tuple[int, float]]
    coverage: dict[int, float]
    """Share of the query's idf mass that each hit of the lexical list holds."""
    asked: int
    """How many hits were asked of each list."""
    statistics: QueryStatistics | None
    """What the lexical index knows of the query; None where it was not asked."""
    vector: Vectors | None
    """The query's; None where the dense lists were not asked for."""
    tokens: Vectors | None
    """The query's token vectors as the evidence reranker takes them; None where it is not in use."""

    @cached_property
    def cosines(self) -> dict[int, float]:
        return {key: score for ranked in self.dense for key, score in ranked}

    @cached_property
    def bm25(self) -> dict[int, float]:
        return dict(self.lexical)


@dataclass(frozen=True, slots=True)
class Contender:
    """A live and visible candidate that can become a hit."""

    key: int
    language: str
    """The group that its language counts with."""
    text_hash: str
    score: float
    kind: ScoreKind
    scores: Mapping[str, float]
    ranks: Mapping[str, int]
    vector: Vectors | None
    """(dimension,); None where it has none, which ``lunheng check`` finds."""
    cosine: float | None
    """To the query, also where only the lexical list holds it; None where no vectors were asked."""

    @classmethod
    def of(
        cls, fused: Fused, kind: ScoreKind, live: LiveChunk, language: str, found: Found, vector: Vectors | None
    ) -> Contender:
        """``fused`` with every score that the first stage gave it."""
        cosine, bm25 = found.cosines.get(fused.key), found.bm25.get(fused.key)
        scores: dict[str, float] = {kind: fused.score}
        if cosine is not None:
            scores["cosine"] = cosine
        elif vector is not None and found.vector is not None:
            cosine = float(vector @ found.vector)
        if bm25 is not None:
            scores["bm25"] = bm25
        return cls(fused.key, language, live.text_hash, fused.score, kind, scores, fused.ranks, vector, cosine)

    def reranked(self, score: float) -> Contender:
        return replace(self, score=score, kind="rerank", scores={**self.scores, "rerank": score})

    def hit(self, chunk: Chunk) -> Hit:
        return Hit(chunk, self.score, self.kind, self.scores, self.ranks)
