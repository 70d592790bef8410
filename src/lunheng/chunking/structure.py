"""Chunks along the sections of a document: the default where there are headings.

Called through ``make_chunker``. A section that fits is one chunk; small neighbours are merged, but
never across a boundary of the top level; a section that does not fit is cut like running text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from lunheng.chunking.assembly import Assembler, Draft
from lunheng.chunking.blocks import Block, make_blocks, special_drafts
from lunheng.chunking.splitting import Span, split_span
from lunheng.protocols import Tokenizer
from lunheng.types import Chunk, Document, Element

SMALL_SHARE = 3
"""A section below a third of the cap is merged with its neighbour."""


class StructureChunker:
    """By section, at most ``size`` tokens; ``overlap`` only inside a section that has to be cut."""

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int = 0) -> None:
        self._tokenizer = tokenizer
        self._size = size
        self._overlap = overlap

    def split(self, document: Document) -> list[Chunk]:
        assembler = Assembler(document, self._tokenizer, self._size)
        return assembler.chunks(self._drafts(assembler))

    def _drafts(self, assembler: Assembler) -> Iterator[Draft]:
        elements = assembler.document.elements
        top = top_level(elements)
        for block in make_blocks(elements):
            if block.kind == "text":
                yield from text_drafts(assembler, block, top, self._overlap)
            else:
                yield from special_drafts(assembler, block)


def text_drafts(assembler: Assembler, block: Block, top: int, overlap: int) -> Iterator[Draft]:
    """The drafts of a block of text by its sections; ``top`` is the level that is never merged across."""
    for start, end in _merged(assembler, _sections(assembler.document.elements, block, top)):
        budget, body = assembler.budget(start), _body_start(assembler, start, end)
        for span in split_span(assembler.tokens, start, end, budget, overlap, keep=body):
            yield Draft(*span)


def _merged(assembler: Assembler, sections: Iterator[tuple[bool, bool, Span]]) -> Iterator[Span]:
    """Join small neighbours; a run of bare headings joins what follows it, whatever its size."""
    current: Span | None = None
    bare = False
    for is_top, only_heading, (start, end) in sections:
        if current is not None:
            budget = assembler.budget(current[0])
            together = assembler.tokens.count(current[0], end)
            small = assembler.cap // SMALL_SHARE
            either = min(assembler.tokens.count(*current), assembler.tokens.count(start, end))
            if bare or (not is_top and together <= budget and either < small):
                current, bare = (current[0], end), bare and only_heading
                continue
            yield current
        current, bare = (start, end), only_heading
    if current is not None:
        yield current


def _body_start(assembler: Assembler, start: int, end: int) -> int:
    """Where the text below the headings at ``start`` begins."""
    elements = (assembler.document.elements[i] for i in assembler.elements_in(start, end))
    return next((e.start for e in elements if e.kind != "heading"), start)


def top_level(elements: tuple[Element, ...]) -> int:
    """The level whose sections are kept apart: the highest that has at least two headings (a lone one is the title)."""
    counts = Counter(e.level for e in elements if e.kind == "heading" and not e.hidden)
    return min((level for level, n in counts.items() if n > 1), default=0)


def _sections(elements: tuple[Element, ...], block: Block, top: int) -> Iterator[tuple[bool, bool, Span]]:
    """Each heading with the text up to the next: (begins a top-level section, is a heading alone, span)."""
    first = block.first
    for i in range(block.first + 1, block.last + 1):
        if i == block.last or elements[i].kind == "heading":
            head = elements[first]
            is_heading = head.kind == "heading"
            yield is_heading and head.level <= top, is_heading and i == first + 1, (head.start, elements[i - 1].end)
            first = i
