"""Chunks along the sections of a document: the default where there are headings.

Called through ``make_chunker``. A section that fits is one chunk; small neighbours are merged, but
never across a boundary of the top level; a section that does not fit is cut like running text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from lunheng.chunking.assembly import Assembler, Draft
from lunheng.chunking.blocks import Block, make_blocks, special_drafts
from lunheng.chunking.parts import ChunkingParts
from lunheng.chunking.splitting import Span, split_span
from lunheng.protocols import Tokenizer
from lunheng.types import Chunk, Document, Element

SMALL_SHARE = 3
"""A section below a third of the cap is merged with its neighbour."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with the text below it, up to the next."""

    level: int
    """Of its heading (of a run of bare ones, the last); 0 where it has none."""
    bare: bool
    """Whether it is headings alone."""
    start: int
    end: int


class StructureChunker:
    """By section, at most ``size`` tokens; ``overlap`` only inside a section that has to be cut."""

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int = 0, heading_level: int = 0) -> None:
        """``heading_level``: sections are never joined across a heading of this level or above; 0: see ``top_level``."""
        self._tokenizer = tokenizer
        self._size = size
        self._overlap = overlap
        self._level = heading_level

    @classmethod
    def from_parts(cls, parts: ChunkingParts) -> StructureChunker:
        return cls(parts.tokenizer, parts.cap, parts.overlap, parts.settings.heading_level)

    def split(self, document: Document) -> list[Chunk]:
        assembler = Assembler(document, self._tokenizer, self._size)
        return assembler.chunks(self._drafts(assembler))

    def _drafts(self, assembler: Assembler) -> Iterator[Draft]:
        elements = assembler.document.elements
        top = self._level or top_level(elements)
        for block in make_blocks(elements):
            if block.kind == "text":
                yield from text_drafts(assembler, block, top, self._overlap, strict=self._level > 0)
            else:
                yield from special_drafts(assembler, block)


def text_drafts(assembler: Assembler, block: Block, top: int, overlap: int, *, strict: bool = False) -> Iterator[Draft]:
    """The drafts of a block of text by its sections; ``top`` is the level that is never merged across.

    ``strict``: not even an empty section of that level is joined to its sibling. A level that was found by itself may
    be that of a title page.
    """
    for start, end in _merged(assembler, top, strict, _sections(assembler.document.elements, block)):
        budget, body = assembler.budget(start), _body_start(assembler, start, end)
        for span in split_span(assembler.tokens, start, end, budget, overlap, keep=body):
            yield Draft(*span)


def _merged(assembler: Assembler, top: int, strict: bool, sections: Iterator[Section]) -> Iterator[Span]:
    """Join small neighbours; a run of bare headings joins what follows it, whatever its size."""
    current: Section | None = None
    for following in sections:
        if current is not None:
            if _belong_together(assembler, current, following, top, strict):
                bare = current.bare and following.bare
                current = Section(following.level if bare else current.level, bare, current.start, following.end)
                continue
            yield current.start, current.end
        current = following
    if current is not None:
        yield current.start, current.end


def _belong_together(assembler: Assembler, current: Section, following: Section, top: int, strict: bool) -> bool:
    apart = 0 < following.level <= top
    if current.bare:
        return not (strict and apart and following.level <= current.level)
    tokens = assembler.tokens
    either = min(tokens.count(current.start, current.end), tokens.count(following.start, following.end))
    together = tokens.count(current.start, following.end)
    return not apart and either < assembler.cap // SMALL_SHARE and together <= assembler.budget(current.start)


def _body_start(assembler: Assembler, start: int, end: int) -> int:
    """Where the text below the headings at ``start`` begins."""
    elements = (assembler.document.elements[i] for i in assembler.elements_in(start, end))
    return next((e.start for e in elements if e.kind != "heading"), start)


def top_level(elements: tuple[Element, ...]) -> int:
    """The level whose sections are kept apart: the highest that has at least two headings (a lone one is the title)."""
    counts = Counter(e.level for e in elements if e.kind == "heading" and not e.hidden)
    return min((level for level, n in counts.items() if n > 1), default=0)


def _sections(elements: tuple[Element, ...], block: Block) -> Iterator[Section]:
    """Each heading with the text up to the next."""
    first = block.first
    for i in range(block.first + 1, block.last + 1):
        if i == block.last or elements[i].kind == "heading":
            head = elements[first]
            level = head.level if head.kind == "heading" else 0
            yield Section(level, level > 0 and i == first + 1, head.start, elements[i - 1].end)
            first = i
