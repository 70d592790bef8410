"""Characters of a PDF page, with their boxes, gathered into segments.

Called by ``pdf`` for each page. A segment is a run of characters on one line without a wide gap, so
that what stands side by side in two columns or two cells comes apart here and is put in order by
``pdf_layout``. pdfium is asked for three facts a character (code, box, whether it made the space
up itself) and for fonts only once a segment: that is what keeps a page at a few milliseconds.
"""

from __future__ import annotations

import ctypes
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDE_GAP = 0.85
"""A gap of so many line heights ends a segment."""
DOUBTFUL_GAP = 0.5
"""One of so many may be the space between two cells."""
BASELINE_SHIFT = 0.5
"""A vertical move of so many line heights ends a segment (less is a sub- or superscript)."""
BROKEN_SHARE = 0.3
"""A page with so many characters that have no Unicode value has a broken text layer."""
QUARTER_TURN = 1.5707963
MAIN_ANGLE_SHARE = 0.8
"""Where so much of a page's text has one angle, what is drawn at another is no part of the text."""
_BOLD_NAME = re.compile(r"bold|black|heavy|-medi")
_HEAVY_NAME = re.compile(r"simhei|heiti|hei\b")
"""黑体, which headings are set in where the text is in 宋体."""
_LINE_ENDS = (10, 13)
_SPACES = (32, 0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F)
_HYPHEN_MARKS = (2, 0xAD, 0xFFFE)
"""A soft hyphen, and pdfium's marks for a hyphen at a line's end."""
_INVISIBLE = (0xFFFF, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF)
FIRST_CJK = 0x2E80
_CJK_RANGES = ((FIRST_CJK, 0x9FFF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF), (0x20000, 0x323AF))
_SHARED_MARKS = "“”‘’…—·"

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

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

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


def is_cjk(char: str) -> bool:
    """Chinese and Japanese characters and their full-width punctuation: no space stands between two of them."""
    code = ord(char)
    return any(first <= code <= last for first, last in _CJK_RANGES) or char in _SHARED_MARKS


def read_page(page: Any, borders: Iterable[tuple[float, float, float]] = ()) -> PageText:
    """Read the text layer of a pypdfium2 page; no segment crosses one of ``borders`` (x, top, bottom)."""
    import pypdfium2.raw as pdfium

    width, height = page.get_size()
    textpage = page.get_textpage()
    try:
        reader = _Reader(pdfium, textpage.raw, upright_matrix(page), borders)
        segments = reader.read()
    finally:
        textpage.close()
    return PageText(segments, width, height, reader.characters, reader.sideways, reader.broken)


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


class _Reader:
    """The one pass over a page's characters."""

    def __init__(self, pdfium: Any, raw: Any, matrix: Matrix, borders: Iterable[tuple[float, float, float]]) -> None:
        self._pdfium = pdfium
        self._raw = raw
        self._matrix = matrix
        self._borders = borders
        self.characters = 0
        self.sideways = False
        self.broken = False

    def read(self) -> list[Segment]:
        codes = self._codes()
        breaks = np.isin(codes, _LINE_ENDS)
        spaces = np.isin(codes, _SPACES)
        hyphens = np.isin(codes, _HYPHEN_MARKS)
        unmapped = np.isin(codes, (0, 0xFFFD, 0xFFFF)) | ((codes >= 0xE000) & (codes <= 0xF8FF))
        silent = breaks | spaces | hyphens | (codes < 32) | np.isin(codes, _INVISIBLE)
        index = np.flatnonzero(~silent)
        self.characters = len(index)
        self.broken = self.characters > 20 and int(unmapped[index].sum()) > BROKEN_SHARE * self.characters
        if not self.characters:
            return []
        index, boxes = self._drawn_once(codes, index)
        x0, top, x1, bottom = boxes.T
        height = np.maximum(bottom - top, 0.1)
        middle = (top + bottom) / 2
        gap = x0[1:] - x1[:-1]
        tall = np.maximum(height[1:], height[:-1])
        apart = (
            _any_between(breaks, index)
            | (gap > WIDE_GAP * tall)
            | (gap < -1.5 * tall)
            | (np.abs(np.diff(middle)) > BASELINE_SHIFT * tall)
            | _crossing(self._borders, (x0 + x1) / 2, middle)
        )
        glued = _are_cjk(codes[index])
        glued = glued[1:] & glued[:-1] & (gap < 0.8 * tall)
        real, made = self._spaces_between(spaces, index)
        spaced = np.append(False, real | (made & ~glued))
        hyphened = np.append(_any_between(hyphens, index), hyphens[index[-1] + 1 :].any())
        parts = [
            (" " if space else "") + _character(code) + ("\u00ad" if hyphen else "")
            for code, space, hyphen in zip(codes[index].tolist(), spaced.tolist(), hyphened.tolist(), strict=True)
        ]
        starts = [0, *(np.flatnonzero(apart) + 1).tolist()]
        doubtful: dict[int, list[int]] = {}
        for i in (np.flatnonzero((gap > DOUBTFUL_GAP * tall) & ~apart) + 1).tolist():
            doubtful.setdefault(bisect_right(starts, i) - 1, []).append(i)
        segments: list[Segment] = []
        angles: list[int] = []
        for k, (start, end) in enumerate(zip(starts, [*starts[1:], len(parts)], strict=True)):
            size, weight = self._font(int(index[start]), float(height[start]))
            angles.append(
                round(self._pdfium.FPDFText_GetCharAngle(self._raw, int(index[start])) / QUARTER_TURN * 4) % 16
            )
            # Sub- and superscripts do not make a line taller.
            main = height[start:end] >= 0.8 * height[start:end].max()
            segments.append(
                Segment(
                    "".join(parts[start:end]).strip(),
                    float(x0[start:end].min()),
                    float(top[start:end][main].min()),
                    float(x1[start:end].max()),
                    float(bottom[start:end][main].max()),
                    size,
                    weight,
                    tuple(
                        (len("".join(parts[start:i]).lstrip()) + (parts[i][0] == " "), float(x1[i - 1]), float(x0[i]))
                        for i in doubtful.get(k, ())
                    ),
                )
            )
        return self._of_main_angle(segments, angles)

    def _of_main_angle(self, segments: list[Segment], angles: list[int]) -> list[Segment]:
        """Without the few segments that are drawn at another angle than the rest of the page."""
        amount: Counter[int] = Counter()
        for segment, angle in zip(segments, angles, strict=True):
            amount[angle] += len(segment.text)
        main, most = amount.most_common(1)[0]
        if most < MAIN_ANGLE_SHARE * sum(amount.values()):
            return segments
        self.sideways = len(amount) > 1
        return [segment for segment, angle in zip(segments, angles, strict=True) if angle == main]

    def _codes(self) -> NDArray[np.int64]:
        """The Unicode value of each character, in one call where pdfium's text and characters correspond."""
        pdfium, raw = self._pdfium, self._raw
        count = max(pdfium.FPDFText_CountChars(raw), 0)
        buffer = (ctypes.c_ushort * (count + 1))()
        if pdfium.FPDFText_GetText(raw, 0, count, buffer) == count + 1:
            codes = np.frombuffer(buffer, dtype=np.uint16)[:count].astype(np.int64)
            if not ((codes >= 0xD800) & (codes <= 0xDFFF)).any():
                return codes
        get_code = pdfium.FPDFText_GetUnicode
        return np.fromiter((get_code(raw, i) for i in range(count)), dtype=np.int64, count=count)

    def _drawn_once(
        self, codes: NDArray[np.int64], index: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Indices and upright boxes (left, top, right, bottom), without what is drawn twice to look bold."""
        rects = (self._pdfium.FS_RECTF * len(index))()
        get_box, raw = self._pdfium.FPDFText_GetLooseCharBox, self._raw
        for rect, i in zip(rects, index.tolist(), strict=True):
            get_box(raw, i, rect)
        left, upper, right, lower = np.frombuffer(rects, dtype=np.float32).reshape(-1, 4).astype(np.float64).T
        a, b, c, d, e, f = self._matrix
        xs = np.stack([a * left + c * lower + e, a * right + c * upper + e])
        ys = np.stack([b * left + d * lower + f, b * right + d * upper + f])
        boxes = np.stack([xs.min(axis=0), ys.min(axis=0), xs.max(axis=0), ys.max(axis=0)], axis=1)
        kept = codes[index]
        places = np.stack(
            [kept, np.round(boxes[:, 0] * 2).astype(np.int64), np.round(boxes[:, 1] * 2).astype(np.int64)]
        )
        _, first = np.unique(places, axis=1, return_index=True)
        once = np.zeros(len(index), dtype=bool)
        once[first] = True
        # The second drawing often follows at once, moved by less than half a point's bucket shows.
        moved = np.abs(np.diff(boxes[:, :2], axis=0))
        near = (moved < 0.25 * np.maximum(boxes[1:, 2:] - boxes[1:, :2], 0.1)).all(axis=1)
        once[1:] &= ~(near & (kept[1:] == kept[:-1]))
        return index[once], boxes[once]

    def _spaces_between(
        self, spaces: NDArray[np.bool_], index: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Before each character but the first: whether a space of the file's stands there, and one that pdfium made up."""
        is_generated, raw = self._pdfium.FPDFText_IsGenerated, self._raw
        made = np.zeros(len(spaces), dtype=bool)
        for i in np.flatnonzero(spaces).tolist():
            made[i] = is_generated(raw, i) == 1
        return _any_between(spaces & ~made, index), _any_between(made, index)

    def _font(self, index: int, fallback: float) -> tuple[float, int]:
        """Size as drawn, and weight as of ``Segment``, of the character at ``index``."""
        pdfium, raw = self._pdfium, self._raw
        size = pdfium.FPDFText_GetFontSize(raw, index)
        matrix = pdfium.FS_MATRIX()
        if pdfium.FPDFText_GetMatrix(raw, index, matrix):
            size *= max(abs(matrix.d), abs(matrix.b)) or 1.0
        buffer = ctypes.create_string_buffer(128)
        length = pdfium.FPDFText_GetFontInfo(raw, index, buffer, 128, ctypes.c_int())
        name = buffer.raw[: max(0, min(length, 128) - 1)].decode("utf-8", "replace").lower()
        weight = pdfium.FPDFText_GetFontWeight(raw, index)
        bold = weight >= 600 or _BOLD_NAME.search(name) is not None or self._is_stroked(index)
        return (size if size > 0.5 else fallback * 0.8), 2 if bold else int(_HEAVY_NAME.search(name) is not None)

    def _is_stroked(self, index: int) -> bool:
        """Filled and outlined: how a font without a bold face is made bold."""
        pdfium = self._pdfium
        drawn = pdfium.FPDFText_GetTextObject(self._raw, index)
        return bool(drawn) and pdfium.FPDFTextObj_GetTextRenderMode(drawn) == pdfium.FPDF_TEXTRENDERMODE_FILL_STROKE


def _crossing(
    borders: Iterable[tuple[float, float, float]], center: NDArray[np.float64], middle: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether a border passes between each two consecutive characters."""
    found = np.zeros(len(center) - 1, dtype=bool)
    for x, top, bottom in borders:
        found |= ((center[:-1] < x) != (center[1:] < x)) & (middle[1:] > top) & (middle[1:] < bottom)
    return found


def _any_between(marks: NDArray[np.bool_], index: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a mark stands between each two consecutive places of ``index``."""
    return np.diff(np.cumsum(marks)[index]) > 0


def _are_cjk(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """``is_cjk`` for an array of characters."""
    found = np.isin(codes, [ord(c) for c in _SHARED_MARKS])
    for first, last in _CJK_RANGES:
        found |= (codes >= first) & (codes <= last)
    return found


def _character(code: int) -> str:
    char = chr(code)
    # Ligatures, and the radicals that some Chinese fonts give in place of the characters that look the same.
    if 0xFB00 <= code <= 0xFB06 or 0x2E80 <= code <= 0x2FDF or 0xF900 <= code <= 0xFAFF:
        return unicodedata.normalize("NFKC", char)
    return char
