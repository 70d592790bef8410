"""Chooses the strategy and the size for each document, and says why.

Called through ``make_chunker``; the default. The choice itself is made in ``domains``, from what the
document is and what its text shows.
"""

from __future__ import annotations

from dataclasses import replace

from lunheng.chunking.cut import Cut, cut_document
from lunheng.chunking.domains import choose
from lunheng.chunking.parts import ChunkingParts
from lunheng.chunking.presets import Size, size_for
from lunheng.protocols import Chunker
from lunheng.types import Chunk, Document


class AutoChunker:
    """Hands each document to the strategy that its kind asks for."""

    def __init__(self, parts: ChunkingParts) -> None:
        self._parts = parts
        self._made: dict[tuple[str, str], tuple[Chunker, Size]] = {}

    @classmethod
    def from_parts(cls, parts: ChunkingParts) -> AutoChunker:
        return cls(parts)

    def split(self, document: Document) -> list[Chunk]:
        return self.cut(document).chunks

    def cut(self, document: Document) -> Cut:
        """Choose, cut, and give the reason along."""
        from lunheng.chunking import make_strategy

        choice = choose(document)
        key = (choice.strategy, choice.preset.domain)
        if key not in self._made:
            size = size_for(choice.preset, self._parts.settings.size, self._parts.window)
            overlap = min(self._parts.settings.overlap, size.tokens // 3)
            made = make_strategy(choice.strategy, replace(self._parts, cap=size.tokens, overlap=overlap))
            self._made[key] = made, size
        chunker, size = self._made[key]
        done = cut_document(chunker, document)
        reason = f"{choice.reason}; at most {size.tokens} tokens" + (f" ({size.note})" if size.note else "")
        return Cut(done.chunks, done.notes, choice.strategy, reason)
