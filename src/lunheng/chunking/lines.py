"""A document line by line: for strategies that find their units by what a line begins with.

Called by the question, medical and legal chunkers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lunheng.types import Document

SPECIAL = ("table", "code", "figure")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, or a whole table, code block or figure."""

    start: int
    end: int
    text: str
    element: int
    """The position of its element."""
    kind: str
    """The element's."""
    after_gap: bool
    """Whether hidden text stands before it: nothing may be joined across that."""

    @property
    def is_special(self) -> bool:
        return self.kind in SPECIAL


def read_lines(document: Document) -> Iterator[Line]:
    """The visible lines of ``document`` that are not blank, in order."""
    gap = False
    for index, element in enumerate(document.elements):
        if element.hidden:
            gap = True
            continue
        if element.kind in SPECIAL:
            yield Line(element.start, element.end, element.text, index, element.kind, gap)
            gap = False
            continue
        position = element.start
        for text in element.text.split("\n"):
            if text.strip():
                yield Line(position, position + len(text), text, index, element.kind, gap)
                gap = False
            position += len(text) + 1
