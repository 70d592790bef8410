"""Tables row by row: each row is a record of its own, its column names in the prefix.

Called through ``make_chunker``, for sheets whose rows are looked up one by one (price lists, directories,
registers). Short rows are not joined; text outside tables is cut by its sections.
"""

from __future__ import annotations

from collections.abc import Iterator

from lunheng.chunking.assembly import Assembler, Draft
from lunheng.chunking.blocks import caption_of, make_blocks, row_header, special_drafts
from lunheng.chunking.cut import Cut
from lunheng.chunking.structure import text_drafts, top_level
from lunheng.protocols import Tokenizer
from lunheng.types import Chunk, Document, Element


class TableChunker:
    """A row a chunk, at most ``size`` tokens; ``overlap`` only in text that is no table."""

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int = 0) -> None:
        self._tokenizer = tokenizer
        self._size = size
        self._overlap = overlap

    def split(self, document: Document) -> list[Chunk]:
        return self.cut(document).chunks

    def cut(self, document: Document) -> Cut:
        """The chunks; a note where the document holds no tables."""
        assembler = Assembler(document, self._tokenizer, self._size)
        chunks = assembler.chunks(self._drafts(assembler))
        found = any(e.kind == "table" for e in document.elements)
        return Cut(chunks, () if found else ("no table was found in it; it was cut as text, by its sections",))

    def _drafts(self, assembler: Assembler) -> Iterator[Draft]:
        elements = assembler.document.elements
        top = top_level(elements)
        for block in make_blocks(elements):
            if block.kind == "table":
                yield from _rows(assembler, elements[block.first].start, elements[block.last - 1])
            elif block.kind == "text":
                yield from text_drafts(assembler, block, top, self._overlap)
            else:
                yield from special_drafts(assembler, block)


def _rows(assembler: Assembler, start: int, table: Element) -> Iterator[Draft]:
    """The first row goes with the header (and the headings above), every other one has it in its prefix."""
    lines = table.text.split("\n")
    if len(lines) < 3:
        yield Draft(start, table.end, "table", caption_of(assembler, table))
        return
    header = row_header(assembler, table)
    position = table.start + sum(len(line) + 1 for line in lines[:2])
    for number, line in enumerate(lines[2:]):
        if number:
            yield Draft(position, position + len(line), "table", header)
        else:
            yield Draft(start, position + len(line), "table", caption_of(assembler, table))
        position += len(line) + 1
