"""One search: retrieve (dense | lexical) -> fuse -> rerank -> drop duplicates -> widen.

Called by the knowledge base, and by the strategies through it. All of it runs on one snapshot of the
catalog, under one principal; what each stage gave goes into the trace.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Literal

import numpy as np
from sqlalchemy import Connection

from lunheng.catalog import Catalog, vectors
from lunheng.catalog.schema import chunks as chunks_table
from lunheng.chunking.splitting import trim
from lunheng.config import RetrievalSettings
from lunheng.errors import EmbedderMismatchError
from lunheng.indexes.catch_up import VectorMirror
from lunheng.indexes.filters import Filter, check_fields, to_sql
from lunheng.indexes.lexical import SqliteLexicalIndex
from lunheng.protocols import Embedder, Keys, Reranker
from lunheng.retrieval.candidates import Contender, Found, Groups
from lunheng.retrieval.confidence import Signal, confidence
from lunheng.retrieval.dedupe import any_near, remove_duplicates
from lunheng.retrieval.fusion import Fused, fuse_evidence, fuse_ranks, language_groups, lexical_shares, shortlist
from lunheng.retrieval.reranking import Candidate, EvidenceReranker
from lunheng.text.language import detect_language
from lunheng.tracing import Tracer
from lunheng.types import Chunk, Hit, Principal, ScoreKind

Mode = Literal["hybrid", "dense", "lexical"]
_SECTION = 8
"""The most chunks before and after a hit that are taken for its section."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first, and how likely they answer the question at all."""

    hits: tuple[Hit, ...]
    confidence: float


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
        self._known_groups: Groups | None = None

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
            groups = self._groups(connection)
            allowed = self._allowed(connection, principal, where, tracer)
            found = self._retrieve(connection, query, allowed, groups, max(k, self._settings.candidates), mode, tracer)
            fused, kind = self._fuse(found, mode, tracer)
            ranked, shortlisted = self._contenders(connection, fused, kind, found, groups, k, principal)
            interactions: dict[int, float] = {}
            if rerank and mode == "hybrid":
                ranked, interactions = self._rerank(connection, query, ranked, shortlisted, found, principal, tracer)
            sure = self._confidence(query, ranked, found, interactions, tracer)
            ranked = self._distinct(connection, ranked, k, principal, tracer)
            hits = self._hits(connection, ranked, k, principal, tracer)
            reach = neighbours or self._settings.neighbours
            hits = [
                self._widen(connection, hit, reach)
                if reach or self._settings.sections or hit.chunk.metadata.parent
                else hit
                for hit in hits
            ]
        return SearchResult(tuple(hits), sure)

    def _groups(self, connection: Connection) -> Groups:
        """The collection's languages as of the connection's snapshot; made anew only when chunks have changed.

        Raises:
            EmbedderMismatchError: another process migrated the knowledge base: this one's vectors would find
                nothing, silently.
        """
        sequence, embedder = self._catalog.search_facts(connection)
        if embedder is not None and embedder != self._embedder.fingerprint:
            raise EmbedderMismatchError(
                f"{self._catalog.path.parent}: was migrated to another embedder meanwhile; open it again"
            )
        known = self._known_groups
        if known is None or known.sequence != sequence:
            keys = self._catalog.keys_by_language(connection)
            names = language_groups({language: len(held) for language, held in keys.items()})
            joined: dict[str, list[Keys]] = {}
            for language, held in keys.items():
                joined.setdefault(names[language], []).append(held)
            known = Groups(sequence, names, {name: np.sort(np.concatenate(parts)) for name, parts in joined.items()})
            self._known_groups = known
        return known

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
        self,
        connection: Connection,
        query: str,
        allowed: Keys | None,
        groups: Groups,
        count: int,
        mode: Mode,
        tracer: Tracer,
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
                index = self._mirror.catch_up(connection, stage.warn)
                dense = [index.search(vector, count, keys) for keys in _dense_lists(groups, allowed, mode)]
                stage.result |= {"index": self._mirror.kind, "hits": [ranked[:10] for ranked in dense]}
        if mode != "dense":
            with tracer.stage("lexical", query=query, k=count) as stage:
                result = self._lexical.search_with_evidence(connection, query, count, allowed)
                lexical, statistics = result.hits, result.statistics
                coverage = {key: share for (key, _), share in zip(lexical, result.coverage, strict=True)}
                stage.result |= {"hits": lexical[:10], "statistics": asdict(statistics)}
        return Found(dense, lexical, coverage, count, statistics, vector, tokens)

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

    def _contenders(
        self,
        connection: Connection,
        fused: list[Fused],
        kind: ScoreKind,
        found: Found,
        groups: Groups,
        k: int,
        principal: Principal,
    ) -> tuple[list[Contender], set[int]]:
        """Those of ``fused`` that can become hits: what the reranker gets (its keys come second), and three times
        what is asked for."""
        live = self._catalog.live(connection, [f.key for f in fused], principal)
        fused = [f for f in fused if f.key in live]
        languages = {key: groups.names.get(chunk.language, chunk.language) for key, chunk in live.items()}
        chosen = {f.key for f in shortlist(fused, languages, self._settings.rerank_candidates)}
        fused = [f for position, f in enumerate(fused) if position < 3 * k or f.key in chosen]
        hashes = [live[f.key].text_hash for f in fused]
        rows = vectors.by_hash(connection, self._embedder.fingerprint, hashes)
        contenders = [
            Contender.of(f, kind, live[f.key], languages[f.key], found, rows.get(live[f.key].text_hash)) for f in fused
        ]
        return contenders, chosen

    def _rerank(
        self,
        connection: Connection,
        query: str,
        ranked: list[Contender],
        shortlisted: set[int],
        found: Found,
        principal: Principal,
        tracer: Tracer,
    ) -> tuple[list[Contender], dict[int, float]]:
        """The shortlisted in the reranker's order, the rest behind them as they were; and the MaxSim of each where
        token vectors were compared."""
        reranker = self._reranker
        head = [c for c in ranked if c.key in shortlisted]
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
                interactions = dict(zip([c.key for c in head], scored.interactions.tolist(), strict=True))
            else:
                scores = reranker.score(query, [c.full_text for c in self._chunks(connection, head, principal)])
            order = np.argsort(-scores, kind="stable").tolist()
            best = [head[i].reranked(float(scores[i])) for i in order]
            stage.result["hits"] = [(c.key, round(c.score, 4)) for c in best[:10]]
            return best + [c for c in ranked if c.key not in shortlisted], interactions

    def _candidates(self, connection: Connection, head: list[Contender], found: Found) -> list[Candidate] | None:
        """What the evidence reranker weighs; None where a passage has no token vectors."""
        codes = vectors.token_codes(connection, self._embedder.fingerprint, [c.text_hash for c in head])
        if found.statistics is None or any(c.text_hash not in codes for c in head):
            return None
        shares = lexical_shares(found.lexical, found.statistics.idf_sum)
        return [Candidate(c.cosine or 0.0, shares.get(c.key, 0.0), codes[c.text_hash], c.language) for c in head]

    def _confidence(
        self, query: str, ranked: list[Contender], found: Found, interactions: dict[int, float], tracer: Tracer
    ) -> float:
        """How likely the ranking answers the query at all: over all that was reranked, or its first candidates."""
        head = ranked[: len(interactions) or self._settings.rerank_candidates]
        with tracer.stage("confidence", candidates=len(head)) as stage:
            signals = [
                Signal(c.language, found.coverage.get(c.key, 0.0), c.cosine, interactions.get(c.key)) for c in head
            ]
            agrees = bool(head and found.lexical and head[0].key == found.lexical[0][0])
            value = confidence(detect_language(query), signals, agrees)
            stage.result["confidence"] = value
            return value

    def _distinct(
        self, connection: Connection, ranked: list[Contender], k: int, principal: Principal, tracer: Tracer
    ) -> list[Contender]:
        """Without near-duplicates among the best; what was dropped is in the trace."""
        head = ranked[: 2 * k]
        with tracer.stage("dedupe", candidates=len(head)) as stage:
            rows = [c.vector for c in head if c.vector is not None]
            stage.result["dropped"] = []
            if len(rows) < len(head):
                stage.warn("some passages have no vector, so duplicates were not looked for (lunheng check --repair)")
                return ranked
            if not any_near(rows, self._settings.duplicate_similarity):
                return ranked
            chunks = self._chunks(connection, head, principal)
            result = remove_duplicates([c.text for c in chunks], np.stack(rows), self._settings.duplicate_similarity)
            stage.result["dropped"] = [
                {"chunk": chunks[d.position].id, "like": chunks[d.kept].id} for d in result.dropped
            ]
            # Duplicates make room for others and come back only where there are none.
            kept = [head[i] for i in result.kept] + ranked[2 * k :]
            return kept + [head[d.position] for d in result.dropped]

    def _chunks(self, connection: Connection, contenders: list[Contender], principal: Principal) -> list[Chunk]:
        chunks = self._catalog.chunks_by_key(connection, [c.key for c in contenders], principal)
        return [chunks[c.key] for c in contenders]

    def _hits(
        self, connection: Connection, ranked: list[Contender], k: int, principal: Principal, tracer: Tracer
    ) -> list[Hit]:
        """The ``k`` best as hits; several children of one parent count once, as the best of them, and so do passages
        of the very same text (an attachment and the file itself), which come last where there are too few."""
        hits: list[Hit] = []
        copies: list[Hit] = []
        texts: set[str] = set()
        parents: set[tuple[str, tuple[int, int]]] = set()
        joined: list[str] = []
        for at in range(0, len(ranked), k):
            batch = ranked[at : at + k]
            for contender, chunk in zip(batch, self._chunks(connection, batch, principal), strict=True):
                parent = chunk.metadata.parent
                if len(hits) == k or (parent and (chunk.metadata.document_id, parent) in parents):
                    joined += [chunk.id] if len(hits) < k else []
                    continue
                if parent:
                    parents.add((chunk.metadata.document_id, parent))
                hit = contender.hit(chunk)
                (copies if chunk.text in texts else hits).append(hit)
                texts.add(chunk.text)
            if len(hits) == k:
                break
        if copies:
            with tracer.stage("copies", hits=len(hits)) as stage:
                stage.result["put last"] = [hit.chunk.id for hit in copies]
            hits += copies[: k - len(hits)]
        if parents:
            with tracer.stage("parents", hits=len(hits)) as stage:
                stage.result["joined"] = joined
        return hits

    def _widen(self, connection: Connection, hit: Hit, reach: int) -> Hit:
        """The hit with its parent, its neighbours or its whole section, as one passage of the document, as far as no
        hidden text stands between."""
        around = self._catalog.neighbours(connection, hit.chunk, reach) if reach else [hit.chunk]
        if self._settings.sections:
            around = [*around, *self._section(connection, hit.chunk)]
        spans = [(c.start, c.end) for c in around] + [c.metadata.parent for c in around if c.metadata.parent]
        start, end = min(s for s, _ in spans), max(e for _, e in spans)
        if (start, end) == (hit.chunk.start, hit.chunk.end):
            return hit
        hidden = self._catalog.hidden_spans(connection, hit.chunk.metadata.document_id)
        start = max([start, *(e for _, e in hidden if e <= hit.chunk.start)])
        end = min([end, *(s for s, _ in hidden if s >= hit.chunk.end)])
        text = self._catalog.document_text(connection, hit.chunk.metadata.document_id)
        start, end = trim(text, start, end)
        return replace(hit, chunk=replace(hit.chunk, text=text[start:end], start=start, end=end))

    def _section(self, connection: Connection, chunk: Chunk) -> list[Chunk]:
        """The chunks before and after ``chunk`` under the same headings, without a gap."""
        around = self._catalog.neighbours(connection, chunk, _SECTION)
        runs = [list(run) for _, run in groupby(around, key=lambda c: c.metadata.heading_path)]
        return next(run for run in runs if any(c.id == chunk.id for c in run))


def _dense_lists(groups: Groups, allowed: Keys | None, mode: Mode) -> list[Keys | None]:
    """What each dense list is taken from: for fusion the allowed keys of each language that has its share."""
    if mode == "dense" or len(groups.keys) < 2:
        return [allowed]
    keys = groups.keys.values()
    lists = [held if allowed is None else np.intersect1d(held, allowed, assume_unique=True) for held in keys]
    return [held for held in lists if held.size]
