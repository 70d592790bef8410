"""The naive strategy: search once with the question as it is, then write. Called by the knowledge base."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from lunheng.answering.writer import Writer
from lunheng.indexes.filters import Filter
from lunheng.retrieval.pipeline import SearchResult
from lunheng.tracing import Tracer
from lunheng.types import AnswerEvent, Principal


class Search(Protocol):
    """Finds hits; the knowledge base hands in its own."""

    def __call__(
        self, query: str, *, k: int, principal: Principal, where: Filter | None, tracer: Tracer, neighbours: int = 0
    ) -> SearchResult: ...


@dataclass(frozen=True, slots=True)
class NaiveStrategy:
    """One search, one prompt."""

    search: Search
    writer: Writer

    def stream(self, question: str, principal: Principal, where: Filter | None = None) -> Iterator[AnswerEvent]:
        tracer = Tracer()
        k = self.writer.settings.max_sources
        found = self.search(question, k=k, principal=principal, where=where, tracer=tracer)
        yield from self.writer.stream(question, found.hits, found.confidence, tracer)
