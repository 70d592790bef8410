"""Cuts where the subject changes, by the distance of neighbouring sentences or by a language model's word.

Called through ``make_chunker``. Tables, code and figures stand apart as everywhere; what lies between them is cut into
sentences, which all go to the embedder in one call; at each boundary the sentences before it (the last one and the
buffer) are compared with those after it. Headings begin a piece. Pieces are kept between a least size and the cap: one
that is too small joins the neighbour that it is nearer to, one that is too large is cut at its largest distances, and
in the end like running text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lunheng.chunking.assembly import Assembler, Draft
from lunheng.chunking.blocks import Block, make_blocks, special_drafts
from lunheng.chunking.boundaries import BoundaryReader
from lunheng.chunking.breakpoints import Method, breakpoints
from lunheng.chunking.cut import Cut
from lunheng.chunking.parts import ChunkingParts
from lunheng.chunking.splitting import Span, split_span
from lunheng.protocols import Embedder, Tokenizer
from lunheng.text.sentences import split_sentences
from lunheng.types import Chunk, Document, Element

SENTENCE_CHARACTERS = 2_000
"""A longer "sentence" (a list without full stops, a log) is read up to here by the embedder."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How sentences become pieces."""

    method: Method = "percentile"
    threshold: float | None = None
    buffer: int = 1
    min_size: int = 64


@dataclass(slots=True)
class _Run:
    """The sentences of a block of text."""

    sentences: list[Span]
    after_heading: list[bool]
    """For each boundary: the sentence before it is a heading, so that it is never cut there."""
    before_heading: list[bool]
    """For each boundary: a heading follows, so that it is always cut there unless pieces are too small."""
    distances: NDArray[np.float64]


class SemanticChunker:
    """Pieces of one subject each, of at most ``size`` tokens."""

    def __init__(
        self, tokenizer: Tokenizer, size: int, embedder: Embedder, rules: Rules, reader: BoundaryReader | None = None
    ) -> None:
        """``reader``: the language model that proposes boundaries in place of the distances."""
        self._tokenizer = tokenizer
        self._size = size
        self._embedder = embedder
        self._rules = rules
        self._reader = reader

    @classmethod
    def from_parts(cls, parts: ChunkingParts) -> SemanticChunker:
        settings = parts.settings
        rules = Rules(settings.breakpoint, settings.threshold, settings.buffer, settings.min_size)
        reader = None
        if settings.boundaries == "llm":
            reader = BoundaryReader(parts.need_llm('chunking.boundaries = "llm"'))
        return cls(parts.tokenizer, parts.cap, parts.need_embedder("semantic"), rules, reader)

    def split(self, document: Document) -> list[Chunk]:
        return self.cut(document).chunks

    def cut(self, document: Document) -> Cut:
        assembler = Assembler(document, self._tokenizer, self._size)
        blocks = make_blocks(document.elements)
        runs = [self._run(document, block) for block in blocks if block.kind == "text"]
        self._measure(document.text, runs)
        notes: tuple[str, ...] = ()
        if self._reader is None:
            boundaries = self._breakpoints(runs)
        else:
            boundaries, notes = self._reader.boundaries(document.text, [run.sentences for run in runs])
        following = iter(zip(runs, boundaries, strict=True))
        drafts: list[Draft] = []
        for block in blocks:
            if block.kind == "text":
                run, cut = next(following)
                drafts += (Draft(*span) for span in self._pieces(assembler, run, cut))
            else:
                drafts += special_drafts(assembler, block)
        return Cut(assembler.chunks(drafts), notes)

    @staticmethod
    def _run(document: Document, block: Block) -> _Run:
        sentences: list[Span] = []
        heading: list[bool] = []
        for element in document.elements[block.first : block.last]:
            spans = _sentences(element)
            sentences += spans
            heading += [element.kind == "heading"] * len(spans)
        starts = [now and not before for before, now in pairwise(heading)]
        return _Run(sentences, heading[:-1], starts, np.zeros(0))

    def _measure(self, text: str, runs: Sequence[_Run]) -> None:
        """Give each run its distances: of the sentences up to a boundary (one and the buffer) to as many after it.

        Groups that share no sentence tell a change more sharply than windows that overlap, and every sentence is
        embedded once, all in one call.
        """
        texts = [text[s : min(e, s + SENTENCE_CHARACTERS)] for run in runs for s, e in run.sentences]
        if not texts:
            return
        # Both sides of the comparison are of one kind: e5 and its like ask for "query" in symmetric tasks.
        vectors = self._embedder.embed(texts, "query").astype(np.float64)
        reach = self._rules.buffer + 1
        at = 0
        for run in runs:
            own = vectors[at : at + len(run.sentences)]
            at += len(run.sentences)
            before = [own[max(0, i - reach) : i].mean(axis=0) for i in range(1, len(own))]
            after = [own[i : i + reach].mean(axis=0) for i in range(1, len(own))]
            run.distances = np.array([1.0 - _cosine(b, a) for b, a in zip(before, after, strict=True)])

    def _breakpoints(self, runs: Sequence[_Run]) -> list[NDArray[np.bool_]]:
        """Large against all distances of the document, not only of the stretch between two tables."""
        if not runs:
            return []
        method, threshold = self._rules.method, self._rules.threshold
        found = breakpoints(np.concatenate([run.distances for run in runs]), method, threshold)
        ends = np.cumsum([len(run.distances) for run in runs])
        return list(np.split(found, ends[:-1]))

    def _pieces(self, assembler: Assembler, run: _Run, cut: NDArray[np.bool_]) -> Iterator[Span]:
        if not run.sentences:
            return
        wanted = [
            (bool(cut[i]) or run.before_heading[i]) and not run.after_heading[i] for i in range(len(run.sentences) - 1)
        ]
        edges = [0, *(i + 1 for i, w in enumerate(wanted) if w), len(run.sentences)]
        edges = self._without_small(assembler, run, edges)
        for first, last in pairwise(edges):
            for begin, end in self._within_cap(assembler, run, first, last):
                start, finish = run.sentences[begin][0], run.sentences[end - 1][1]
                yield from split_span(assembler.tokens, start, finish, assembler.budget(start))

    def _without_small(self, assembler: Assembler, run: _Run, edges: list[int]) -> list[int]:
        """Join each piece below the least size to the neighbour that is nearer in meaning, where the two fit the cap."""
        least = min(self._rules.min_size, self._size // 2)

        def tokens(first: int, last: int) -> int:
            return assembler.tokens.count(run.sentences[first][0], run.sentences[last - 1][1])

        position = 0
        while position < len(edges) - 1:
            first, last = edges[position], edges[position + 1]
            if tokens(first, last) >= least:
                position += 1
                continue
            options: list[tuple[float, int]] = []
            for edge, begin, end in ((position, position - 1, position + 1), (position + 1, position, position + 2)):
                if 0 < edge < len(edges) - 1:
                    joined = (edges[begin], edges[end])
                    if tokens(*joined) <= assembler.budget(run.sentences[joined[0]][0]):
                        # A heading parts more than any distance.
                        parted = 2.0 if run.before_heading[edges[edge] - 1] else 0.0
                        options.append((float(run.distances[edges[edge] - 1]) + parted, edge))
            if not options:
                position += 1
                continue
            del edges[min(options)[1]]
            position = max(0, position - 1)
        return edges

    def _within_cap(self, assembler: Assembler, run: _Run, first: int, last: int) -> Iterator[Span]:
        """Sentences ``first`` to ``last``, cut at the largest distances until each part fits; the parts stay in order."""
        waiting = [(first, last)]
        while waiting:
            first, last = waiting.pop()
            start, end = run.sentences[first][0], run.sentences[last - 1][1]
            if last - first < 2 or assembler.tokens.count(start, end) <= assembler.budget(start):
                yield first, last
                continue
            distances = run.distances[first : last - 1].copy()
            distances[np.array(run.after_heading[first : last - 1])] = -np.inf
            # Where distances are alike, cut near the middle rather than crumbs off the ends.
            places = np.arange(1, last - first) / (last - first)
            cut = first + 1 + int(np.argmax(distances * (0.5 + 2 * places * (1 - places))))
            waiting += [(cut, last), (first, cut)]


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)


def _sentences(element: Element) -> list[Span]:
    """The sentences of an element, in the document's offsets; a heading is one."""
    if element.kind == "heading":
        return [(element.start, element.end)] if element.text.strip() else []
    return [(element.start + s, element.start + e) for s, e in split_sentences(element.text)]
