"""The naive strategy: search with the question as it is, then write. Called by the knowledge base."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lunheng.answering.search import Languages, Search, merge, search_languages
from lunheng.answering.writer import Writer
from lunheng.indexes.filters import Filter
from lunheng.retrieval.pipeline import SearchResult
from lunheng.tracing import Tracer
from lunheng.types import AnswerEvent, Principal


@dataclass(frozen=True, slots=True)
class NaiveStrategy:
    """One search (in each language of the collection), one prompt."""

    search: Search
    writer: Writer
    languages: Languages

    def stream(self, question: str, principal: Principal, where: Filter | None = None) -> Iterator[AnswerEvent]:
        tracer = Tracer()
        k = self.writer.candidates

        def find(query: str) -> SearchResult:
            return self.search(query, k=k, principal=principal, where=where, tracer=tracer)

        below = self.writer.settings.translate_below
        asked = search_languages(question, find, self.writer.llm, self.languages, below, tracer)
        found = merge(asked.results, k)
        yield from self.writer.stream(asked.wordings, found.hits, found.confidence, tracer)
