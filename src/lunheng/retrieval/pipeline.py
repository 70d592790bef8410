"""One search: retrieve (dense | lexical) -> fuse -> rerank -> drop duplicates -> widen.

Called by the knowledge base, and by the strategies through it. All of it runs on one snapshot of the
catalog, under one principal; what each stage gave goes into the trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import Connection

from lunheng.catalog import Catalog
from lunheng.catalog.schema import chunks as chunks_table
from lunheng.config import RetrievalSettings
from lunheng.indexes.catch_up import VectorMirror
from lunheng.indexes.filters import Filter, to_sql
from lunheng.indexes.lexical import SqliteLexicalIndex
from lunheng.protocols import Embedder, Keys, Reranker
from lunheng.tracing import Tracer
from lunheng.types import Chunk, Hit, Principal

Mode = Literal["hybrid", "dense", "lexical"]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first, and how likely they answer the question at all."""

    hits: tuple[Hit, ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates of the first stage: (key, score) lists, best first."""

    dense: list[tuple[int, float]]
    lexical: list[tuple[int, float]]


class Searcher:
    """Searches one knowledge base."""

    def __init__(
        self,
        catalog: Catalog,
        lexical: SqliteLexicalIndex,
        mirror: VectorMirror | None,
        embedder: Embedder | None,
        reranker: Reranker | None,
        settings: RetrievalSettings,
    ) -> None:
        self._catalog = catalog
        self._lexical = lexical
        self._mirror = mirror
        self._embedder = embedder
        self._reranker = reranker
        self._settings = settings

    def search(
        self,
        query: str,
        *,
        k: int,
        principal: Principal,
        where: Filter | None,
        tracer: Tracer,
        mode: Mode = "hybrid",
        rerank: bool = True,
        neighbours: int = 0,
    ) -> SearchResult:
        """The ``k`` best hits that ``principal`` may see and ``where`` admits."""
        with self._catalog.read() as connection:
            allowed = self._allowed(connection, principal, where, tracer)
            found = self._retrieve(connection, query, allowed, mode, tracer)
            fused = self._fuse(found)
            chunks = self._catalog.chunks_by_key(connection, [key for key, _ in fused], principal)
            hits = _hits(fused, found, chunks)
            hits = hits[:k]
            if neighbours:
                hits = [self._widen(connection, hit, neighbours) for hit in hits]
        return SearchResult(tuple(hits), 1.0 if hits else 0.0)

    def _allowed(
        self, connection: Connection, principal: Principal, where: Filter | None, tracer: Tracer
    ) -> Keys | None:
        with tracer.stage("scope", principal=principal.id, filter=str(where) if where else None) as stage:
            condition = to_sql(where, chunks_table.c.metadata) if where is not None else None
            allowed = self._catalog.allowed_keys(connection, principal, condition)
            stage.result["allowed"] = None if allowed is None else len(allowed)
            return allowed

    def _retrieve(self, connection: Connection, query: str, allowed: Keys | None, mode: Mode, tracer: Tracer) -> Found:
        count = self._settings.candidates
        dense: list[tuple[int, float]] = []
        lexical: list[tuple[int, float]] = []
        if mode != "lexical" and self._mirror is not None and self._embedder is not None:
            with tracer.stage("dense", query=query, k=count, embedder=self._embedder.fingerprint) as stage:
                vector = self._embedder.embed([query], "query")[0]
                dense = self._mirror.search(connection, vector, count, allowed, stage.warn)
                stage.result["hits"] = dense[:10]
        if mode != "dense":
            with tracer.stage("lexical", query=query, k=count) as stage:
                lexical = self._lexical.search(connection, query, count, allowed)
                stage.result["hits"] = lexical[:10]
        return Found(dense, lexical)

    def _fuse(self, found: Found) -> list[tuple[int, float]]:
        scores: dict[int, float] = {}
        for ranked, weight in (
            (found.dense, self._settings.dense_weight),
            (found.lexical, self._settings.lexical_weight),
        ):
            for rank, (key, _) in enumerate(ranked, start=1):
                scores[key] = scores.get(key, 0.0) + weight / (self._settings.rrf_k + rank)
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))

    def _widen(self, connection: Connection, hit: Hit, reach: int) -> Hit:
        """The hit with its neighbours as one passage of the document."""
        around = self._catalog.neighbours(connection, hit.chunk, reach)
        start, end = min(c.start for c in around), max(c.end for c in around)
        text = self._catalog.document_text(connection, hit.chunk.metadata.document_id)[start:end]
        return replace(hit, chunk=replace(hit.chunk, text=text, start=start, end=end))


def _hits(fused: Sequence[tuple[int, float]], found: Found, chunks: Mapping[int, Chunk]) -> list[Hit]:
    """Hits of the live chunks, with every score and rank that they got."""
    cosine, bm25 = dict(found.dense), dict(found.lexical)
    dense_rank = {key: rank for rank, (key, _) in enumerate(found.dense, start=1)}
    lexical_rank = {key: rank for rank, (key, _) in enumerate(found.lexical, start=1)}
    hits = []
    for key, score in fused:
        if key not in chunks:
            continue
        scores = {"rrf": score}
        ranks = {}
        if key in cosine:
            scores["cosine"], ranks["dense"] = cosine[key], dense_rank[key]
        if key in bm25:
            scores["bm25"], ranks["lexical"] = bm25[key], lexical_rank[key]
        hits.append(Hit(chunks[key], score, "rrf", scores, ranks))
    return hits
