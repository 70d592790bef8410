"""What kind of document this is, from its format, its structure and the words it uses.

Called by ``auto``.
"""

from __future__ import annotations

from dataclasses import dataclass

from lunheng.chunking.presets import GENERAL, Preset
from lunheng.types import Document


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy, the preset that gives its size, and the evidence."""

    strategy: str
    preset: Preset
    reason: str


def choose(document: Document) -> Choice:
    """The strategy for ``document``."""
    headings = sum(e.kind == "heading" and not e.hidden for e in document.elements)
    if headings:
        return Choice("structure", GENERAL, f"the document has {headings} heading{'s' * (headings > 1)}")
    return Choice("recursive", GENERAL, "the document has no headings")
