"""The advanced strategy: other wordings of the question are searched too, their lists fused, hits widened.

Called by the knowledge base. Multi-query retrieval with reciprocal rank fusion (RAG-Fusion, Rackauckas
2024); each hit brings its neighbours into the context. Needs a language model; without one it says so in
the trace and goes on with the question alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lunheng.answering import prompts
from lunheng.answering.naive import Search
from lunheng.answering.writer import Writer, question_language
from lunheng.errors import ModelError
from lunheng.indexes.filters import Filter
from lunheng.tracing import Tracer
from lunheng.types import AnswerEvent, Hit, Principal

_WORDINGS = 3
_RRF_K = 60


@dataclass(frozen=True, slots=True)
class AdvancedStrategy:
    """Several searches, one prompt."""

    search: Search
    writer: Writer

    def stream(self, question: str, principal: Principal, where: Filter | None = None) -> Iterator[AnswerEvent]:
        tracer = Tracer()
        k = self.writer.settings.max_sources
        queries = [question, *self._wordings(question, tracer)]
        found = [
            self.search(q, k=k * 2, principal=principal, where=where, tracer=tracer, neighbours=1) for q in queries
        ]
        with tracer.stage("fuse wordings", queries=queries) as stage:
            hits = _fuse([f.hits for f in found])[:k]
            stage.result["hits"] = [{"chunk": h.chunk.id, "score": h.score} for h in hits]
        # The question as asked decides whether the sources answer it; a rewording may have drifted.
        confidence = found[0].confidence
        yield from self.writer.stream(question, hits, confidence, tracer)

    def _wordings(self, question: str, tracer: Tracer) -> list[str]:
        llm = self.writer.llm
        with tracer.stage("rewrite", question=question) as stage:
            if llm is None:
                stage.warn("no language model is configured: the question is searched as it is")
                return []
            messages = prompts.rewrite_messages(question, _WORDINGS, question_language(question))
            try:
                text = llm.generate(messages, max_tokens=160).text
            except ModelError as error:
                stage.warn(f"the language model failed ({error}); the question is searched as it is")
                return []
            lines = [line.strip(" -*•0123456789.、)") for line in text.splitlines()]
            wordings = list(dict.fromkeys(line for line in lines if len(line) > 3 and line != question))[:_WORDINGS]
            stage.result["wordings"] = wordings
            return wordings


def _fuse(lists: list[tuple[Hit, ...]]) -> list[Hit]:
    """Reciprocal rank fusion of whole lists; the question's own list counts double."""
    scores: dict[str, float] = {}
    hits: dict[str, Hit] = {}
    for number, found in enumerate(lists):
        for rank, hit in enumerate(found, start=1):
            scores[hit.chunk.id] = scores.get(hit.chunk.id, 0.0) + (2.0 if number == 0 else 1.0) / (_RRF_K + rank)
            hits.setdefault(hit.chunk.id, hit)
    ordered = sorted(scores, key=lambda chunk_id: -scores[chunk_id])
    return [replace(hits[c], score=scores[c], kind="rrf", scores={**hits[c].scores, "rrf": scores[c]}) for c in ordered]
