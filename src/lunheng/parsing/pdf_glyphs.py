"""Runs of text on a PDF page, and what they are made of: the nouns that the parts of the PDF parser share.

Called by all of them. ``pdf_characters`` reads the runs, ``pdf_tables`` and ``pdf_layout`` put them in order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lunheng.types import BBox

FIRST_CJK = 0x2E80
CJK_RANGES = ((FIRST_CJK, 0x9FFF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF), (0x20000, 0x323AF))
SHARED_MARKS = "“”‘’…—·"
CJK = re.compile(f"[{SHARED_MARKS}{''.join(f'{chr(a)}-{chr(b)}' for a, b in CJK_RANGES)}]")

Matrix = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f of PDF: x' = ax + cy + e, y' = bx + dy + f."""


@dataclass(slots=True, eq=False)
class Segment:
    """A run of text: points from the top left corner of the upright page."""

    text: str
    x0: float
    top: float
    x1: float
    bottom: float
    size: float
    """Font size in points as drawn."""
    weight: int
    """0, or 1 in a face that is heavy by kind (黑体), or 2 in bold."""
    gaps: tuple[tuple[int, float, float], ...] = ()
    """Gaps that may part cells, though they do not part segments: the place in ``text``, where each begins and ends."""
    confidence: float | None = None
    """Of its recognition; None for what stands in the text layer."""

    height: float = field(init=False)
    middle: float = field(init=False)
    """Of top and bottom."""

    def __post_init__(self) -> None:
        self.height = self.bottom - self.top
        self.middle = (self.top + self.bottom) / 2

    def parted(self, borders: Sequence[float]) -> list[Segment]:
        """It in pieces, cut at those doubtful gaps that the borders (x, left to right) pass through or nearly so."""
        pieces, rest = [], self
        for border in borders if self.gaps else ():
            gap = next((g for g in rest.gaps if g[1] - self.size <= border <= g[2] + self.size), None)
            if gap is not None:
                at, end, start = gap
                later = tuple((i - at, a, b) for i, a, b in rest.gaps if i > at)
                pieces.append(replace(rest, text=rest.text[:at].rstrip(), x1=end, gaps=()))
                rest = replace(rest, text=rest.text[at:], x0=start, gaps=later)
        return [*pieces, rest]


@dataclass(frozen=True, slots=True)
class Link:
    """A link out of the document: the words, the target as written, the box on the upright page."""

    words: str
    target: str
    bbox: BBox


@dataclass(slots=True)
class PageText:
    """The text layer of one page."""

    segments: list[Segment]
    width: float
    height: float
    characters: int
    sideways: bool
    """Text drawn at an angle to the rest (a stamp, a print mark) was left out."""
    broken: bool
    """Most characters have no Unicode value: the layer cannot be read, only recognised from the picture."""
    links: Sequence[Link] = ()
    pictures: tuple[BBox, ...] = ()
    """Boxes of images and drawings that may be figures."""


def is_cjk(char: str) -> bool:
    """Chinese and Japanese characters and their full-width punctuation: no space stands between two of them."""
    return CJK.match(char) is not None


def letters(text: str) -> int:
    """How long a text is; a Chinese character counts double."""
    return len(text) + len(CJK.findall(text))


def upright_matrix(page: Any) -> Matrix:
    """The matrix from the page's own space to points from the top left of the page as shown."""
    import pypdfium2.raw as pdfium

    left, bottom, right, top = page.get_bbox()  # the boxes that are asked for by name leave out inherited ones
    rotation = pdfium.FPDFPage_GetRotation(page.raw)
    return {
        0: (1, 0, 0, -1, -left, top),
        1: (0, 1, 1, 0, -bottom, -left),
        2: (-1, 0, 0, 1, right, -bottom),
        3: (0, -1, -1, 0, top, right),
    }[rotation]
