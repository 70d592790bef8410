"""One search: retrieve (dense | lexical) -> fuse -> rerank -> drop duplicates -> widen.

Called by the knowledge base, and by the strategies through it. All of it runs on one snapshot of the
catalog, under one principal; what each stage gave goes into the trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from sqlalchemy import Connection

from lunheng.catalog import Catalog, vectors
from lunheng.catalog.schema import chunks as chunks_table
from lunheng.config import RetrievalSettings
from lunheng.errors import EmbedderMismatchError
from lunheng.indexes.catch_up import VectorMirror
from lunheng.indexes.filters import Filter, check_fields, to_sql
from lunheng.indexes.lexical import QueryStatistics, SqliteLexicalIndex
from lunheng.protocols import Embedder, Keys, Reranker, Vectors
from lunheng.retrieval.confidence import Signal, confidence
from lunheng.retrieval.dedupe import remove_duplicates
from lunheng.retrieval.fusion import Fused, fuse_evidence, fuse_ranks, language_groups, lexical_shares, shortlist
from lunheng.retrieval.reranking import Candidate, EvidenceReranker
from lunheng.text.language import detect_language
from lunheng.tracing import Tracer
from lunheng.types import Chunk, Hit, Principal, ScoreKind

Mode = Literal["hybrid", "dense", "lexical"]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first, and how likely they answer the question at all."""

    hits: tuple[Hit, ...]
    confidence: float


@dataclass(frozen=True, slots=True)
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

    @property
    def cosines(self) -> dict[int, float]:
        return {key: score for ranked in self.dense for key, score in ranked}


@dataclass(frozen=True, slots=True)
class _Groups:
    """The languages that count as groups of their own (see fusion.py), as of one sequence number."""

    sequence: int
    names: dict[str, str]
    """The group that each language counts with."""
    keys: dict[str, Keys]
    """The chunks of each group, sorted."""

    def of(self, hit: Hit) -> str:
        language = hit.chunk.metadata.language
        return self.names.get(language, language)


class Searcher:
    """Searches one knowledge base."""

    def __init__(
        self,
        catalog: Catalog,
        lexical: SqliteLexicalIndex,
        mirror: VectorMirror,
        embedder: Embedder,
        reranker: Reranker | EvidenceReranker | None,
        settings: RetrievalSettings,
    ) -> None:
        self._catalog = catalog
        self._lexical = lexical
        self._mirror = mirror
        self._embedder = embedder
        self._reranker = reranker
        self._settings = settings
        self._known_groups: _Groups | None = None

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
            self._insist_on_embedder(connection)
            allowed = self._allowed(connection, principal, where, tracer)
            found = self._retrieve(connection, query, allowed, max(k, self._settings.candidates), mode, tracer)
            fused, kind = self._fuse(found, mode, tracer)
            fused = self._contenders(connection, fused, k, principal)
            chunks = self._catalog.chunks_by_key(connection, [f.key for f in fused], principal)
            ranked = [(f.key, hit) for f, hit in _hits(fused, kind, found, chunks)]
            interactions: dict[int, float] = {}
            if rerank and mode == "hybrid":
                ranked, interactions = self._rerank(connection, query, ranked, found, tracer)
            sure = self._confidence(connection, query, ranked, found, interactions, tracer)
            ranked = self._distinct(connection, ranked, k, tracer)
            hits = [hit for _, hit in ranked[:k]]
            reach = neighbours or self._settings.neighbours
            if reach:
                hits = [self._widen(connection, hit, reach) for hit in hits]
        return SearchResult(tuple(hits), sure)

    def _insist_on_embedder(self, connection: Connection) -> None:
        """Another process may have migrated the knowledge base: this one's vectors would find nothing, silently."""
        stored = self._catalog.fact(connection, "embedder_fingerprint")
        if stored is not None and stored != self._embedder.fingerprint:
            raise EmbedderMismatchError(
                f"{self._catalog.path.parent}: was migrated to another embedder meanwhile; open it again"
            )

    def _allowed(
        self, connection: Connection, principal: Principal, where: Filter | None, tracer: Tracer
    ) -> Keys | None:
        with tracer.stage("scope", principal=principal.id, filter=str(where) if where else None) as stage:
            for warning in check_fields(where, lambda: self._catalog.own_keys(connection, principal)):
                stage.warn(warning)
            condition = to_sql(where, chunks_table.c.metadata) if where is not None else None
            allowed = self._catalog.allowed_keys(connection, principal, condition)
            stage.result["allowed"] = None if allowed is None else len(allowed)
            return allowed

    def _retrieve(
        self, connection: Connection, query: str, allowed: Keys | None, count: int, mode: Mode, tracer: Tracer
    ) -> Found:
        dense: list[list[tuple[int, float]]] = []
        lexical: list[tuple[int, float]] = []
        coverage: dict[int, float] = {}
        statistics = vector = tokens = None
        if mode != "lexical":
            with tracer.stage("dense", query=query, k=count, embedder=self._embedder.fingerprint) as stage:
                if isinstance(self._reranker, EvidenceReranker) and mode == "hybrid":
                    vector, tokens = self._reranker.read(query)
                else:
                    vector = self._embedder.embed([query], "query")[0]
                dense = [
                    self._mirror.search(connection, vector, count, group, stage.warn)
                    for group in self._languages(connection, allowed, mode)
                ]
                stage.result |= {"index": self._mirror.kind, "hits": [ranked[:10] for ranked in dense]}
        if mode != "dense":
            with tracer.stage("lexical", query=query, k=count) as stage:
                result = self._lexical.search_with_evidence(connection, query, count, allowed)
                lexical, statistics = result.hits, result.statistics
                coverage = {key: share for (key, _), share in zip(lexical, result.coverage, strict=True)}
                stage.result |= {"hits": lexical[:10], "statistics": asdict(statistics)}
        return Found(dense, lexical, coverage, count, statistics, vector, tokens)

    def _languages(self, connection: Connection, allowed: Keys | None, mode: Mode) -> list[Keys | None]:
        """What each dense list is taken from: for fusion the allowed keys of each language that has its share."""
        groups = self._groups(connection).keys
        if mode == "dense" or len(groups) < 2:
            return [allowed]
        if allowed is not None:
            groups = {name: np.intersect1d(keys, allowed, assume_unique=True) for name, keys in groups.items()}
        return [keys for keys in groups.values() if keys.size]

    def _groups(self, connection: Connection) -> _Groups:
        """The collection's languages as of the connection's snapshot; made anew only when chunks have changed."""
        sequence = self._catalog.sequence(connection)
        known = self._known_groups
        if known is None or known.sequence != sequence:
            keys = self._catalog.keys_by_language(connection)
            names = language_groups({language: len(held) for language, held in keys.items()})
            joined: dict[str, list[Keys]] = {}
            for language, held in keys.items():
                joined.setdefault(names[language], []).append(held)
            known = _Groups(sequence, names, {name: np.sort(np.concatenate(parts)) for name, parts in joined.items()})
            self._known_groups = known
        return known

    def _fuse(self, found: Found, mode: Mode, tracer: Tracer) -> tuple[list[Fused], ScoreKind]:
        settings = self._settings
        weights = {"dense_weight": settings.dense_weight, "lexical_weight": settings.lexical_weight}
        if mode != "hybrid":
            single = found.dense[0] if mode == "dense" else found.lexical
            name = "dense" if mode == "dense" else "lexical"
            kind: ScoreKind = "cosine" if mode == "dense" else "bm25"
            return [Fused(key, score, {name: rank}) for rank, (key, score) in enumerate(single, start=1)], kind
        with tracer.stage("fuse", adaptive=settings.adaptive, **weights) as stage:
            if settings.adaptive and found.statistics is not None:
                kind = "evidence"
                fused = fuse_evidence(
                    found.dense,
                    found.lexical,
                    query_mass=found.statistics.idf_sum,
                    full_length=found.asked,
                    **weights,
                )
            else:
                kind = "rrf"
                whole = sorted(found.cosines.items(), key=lambda item: (-item[1], item[0]))
                fused = fuse_ranks(whole, found.lexical, k=settings.rrf_k, **weights)
            stage.result["hits"] = [(f.key, round(f.score, 4)) for f in fused[:10]]
            return fused, kind

    def _contenders(self, connection: Connection, fused: list[Fused], k: int, principal: Principal) -> list[Fused]:
        """Those of ``fused`` that can become hits: what the reranker would get, and three times what is asked for.

        To read a chunk costs more than all its scores.
        """
        languages = self._catalog.live_languages(connection, [f.key for f in fused], principal)
        live = [f for f in fused if f.key in languages]
        names = self._groups(connection).names
        groups = {key: names.get(language, language) for key, language in languages.items()}
        chosen = {f.key for f in shortlist(live, groups, self._settings.rerank_candidates)}
        return [f for position, f in enumerate(live) if position < 3 * k or f.key in chosen]

    def _rerank(
        self, connection: Connection, query: str, ranked: list[Ranked], found: Found, tracer: Tracer
    ) -> tuple[list[Ranked], dict[int, float]]:
        """The best candidates in the reranker's order, the rest behind them as they were; and the candidates'
        MaxSim where token vectors were compared."""
        reranker = self._reranker
        head, tail = self._shortlist(connection, ranked)
        with tracer.stage("rerank", candidates=len(head)) as stage:
            interactions: dict[int, float] = {}
            if reranker is None:
                stage.warn("no reranker: the fused order stands")
                return ranked, interactions
            if not head:
                return ranked, interactions
            stage.given["reranker"] = reranker.fingerprint
            if isinstance(reranker, EvidenceReranker):
                candidates = self._candidates(connection, head, found)
                if candidates is None or found.tokens is None:
                    stage.warn("some passages have no token vectors; the fused order stands (lunheng check --repair)")
                    return ranked, interactions
                scored = reranker.score(found.tokens, candidates)
                scores = scored.scores
                keys = [key for key, _ in head]
                interactions = dict(zip(keys, scored.interactions.tolist(), strict=True))
            else:
                scores = reranker.score(query, [hit.chunk.full_text for _, hit in head])
            order = np.argsort(-scores, kind="stable").tolist()
            best = [(head[i][0], _rescored(head[i][1], float(scores[i]))) for i in order]
            stage.result["hits"] = [(key, round(hit.score, 4)) for key, hit in best[:10]]
            return best + tail, interactions

    def _shortlist(self, connection: Connection, ranked: list[Ranked]) -> tuple[list[Ranked], list[Ranked]]:
        """What the reranker gets, and the rest."""
        fused = [Fused(key, hit.score) for key, hit in ranked]
        groups = self._groups(connection)
        languages = {key: groups.of(hit) for key, hit in ranked}
        chosen = {f.key for f in shortlist(fused, languages, self._settings.rerank_candidates)}
        return [item for item in ranked if item[0] in chosen], [item for item in ranked if item[0] not in chosen]

    def _confidence(
        self,
        connection: Connection,
        query: str,
        ranked: list[Ranked],
        found: Found,
        interactions: dict[int, float],
        tracer: Tracer,
    ) -> float:
        """How likely the ranking answers the query at all: over all that was reranked, or its first candidates."""
        head = ranked[: len(interactions) or self._settings.rerank_candidates]
        with tracer.stage("confidence", candidates=len(head)) as stage:
            cosines = self._cosines(connection, [key for key, _ in head], found)
            groups = self._groups(connection)
            signals = [
                Signal(
                    language=groups.of(hit),
                    coverage=found.coverage.get(key, 0.0),
                    cosine=cosines.get(key),
                    interaction=interactions.get(key),
                )
                for key, hit in head
            ]
            agrees = bool(head and found.lexical and head[0][0] == found.lexical[0][0])
            value = confidence(detect_language(query), signals, agrees)
            stage.result["confidence"] = value
            return value

    def _candidates(self, connection: Connection, head: list[Ranked], found: Found) -> list[Candidate] | None:
        """What the evidence reranker weighs; None where a passage has no token vectors."""
        keys = [key for key, _ in head]
        codes = vectors.token_codes(connection, self._embedder.fingerprint, keys)
        if len(codes) < len(keys) or found.vector is None or found.statistics is None:
            return None
        cosines = self._cosines(connection, keys, found)
        shares = lexical_shares(found.lexical, found.statistics.idf_sum)
        groups = self._groups(connection)
        return [Candidate(cosines.get(key, 0.0), shares.get(key, 0.0), codes[key], groups.of(hit)) for key, hit in head]

    def _cosines(self, connection: Connection, keys: list[int], found: Found) -> dict[int, float]:
        """The cosine of every key, also of those that only the lexical list holds."""
        cosines = found.cosines
        absent = np.array([key for key in keys if key not in cosines], dtype=np.int64)
        if absent.size and found.vector is not None:
            held, rows = vectors.load(connection, self._embedder.fingerprint, absent)
            if held.size:
                cosines.update(zip(held.tolist(), (rows @ found.vector).tolist(), strict=True))
        return cosines

    def _distinct(self, connection: Connection, ranked: list[Ranked], k: int, tracer: Tracer) -> list[Ranked]:
        """Without near-duplicates among the best; what was dropped is in the trace."""
        head = ranked[: 2 * k]
        with tracer.stage("dedupe", candidates=len(head)) as stage:
            held, rows = vectors.load(
                connection, self._embedder.fingerprint, np.array([key for key, _ in head], dtype=np.int64)
            )
            places = {key: at for at, key in enumerate(held.tolist())}
            if len(places) < len(head):
                stage.warn("some passages have no vector, so duplicates were not looked for (lunheng check --repair)")
                return ranked
            if not head:
                return ranked
            result = remove_duplicates(
                [hit.chunk.text for _, hit in head],
                rows[[places[key] for key, _ in head]],
                self._settings.duplicate_similarity,
            )
            stage.result["dropped"] = [
                {"chunk": head[d.position][1].chunk.id, "like": head[d.kept][1].chunk.id} for d in result.dropped
            ]
            # Duplicates make room for others and come back only where there are none.
            kept = [head[i] for i in result.kept] + ranked[2 * k :]
            return kept + [head[d.position] for d in result.dropped]

    def _widen(self, connection: Connection, hit: Hit, reach: int) -> Hit:
        """The hit with its neighbours as one passage of the document."""
        around = self._catalog.neighbours(connection, hit.chunk, reach)
        start, end = min(c.start for c in around), max(c.end for c in around)
        text = self._catalog.document_text(connection, hit.chunk.metadata.document_id)[start:end]
        return replace(hit, chunk=replace(hit.chunk, text=text, start=start, end=end))


Ranked = tuple[int, Hit]
"""A chunk's key and its hit."""


def _hits(
    fused: Sequence[Fused], kind: ScoreKind, found: Found, chunks: Mapping[int, Chunk]
) -> Iterator[tuple[Fused, Hit]]:
    """Hits of the live chunks, with every score and rank that they got."""
    cosine, bm25 = found.cosines, dict(found.lexical)
    for item in fused:
        if item.key not in chunks:
            continue
        scores: dict[str, float] = {kind: item.score}
        if item.key in cosine:
            scores["cosine"] = cosine[item.key]
        if item.key in bm25:
            scores["bm25"] = bm25[item.key]
        yield item, Hit(chunks[item.key], item.score, kind, scores, item.ranks)


def _rescored(hit: Hit, score: float) -> Hit:
    return replace(hit, score=score, kind="rerank", scores={**hit.scores, "rerank": score})
