"""Which way of cutting finds best: a labelled set's passages inside documents, and hits judged by what they overlap.

Called by ``lunheng eval chunking``. Where a set's passages are parts of longer texts (consecutive ones with one title),
they can be joined into those again: a passage cut out by hand says nothing about cutting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lunheng.evaluation.corpus import passage_documents
from lunheng.evaluation.datasets import Passage, Query, RetrievalDataset
from lunheng.evaluation.runner import RetrievalReport, evaluate_rankings
from lunheng.evaluation.statistics import paired_test
from lunheng.text.language import detect_language
from lunheng.types import Document, Element, Hit, content_id

OVERLAP = 0.5
"""Of the shorter of the two: how much of a hit and a passage must be the same text for the hit to find the passage."""
HITS_A_PASSAGE = 3
"""So many chunks are asked for, for each passage that is judged: a passage may be several chunks."""
Search = Callable[[str, int], Sequence[Hit]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a passage stands."""

    passage: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LongSet:
    """A labelled set whose passages stand in documents."""

    dataset: RetrievalDataset
    documents: tuple[Document, ...]
    places: Mapping[str, tuple[Place, ...]]
    """By the document's source."""

    @classmethod
    def of(cls, dataset: RetrievalDataset, *, join: bool) -> LongSet:
        """One document a passage; with ``join``, one for each run of passages that have the same title."""
        if not join:
            documents = tuple(passage_documents(dataset.passages))
            return cls(dataset, documents, {d.source: (Place(d.source, 0, len(d.text)),) for d in documents})
        made = list(_joined(dataset.passages))
        return cls(dataset, tuple(d for d, _ in made), {d.source: places for d, places in made})

    def ranking(self, query: Query, hits: Sequence[Hit]) -> list[str]:
        """``hits`` as passages, best first: the relevant ones that a hit overlaps, else the one it overlaps most.

        A hit that overlaps no passage keeps its place in the ranking under its own id.
        """
        grades = self.dataset.qrels.get(query.id, {})
        ranked: list[str] = []
        for hit in hits:
            chunk = hit.chunk
            shares = {
                p.passage: s for p in self.places[chunk.metadata.source] if (s := _overlap(p, chunk.start, chunk.end))
            }
            relevant = [name for name, share in shares.items() if grades.get(name, 0) > 0 and share >= OVERLAP]
            ranked += relevant or [max((s, n) for n, s in shares.items())[1] if shares else chunk.id]
        return list(dict.fromkeys(ranked))


def _overlap(place: Place, start: int, end: int) -> float:
    shared = min(place.end, end) - max(place.start, start)
    return max(shared, 0) / max(1, min(place.end - place.start, end - start))


def _joined(passages: Sequence[Passage]) -> Iterator[tuple[Document, tuple[Place, ...]]]:
    for number, (title, run) in enumerate(groupby(passages, key=lambda p: p.title)):
        heading = title.replace("_", " ")
        text = heading
        elements = [Element("heading", heading, 0, len(heading), level=1)] if heading else []
        places: list[Place] = []
        for passage in run:
            text += "\n\n" if text else ""
            start = len(text)
            text += passage.text
            path = (heading,) if heading else ()
            elements.append(Element("paragraph", passage.text, start, len(text), heading_path=path))
            places.append(Place(passage.id, start, len(text)))
        source = f"{number:05d} {heading}".strip()
        document = Document(
            source, "txt", text, tuple(elements), content_id(text), heading, language=detect_language(text)
        )
        yield document, tuple(places)


@dataclass(frozen=True, slots=True)
class ChunkingResult:
    """What one strategy scored."""

    strategy: str
    chunks: int
    mean_tokens: float
    report: RetrievalReport

    def to_dict(self, baseline: ChunkingResult | None) -> dict[str, Any]:
        """The documented JSON; ``p`` is of the paired test of nDCG@10 against ``baseline``."""
        name = f"ndcg@{self.report.k}"
        p = None
        if baseline is not None and baseline is not self:
            p = round(paired_test(self.report.per_query[name], baseline.report.per_query[name]), 4)
        return {
            "strategy": self.strategy,
            "chunks": self.chunks,
            "mean_tokens": round(self.mean_tokens, 1),
            "p": p,
            **self.report.to_dict(),
        }


def measure(
    search: Search, long_set: LongSet, k: int = 10, progress: Callable[[int, int], None] | None = None
) -> RetrievalReport:
    """Score ``search``, which gives chunks, by the passages that they overlap."""
    return evaluate_rankings(
        lambda query: long_set.ranking(query, search(query.text, HITS_A_PASSAGE * k)), long_set.dataset, k, progress
    )
