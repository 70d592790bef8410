"""What was done with a document: its chunks, by which strategy and why, and what had to be given up.

Called by ingest and by ``lunheng chunk``, which show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lunheng.chunking.parts import split_with_notes
from lunheng.protocols import Chunker
from lunheng.types import Chunk, Document


@dataclass(frozen=True, slots=True)
class Cut:
    """A document's chunks and how they came about."""

    chunks: list[Chunk]
    notes: tuple[str, ...] = ()
    """What was not done as well as it could be, each with its remedy; they go to the document's warnings."""
    strategy: str = ""
    """The strategy that cut it, where one was chosen for this document."""
    reason: str = ""
    """Why this strategy and this size."""


@runtime_checkable
class ChoosingChunker(Chunker, Protocol):
    """A chunker that chooses for each document how to cut it."""

    def cut(self, document: Document) -> Cut: ...


def cut_document(chunker: Chunker, document: Document) -> Cut:
    """Cut ``document``, with all that ``chunker`` says of it."""
    if isinstance(chunker, ChoosingChunker):
        return chunker.cut(document)
    return Cut(*split_with_notes(chunker, document))
