"""What was done with a document: its chunks, by which strategy and why, and what had to be given up.

Called by ingest and by ``lunheng chunk``, which show it. A strategy that has something to say about a document has
``cut`` beside ``split``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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
class CuttingChunker(Chunker, Protocol):
    """A chunker that says how it chose, or what it could not do."""

    def cut(self, document: Document) -> Cut:
        """``split``, with all that there is to say."""
        ...


def cut_document(chunker: Chunker, document: Document) -> Cut:
    """Cut ``document``, with all that ``chunker`` says of it (nothing, for most)."""
    return chunker.cut(document) if isinstance(chunker, CuttingChunker) else Cut(chunker.split(document))
