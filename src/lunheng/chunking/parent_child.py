"""Small pieces to search, and the sections around them for the answer (small-to-big retrieval).

Called through ``make_chunker``. A small piece says one thing, which its vector can hold; what it means often stands
around it. The parents are cut as ``structure`` cuts; they are not embedded, so that the embedder's window does not
bound them. Each child names its parent's place in the document: retrieval gives the parent in place of its children.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from lunheng.chunking.assembly import Assembler, Draft
from lunheng.chunking.blocks import make_blocks, special_drafts
from lunheng.chunking.parts import ChunkingParts
from lunheng.chunking.splitting import split_span
from lunheng.chunking.structure import StructureChunker
from lunheng.protocols import Tokenizer
from lunheng.types import Chunk, Document


class ParentChildChunker:
    """Children of at most ``child_size`` tokens, of parents of at most ``size``."""

    def __init__(
        self, tokenizer: Tokenizer, size: int, overlap: int = 0, child_size: int = 128, heading_level: int = 0
    ) -> None:
        """``overlap`` is between children of one parent; parents have none, so that each child has one parent."""
        self._tokenizer = tokenizer
        self._overlap = min(overlap, child_size // 4)
        self._child_size = child_size
        self._parents = StructureChunker(tokenizer, size, 0, heading_level)

    @classmethod
    def from_parts(cls, parts: ChunkingParts) -> ParentChildChunker:
        size, child = parts.settings.size or parts.cap, min(parts.settings.child_size, parts.cap)
        return cls(parts.tokenizer, size, parts.overlap, child, parts.settings.heading_level)

    def split(self, document: Document) -> list[Chunk]:
        parents = self._parents.split(document)
        assembler = Assembler(document, self._tokenizer, self._child_size)
        children = assembler.chunks(self._drafts(assembler, parents))
        starts = [parent.start for parent in parents]
        return [_with_parent(child, parents[bisect.bisect_right(starts, child.start) - 1]) for child in children]

    def _drafts(self, assembler: Assembler, parents: Sequence[Chunk]) -> Iterator[Draft]:
        elements = assembler.document.elements
        for block in make_blocks(elements):
            start, end = elements[block.first].start, elements[block.last - 1].end
            above = [p for p in parents if start <= p.start < end]
            if block.kind == "text":
                for parent in above:
                    budget = assembler.budget(parent.start)
                    for span in split_span(assembler.tokens, parent.start, parent.end, budget, self._overlap):
                        yield Draft(*span)
            else:
                yield from _parted([p.start for p in above], list(special_drafts(assembler, block)))


def _parted(starts: Sequence[int], drafts: Sequence[Draft]) -> Iterator[Draft]:
    """The drafts of a table, code or figure, cut where a parent begins: a parent ends between rows as a child does."""
    header = next((d.header for d in reversed(drafts) if d.header), "")
    for draft in drafts:
        edges = [draft.start, *(s for s in starts if draft.start < s < draft.end), draft.end]
        for start, end in pairwise(edges):
            yield Draft(start, end, draft.kind, draft.header if start == draft.start else header)


def _with_parent(child: Chunk, parent: Chunk) -> Chunk:
    return replace(child, metadata=replace(child.metadata, parent=(parent.start, parent.end)))
