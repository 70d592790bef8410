"""Chooses the strategy for each document: by section where it has headings, else by running text.

Called through ``make_chunker``; the default.
"""

from __future__ import annotations

from lunheng.chunking.recursive import RecursiveChunker
from lunheng.chunking.structure import StructureChunker
from lunheng.protocols import Tokenizer
from lunheng.types import Chunk, Document


class AutoChunker:
    """Structure for documents with headings, recursive for the rest."""

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int = 0) -> None:
        self._structure = StructureChunker(tokenizer, size, overlap)
        self._recursive = RecursiveChunker(tokenizer, size, overlap)

    def choose(self, document: Document) -> tuple[str, str]:
        """The strategy's name and why."""
        headings = sum(e.kind == "heading" and not e.hidden for e in document.elements)
        if headings:
            return "structure", f"the document has {headings} headings"
        return "recursive", "the document has no headings"

    def split(self, document: Document) -> list[Chunk]:
        chosen = self._structure if self.choose(document)[0] == "structure" else self._recursive
        return chosen.split(document)
