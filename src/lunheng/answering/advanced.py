"""The advanced strategy: other wordings of the question are searched too, their lists fused, hits widened.

Called by the knowledge base. Multi-query retrieval with reciprocal rank fusion (RAG-Fusion, Rackauckas
2024); each hit brings its neighbours into the context. Needs a language model; without one it says so in
the trace and goes on with the question alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lunheng.answering import prompts
from lunheng.answering.search import Languages, Search, merge, search_languages
from lunheng.answering.writer import Writer, question_language
from lunheng.errors import ModelError
from lunheng.indexes.filters import Filter
from lunheng.retrieval.pipeline import SearchResult
from lunheng.tracing import Tracer
from lunheng.types import AnswerEvent, Principal

_WORDINGS = 3


@dataclass(frozen=True, slots=True)
class AdvancedStrategy:
    """Several searches, one prompt."""

    search: Search
    writer: Writer
    languages: Languages

    def stream(self, question: str, principal: Principal, where: Filter | None = None) -> Iterator[AnswerEvent]:
        tracer = Tracer()
        k = self.writer.candidates

        def find(query: str) -> SearchResult:
            return self.search(query, k=k, principal=principal, where=where, tracer=tracer, neighbours=1)

        below = self.writer.settings.translate_below
        asked = search_languages(question, find, self.writer.llm, self.languages, below, tracer)
        reworded = [find(q) for q in self._wordings(question, tracer)]
        with tracer.stage("merge", lists=len(asked.results) + len(reworded)) as stage:
            found = merge([*asked.results, *reworded], k)
            stage.result["hits"] = [{"chunk": h.chunk.id, "score": h.score} for h in found.hits]
        # The question as asked decides whether the sources answer it; a rewording may have drifted.
        confidence = max(r.confidence for r in asked.results)
        yield from self.writer.stream(asked.wordings, found.hits, confidence, tracer)

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
