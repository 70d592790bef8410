"""Characters of a PDF page, with their boxes, gathered into segments.

Called by ``pdf`` for each page. A segment is a run of characters on one line without a wide gap, so
that what stands side by side in two columns or two cells comes apart here and is put in order by
``pdf_layout``. pdfium is asked for three facts a character (code, box, whether it made the space
up itself) and for fonts only once a segment: that is what keeps a page at a few milliseconds.
"""

from __future__ import annotations

import ctypes
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Any

WIDE_GAP = 0.85
"""A gap of so many line heights ends a segment."""
BASELINE_SHIFT = 0.5
"""A vertical move of so many line heights ends a segment (less is a sub- or superscript)."""
BROKEN_SHARE = 0.3
"""A page with so many characters that have no Unicode value has a broken text layer."""
_NO_BREAK_SPACES = {0xA0: " ", 0x2002: " ", 0x2003: " ", 0x2009: " ", 0x200A: " ", 0x202F: " "}


@dataclass(slots=True)
class Segment:
    """A run of text: points from the top left corner of the upright page."""

    text: str
    x0: float
    top: float
    x1: float
    bottom: float
    size: float
    """Font size in points as drawn."""
    bold: bool

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


@dataclass(slots=True)
class PageText:
    """The text layer of one page."""

    segments: list[Segment]
    width: float
    height: float
    characters: int
    broken: bool
    """Most characters have no Unicode value: the layer cannot be read, only recognised from the picture."""


def is_cjk(char: str) -> bool:
    """Chinese and Japanese characters and their full-width punctuation: no space stands between two of them."""
    return (
        "\u2e80" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff" or "\ufe30" <= char <= "\ufe4f"
        or "\uff00" <= char <= "\uffef" or "\U00020000" <= char <= "\U000323af" or char in "“”‘’…—·"
    )  # fmt: skip


def read_page(page: Any) -> PageText:
    """Read the text layer of a pypdfium2 page."""
    import pypdfium2.raw as pdfium

    width, height = page.get_size()
    textpage = page.get_textpage()
    try:
        reader = _Reader(pdfium, textpage.raw, _upright(page, pdfium))
        segments = reader.read()
    finally:
        textpage.close()
    return PageText(segments, width, height, reader.characters, reader.broken)


def _upright(page: Any, pdfium: Any) -> tuple[float, float, float, float, float, float]:
    """The matrix from the page's own space to points from the top left of the page as shown."""
    left, bottom, right, top = page.get_cropbox()
    rotation = pdfium.FPDFPage_GetRotation(page.raw)
    return {
        0: (1, 0, 0, -1, -left, top),
        1: (0, 1, 1, 0, -bottom, -left),
        2: (-1, 0, 0, 1, right, -bottom),
        3: (0, -1, -1, 0, top, right),
    }[rotation]


class _Reader:
    """The one pass over a page's characters."""

    def __init__(self, pdfium: Any, raw: Any, matrix: tuple[float, float, float, float, float, float]) -> None:
        self._pdfium = pdfium
        self._raw = raw
        self._matrix = matrix
        self._fonts: dict[str, bool] = {}
        self.characters = 0
        self.broken = False

    def read(self) -> list[Segment]:
        pdfium, raw = self._pdfium, self._raw
        get_code, get_box, is_generated = (
            pdfium.FPDFText_GetUnicode,
            pdfium.FPDFText_GetLooseCharBox,
            pdfium.FPDFText_IsGenerated,
        )
        a, b, c, d, e, f = self._matrix
        rect = pdfium.FS_RECTF()
        pointer = ctypes.byref(rect)
        segments: list[Segment] = []
        text: list[str] = []
        start = 0
        x0 = top = x1 = bottom = 0.0
        gap_space = False
        unmapped = 0
        seen: Counter[tuple[str, int, int]] = Counter()
        count = pdfium.FPDFText_CountChars(raw)

        def finish() -> None:
            nonlocal gap_space
            gap_space = False
            if text:
                joined = "".join(text).rstrip()
                if joined.strip():
                    size, bold = self._font(start, bottom - top)
                    segments.append(Segment(joined, x0, top, x1, bottom, size, bold))
                text.clear()

        for i in range(count):
            code = get_code(raw, i)
            if code in (10, 13):
                finish()
                continue
            if code == 32 or code in _NO_BREAK_SPACES:
                if not text:
                    continue
                if is_generated(raw, i) == 1:
                    gap_space = True
                elif text[-1] != " ":
                    text.append(" ")
                continue
            if code in (0, 0xFFFD, 0xFFFE, 0xFFFF) or 0xE000 <= code <= 0xF8FF:
                unmapped += code != 0xFFFE
                if code in (0, 0xFFFE, 0xFFFF):
                    if code == 0xFFFE and text:  # pdfium's mark for a hyphen at a line's end
                        text.append("\u00ad")
                    continue
            elif code < 32 or code in (0xAD, 0x200B, 0xFEFF):
                if code == 2 and text:  # and its other mark for the same
                    text.append("\u00ad")
                continue
            self.characters += 1
            get_box(raw, i, pointer)
            l, bo, r, t = rect.left, rect.bottom, rect.right, rect.top
            cx0, cy0, cx1, cy1 = a * l + c * bo + e, b * l + d * bo + f, a * r + c * t + e, b * r + d * t + f
            if cx0 > cx1:
                cx0, cx1 = cx1, cx0
            if cy0 > cy1:
                cy0, cy1 = cy1, cy0
            char = _character(code)
            if text:
                line_height = bottom - top
                gap = cx0 - x1
                shift = abs((cy0 + cy1) / 2 - (top + bottom) / 2)
                apart = (
                    gap > WIDE_GAP * line_height
                    or gap < -1.5 * line_height
                    or shift > BASELINE_SHIFT * max(line_height, cy1 - cy0)
                    or abs((cy1 - cy0) - line_height) > 0.35 * line_height and shift < 0.1 * line_height
                )
                if apart:
                    finish()
                elif gap_space:
                    last = text[-1]
                    if last != " " and not (is_cjk(last) and is_cjk(char) and gap < 0.8 * line_height):
                        text.append(" ")
                    gap_space = False
            # Bold is often drawn as the same character twice, a hair apart.
            place = (char, round(cx0 / 2), round(cy0 / 2))
            seen[place] += 1
            if seen[place] > 1 and char != " ":
                continue
            if text:
                x0, x1 = min(x0, cx0), max(x1, cx1)
                if cy1 - cy0 >= 0.8 * (bottom - top):
                    top, bottom = min(top, cy0), max(bottom, cy1)
            else:
                start, x0, top, x1, bottom = i, cx0, cy0, cx1, cy1
            text.append(char)
        finish()
        self.broken = self.characters > 20 and unmapped > BROKEN_SHARE * self.characters
        return segments

    def _font(self, index: int, fallback: float) -> tuple[float, bool]:
        """Size as drawn, and whether the font is bold, of the character at ``index``."""
        pdfium, raw = self._pdfium, self._raw
        size = pdfium.FPDFText_GetFontSize(raw, index)
        matrix = pdfium.FS_MATRIX()
        if pdfium.FPDFText_GetMatrix(raw, index, ctypes.byref(matrix)):
            size *= max(abs(matrix.d), abs(matrix.b)) or 1.0
        buffer = ctypes.create_string_buffer(128)
        length = pdfium.FPDFText_GetFontInfo(raw, index, buffer, 128, ctypes.byref(ctypes.c_int()))
        name = buffer.raw[: max(0, min(length, 128) - 1)].decode("utf-8", "replace").lower()
        weight = pdfium.FPDFText_GetFontWeight(raw, index)
        bold = weight >= 600 or any(mark in name for mark in ("bold", "black", "heavy", "simhei", "heiti", "-medi"))
        return (size if size > 0.5 else fallback * 0.8), bold


def _character(code: int) -> str:
    char = chr(code)
    # Ligatures, and the radicals that some Chinese fonts give in place of the characters that look the same.
    if 0xFB00 <= code <= 0xFB06 or 0x2E80 <= code <= 0x2FDF or 0xF900 <= code <= 0xFAFF:
        return unicodedata.normalize("NFKC", char)
    return char
