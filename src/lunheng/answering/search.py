"""What the strategies search with: one question in every language of the collection.

Called by naive and advanced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lunheng.errors import ModelError
from lunheng.indexes.filters import Filter
from lunheng.protocols import LLM
from lunheng.query.translate import other_languages, translate
from lunheng.retrieval.pipeline import SearchResult
from lunheng.tracing import Tracer
from lunheng.types import Hit, Principal, ScoreKind


class Search(Protocol):
    """Finds hits; the knowledge base hands in its own."""

    def __call__(
        self, query: str, *, k: int, principal: Principal, where: Filter | None, tracer: Tracer, neighbours: int = 0
    ) -> SearchResult: ...


Languages = Callable[[], Mapping[str, float]]
"""Share of the collection's chunks by language."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question's searches, its own and those of its translations."""

    wordings: tuple[str, ...]
    """The question, then its translations."""
    results: tuple[SearchResult, ...]
    """One for each wording."""


def search_languages(
    question: str,
    find: Callable[[str], SearchResult],
    llm: LLM | None,
    languages: Languages,
    translate_below: float,
    tracer: Tracer,
) -> Asked:
    """Search with the question, and where that is not sure enough, with its translations too."""
    own = find(question)
    if own.confidence >= translate_below:
        return Asked((question,), (own,))
    wordings = (question, *_translations(question, llm, languages, tracer))
    return Asked(wordings, (own, *(find(text) for text in wordings[1:])))


def _translations(question: str, llm: LLM | None, languages: Languages, tracer: Tracer) -> list[str]:
    """``question`` in the collection's other languages; what could not be translated is in the trace."""
    wanted = other_languages(question, languages())
    if not wanted:
        return []
    found: list[str] = []
    with tracer.stage("translate", question=question, languages=wanted) as stage:
        if llm is None:
            stage.warn(f"no language model is configured: passages in {', '.join(wanted)} may be missed")
            return []
        for language in wanted:
            try:
                text = translate(llm, question, language)
            except ModelError as error:
                stage.warn(f"the question could not be translated ({error}); passages in {language} may be missed")
                continue
            if text is None:
                stage.warn(f"the model gave no translation into {language}; passages in it may be missed")
            else:
                found.append(text)
        stage.result["translations"] = found
    return found


_RRF_K = 10
"""Small, so that the first hits of each list count: every list is a whole ranking of its own."""
_AGAIN = 0.5
"""What a hit's further appearances add, as a share of their scores."""


def merge(results: Sequence[SearchResult], k: int) -> SearchResult:
    """One ranking of several searches.

    Where every hit has the reranker's score, which says how far it stands out in its own search, the best one counts
    and half of the others is added; else reciprocal rank fusion, each list weighed by its confidence.
    """
    if len(results) == 1:
        return SearchResult(results[0].hits[:k], results[0].confidence)
    hits: dict[str, Hit] = {}
    votes: dict[str, list[float]] = {}
    reranked = all("rerank" in hit.scores for result in results for hit in result.hits)
    for result in results:
        for rank, hit in enumerate(result.hits, start=1):
            vote = hit.scores["rerank"] if reranked else max(result.confidence, 0.02) / (_RRF_K + rank)
            votes.setdefault(hit.chunk.id, []).append(vote)
            hits.setdefault(hit.chunk.id, hit)
    kind: ScoreKind = "rerank" if reranked else "rrf"
    weight = _AGAIN if reranked else 1.0
    scores = {c: max(v) + weight * (sum(v) - max(v)) for c, v in votes.items()}
    ordered = sorted(scores, key=lambda c: -scores[c])[:k]
    merged = tuple(
        replace(hits[c], score=scores[c], kind=kind, scores={**hits[c].scores, kind: scores[c]}) for c in ordered
    )
    return SearchResult(merged, max(r.confidence for r in results))
