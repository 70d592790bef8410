"""Windows of a fixed number of tokens: the plain baseline.

Called through ``make_chunker``. Nothing is known of the text but its tokens, so that no heading stands before a
window unless the settings ask for it; hidden text still stays out.
"""

from __future__ import annotations

from collections.abc import Iterator

from lunheng.chunking.assembly import Assembler, Draft
from lunheng.chunking.parts import ChunkingParts
from lunheng.protocols import Tokenizer
from lunheng.types import Chunk, Document


class FixedChunker:
    """Windows of ``size`` tokens, prefix included, each beginning ``overlap`` tokens before the last one's end."""

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int = 0, headings: bool = False) -> None:
        self._tokenizer = tokenizer
        self._size = size
        self._overlap = overlap
        self._headings = headings

    @classmethod
    def from_parts(cls, parts: ChunkingParts) -> FixedChunker:
        return cls(parts.tokenizer, parts.cap, parts.overlap, parts.settings.context not in ("auto", "none"))

    def split(self, document: Document) -> list[Chunk]:
        assembler = Assembler(document, self._tokenizer, self._size, headings=self._headings)
        return assembler.chunks(self._drafts(assembler))

    def _drafts(self, assembler: Assembler) -> Iterator[Draft]:
        tokens = assembler.tokens
        for start, end in visible_runs(assembler):
            position = start
            while position < end:
                budget = assembler.budget(position)
                finish = min(tokens.end_after(position, budget), end)
                finish = max(finish, position + 1)
                yield Draft(position, finish)
                if finish >= end:
                    break
                back = tokens.start_before(finish, min(self._overlap, budget // 2))
                position = back if position < back < finish else finish


def visible_runs(assembler: Assembler) -> Iterator[tuple[int, int]]:
    """Spans of consecutive elements that are not hidden."""
    run: tuple[int, int] | None = None
    for element in assembler.document.elements:
        if element.hidden:
            if run:
                yield run
            run = None
        else:
            run = (run[0] if run else element.start, element.end)
    if run:
        yield run
