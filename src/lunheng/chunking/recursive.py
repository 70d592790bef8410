"""Chunks of running text, cut at the best boundary that fits: for documents without headings.

Called through ``make_chunker``. Tables and code stand apart; everything else is one stream.
"""

from __future__ import annotations

from collections.abc import Iterator

from lunheng.chunking.assembly import Assembler, Draft
from lunheng.chunking.blocks import make_blocks, special_drafts
from lunheng.chunking.splitting import split_span
from lunheng.protocols import Tokenizer
from lunheng.types import Chunk, Document


class RecursiveChunker:
    """Paragraphs, lines, sentences, clauses, words: the coarsest boundary that keeps within ``size`` tokens."""

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int = 0) -> None:
        self._tokenizer = tokenizer
        self._size = size
        self._overlap = overlap

    def split(self, document: Document) -> list[Chunk]:
        assembler = Assembler(document, self._tokenizer, self._size)
        return assembler.chunks(self._drafts(assembler))

    def _drafts(self, assembler: Assembler) -> Iterator[Draft]:
        elements = assembler.document.elements
        for block in make_blocks(elements):
            if block.kind != "text":
                yield from special_drafts(assembler, block)
                continue
            start, end = elements[block.first].start, elements[block.last - 1].end
            for span in split_span(assembler.tokens, start, end, assembler.budget(start), self._overlap):
                yield Draft(*span)
