"""Characters of a PDF page, with their boxes, gathered into segments.

Called by ``pdf_tables`` for each page. A segment is a run of characters on one line without a wide gap, so that what
stands side by side in two columns or two cells comes apart here and is put in order by ``pdf_layout``. pdfium is asked
for three facts a character (code, box, whether it made the space up itself), once however often the page is cut into
segments, and for fonts only once a segment: that is what keeps a page at a few milliseconds.
"""

from __future__ import annotations

import ctypes
import math
import re
import unicodedata
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.parsing.pdf_calls import address, quick
from lunheng.parsing.pdf_glyphs import CJK_RANGES, SHARED_MARKS, Link, PageText, Segment, upright_matrix

WIDE_GAP = 0.85
"""A gap of so many line heights ends a segment."""
DOUBTFUL_GAP = 0.5
"""One of so many may be the space between two cells."""
BASELINE_SHIFT = 0.5
"""A vertical move of so many line heights ends a segment (less is a sub- or superscript)."""
BROKEN_SHARE = 0.3
"""A page with so many characters that have no Unicode value has a broken text layer."""
SIXTEENTH_TURN = math.pi / 8
MAIN_ANGLE_SHARE = 0.8
"""Where so much of a page's text has one angle, what is drawn at another is no part of the text."""
MAX_LINKS = 2_000
"""On one page."""
_BOLD_NAME = re.compile(r"bold|black|heavy|-medi")
_HEAVY_NAME = re.compile(r"simhei|heiti|hei\b")
"""黑体, which headings are set in where the text is in 宋体."""
_LINE_ENDS = (10, 13)
_SPACES = (32, 0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F)
_HYPHEN_MARKS = (2, 0xAD, 0xFFFE)
"""A soft hyphen, and pdfium's marks for a hyphen at a line's end."""
_INVISIBLE = (0xFFFF, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF)
_VARIANTS = re.compile("[\ufb00-\ufb06\u2e80-\u2fdf\uf900-\ufaff]")
"""Ligatures, and the radicals that some Chinese fonts give in place of the characters that look the same."""
_KINDS = np.zeros(0x10000, dtype=np.uint8)
"""What a character below 0x10000 is, by the bits below."""
_LINE_END, _SPACE, _HYPHEN, _SILENT, _UNMAPPED, _CJK, _VARIANT = (1 << bit for bit in range(7))
for _codes, _bits in (
    (_LINE_ENDS, _LINE_END | _SILENT),
    (_SPACES, _SPACE | _SILENT),
    (_HYPHEN_MARKS, _HYPHEN | _SILENT),
    (_INVISIBLE, _SILENT),
    (range(32), _SILENT),
    ((0, 0xFFFD, 0xFFFF, *range(0xE000, 0xF900)), _UNMAPPED),
    ((*map(ord, SHARED_MARKS), *(c for a, b in CJK_RANGES if b < 0x10000 for c in range(a, b + 1))), _CJK),
    ((*range(0xFB00, 0xFB07), *range(0x2E80, 0x2FE0), *range(0xF900, 0xFB00)), _VARIANT),
):
    _KINDS[list(_codes)] |= _bits


class Characters:
    """The text layer of one pypdfium2 page; ``close`` it before the page."""

    def __init__(self, page: Any) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._page = page
        self._textpage = page.get_textpage()
        self._raw = address(self._textpage.raw)
        self._width, self._height = page.get_size()
        self._matrix = upright_matrix(page)
        self._faces: dict[int, tuple[float, int, int]] = {}
        self._weights: dict[int, int] = {}
        self._read()

    def close(self) -> None:
        self._textpage.close()

    def _read(self) -> None:
        """What does not depend on where the page is cut into segments."""
        codes = self._codes()
        kinds = _KINDS[np.minimum(codes, 0xFFFF)]
        kinds[codes > 0xFFFF] = _CJK  # the planes of rare Chinese characters, mostly
        index = np.flatnonzero((kinds & _SILENT) == 0)
        self.characters = len(index)
        unmapped = int(np.count_nonzero(kinds[index] & _UNMAPPED))
        self.broken = self.characters > 20 and unmapped > BROKEN_SHARE * self.characters
        if not self.characters:
            return
        index, self._boxes = self._drawn_once(codes, index)
        self._index = index
        self._shown = codes[index]
        self._kinds = kinds[index]
        self._ended = _any_between((kinds & _LINE_END) != 0, index)
        hyphens = (kinds & _HYPHEN) != 0
        self._hyphened = np.append(_any_between(hyphens, index), hyphens[index[-1] + 1 :].any())
        self._spaces = self._spaces_between((kinds & _SPACE) != 0, index)

    def text(self, borders: Iterable[tuple[float, float, float]] = ()) -> PageText:
        """The segments of the page; none crosses one of ``borders`` (x, top, bottom)."""
        segments, sideways = self._segments(borders) if self.characters else ([], False)
        return PageText(segments, self._width, self._height, self.characters, sideways, self.broken)

    def _segments(self, borders: Iterable[tuple[float, float, float]]) -> tuple[list[Segment], bool]:
        x0, top, x1, bottom = self._boxes.T
        height = np.maximum(bottom - top, 0.1)
        middle = (top + bottom) / 2
        gap = x0[1:] - x1[:-1]
        tall = np.maximum(height[1:], height[:-1])
        apart = (
            self._ended
            | (gap > WIDE_GAP * tall)
            | (gap < -1.5 * tall)
            | (np.abs(np.diff(middle)) > BASELINE_SHIFT * tall)
            | _crossing(borders, (x0 + x1) / 2, middle)
        )
        cjk = (self._kinds & _CJK) != 0
        glued = cjk[1:] & cjk[:-1] & (gap < 0.8 * tall)
        real, made = self._spaces
        texts = _Texts(self._shown, np.append(False, real | (made & ~glued)), self._hyphened)
        has_variants = bool((self._kinds & _VARIANT).any())
        starts = np.append(0, np.flatnonzero(apart) + 1)
        first = starts.tolist()
        doubtful: dict[int, list[int]] = {}
        for i in (np.flatnonzero((gap > DOUBTFUL_GAP * tall) & ~apart) + 1).tolist():
            doubtful.setdefault(bisect_right(first, i) - 1, []).append(i)
        # Sub- and superscripts do not make a line taller.
        ends = np.append(starts[1:], len(height))
        main = height >= 0.8 * np.repeat(np.maximum.reduceat(height, starts), ends - starts)
        boxes = np.stack(
            [
                np.minimum.reduceat(x0, starts),
                np.minimum.reduceat(np.where(main, top, np.inf), starts),
                np.maximum.reduceat(x1, starts),
                np.maximum.reduceat(np.where(main, bottom, -np.inf), starts),
            ],
            axis=1,
        ).tolist()
        index, heights = self._index[starts].tolist(), height[starts].tolist()
        segments: list[Segment] = []
        angles: list[int] = []
        for k, (start, end, box) in enumerate(zip(first, ends.tolist(), boxes, strict=True)):
            size, weight, angle = self._face(index[k], heights[k])
            if weight == 2:  # "SUMMARY: The rule" is not bold to its end
                weight = min(weight, self._face(int(self._index[end - 1]), heights[k])[1])
            text = texts.between(start, end)
            gaps = tuple((texts.place(start, i), float(x1[i - 1]), float(x0[i])) for i in doubtful.get(k, ()))
            if has_variants and _VARIANTS.search(text):
                text, gaps = _VARIANTS.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text), ()
            segments.append(Segment(text, box[0], box[1], box[2], box[3], size, weight, gaps))
            angles.append(angle)
        return _of_main_angle(segments, angles)

    def _codes(self) -> NDArray[np.int64]:
        """The Unicode value of each character, in one call where pdfium's text and characters correspond."""
        pdfium, raw = self._pdfium, self._textpage.raw
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
        rects = np.zeros((len(index), 4), dtype=np.float32)
        get_box, at = quick("FPDFText_GetLooseCharBox"), rects.ctypes.data
        deque(map(get_box, repeat(self._raw), index.tolist(), range(at, at + rects.nbytes, 16)), maxlen=0)
        left, upper, right, lower = rects.astype(np.float64).T
        a, b, c, d, e, f = self._matrix
        xs = np.stack([a * left + c * lower + e, a * right + c * upper + e])
        ys = np.stack([b * left + d * lower + f, b * right + d * upper + f])
        boxes = np.stack([xs.min(axis=0), ys.min(axis=0), xs.max(axis=0), ys.max(axis=0)], axis=1)
        kept = codes[index]
        # One number for character and place, to half a point.
        x, y = (
            np.clip(np.round(boxes[:, i] * 2), -(1 << 19), (1 << 19) - 1).astype(np.int64) + (1 << 19) for i in (0, 1)
        )
        _, first = np.unique((kept << 40) | (x << 20) | y, return_index=True)
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
        places = np.flatnonzero(spaces)
        is_generated = quick("FPDFText_IsGenerated")
        found = np.fromiter(map(is_generated, repeat(self._raw), places.tolist()), dtype=np.int64, count=len(places))
        made = np.zeros(len(spaces), dtype=bool)
        made[places] = found == 1
        return _any_between(spaces & ~made, index), _any_between(made, index)

    def _face(self, index: int, fallback: float) -> tuple[float, int, int]:
        """Size as drawn, weight as of ``Segment``, and angle in sixteenths of a turn, of the character at ``index``."""
        known = self._faces.get(index)
        if known is not None:
            return known
        pdfium, raw = self._pdfium, self._raw
        size = quick("FPDFText_GetFontSize")(raw, index)
        matrix = (ctypes.c_float * 6)()
        angle = 0
        if quick("FPDFText_GetMatrix")(raw, index, ctypes.addressof(matrix)):
            a, b, _, d = matrix[:4]
            size *= max(abs(d), abs(b)) or 1.0
            angle = round(math.atan2(b, a) / SIXTEENTH_TURN) % 16
        drawn = quick("FPDFText_GetTextObject")(raw, index)
        weight = 0
        if drawn:
            font = quick("FPDFTextObj_GetFont")(drawn)
            if font not in self._weights:
                self._weights[font] = self._weight(index)
            # Filled and outlined: how a font without a bold face is made bold.
            stroked = quick("FPDFTextObj_GetTextRenderMode")(drawn) == pdfium.FPDF_TEXTRENDERMODE_FILL_STROKE
            weight = 2 if stroked else self._weights[font]
        found = self._faces[index] = ((size if size > 0.5 else fallback * 0.8), weight, angle)
        return found

    def _weight(self, index: int) -> int:
        pdfium, raw = self._pdfium, self._textpage.raw
        buffer = ctypes.create_string_buffer(128)
        length = pdfium.FPDFText_GetFontInfo(raw, index, buffer, 128, ctypes.c_int())
        name = buffer.raw[: max(0, min(length, 128) - 1)].decode("utf-8", "replace").lower()
        if pdfium.FPDFText_GetFontWeight(raw, index) >= 600 or _BOLD_NAME.search(name):
            return 2
        return 1 if _HEAVY_NAME.search(name) else 0

    def links(self) -> list[Link]:
        """The links of the page that lead out of the document, with the words inside their boxes."""
        pdfium = self._pdfium
        found: list[Link] = []
        if not self.characters:
            return found
        position, link, rect = ctypes.c_int(0), pdfium.FPDF_LINK(), pdfium.FS_RECTF()
        a, b, c, d, e, f = self._matrix
        center_x, center_y = (self._boxes[:, 0] + self._boxes[:, 2]) / 2, (self._boxes[:, 1] + self._boxes[:, 3]) / 2
        while len(found) < MAX_LINKS and pdfium.FPDFLink_Enumerate(self._page.raw, position, link):
            target = self._target(link)
            if not target or not pdfium.FPDFLink_GetAnnotRect(link, rect):
                continue
            xs = sorted((a * rect.left + c * rect.bottom + e, a * rect.right + c * rect.top + e))
            ys = sorted((b * rect.left + d * rect.bottom + f, b * rect.right + d * rect.top + f))
            inside = np.flatnonzero(
                (center_x >= xs[0]) & (center_x <= xs[1]) & (center_y >= ys[0]) & (center_y <= ys[1])
            )
            if len(inside):
                words = self._words(inside)
                found.append(Link(words, target, (xs[0], ys[0], xs[1], ys[1])))
        return found

    def _words(self, inside: NDArray[np.int64]) -> str:
        real, made = self._spaces
        spaced = np.append(False, real | made)
        return "".join((" " if spaced[i] else "") + chr(self._shown[i]) for i in inside.tolist()).strip()

    def _target(self, link: Any) -> str:
        pdfium = self._pdfium
        action = pdfium.FPDFLink_GetAction(link)
        document = self._page.pdf
        if not action or document is None or pdfium.FPDFAction_GetType(action) != pdfium.PDFACTION_URI:
            return ""
        length = pdfium.FPDFAction_GetURIPath(document.raw, action, None, 0)
        buffer = ctypes.create_string_buffer(max(length, 1))
        pdfium.FPDFAction_GetURIPath(document.raw, action, buffer, length)
        return buffer.value.decode("utf-8", "replace").strip()


class _Texts:
    """The characters with their spaces and soft hyphens, in one piece that segments are cut from."""

    def __init__(self, codes: NDArray[np.int64], spaced: NDArray[np.bool_], hyphened: NDArray[np.bool_]) -> None:
        ends = np.cumsum(1 + spaced.astype(np.int64) + hyphened)
        places = ends - 1 - hyphened
        text = np.full(int(ends[-1]), 32, dtype=np.uint32)
        text[places] = codes
        text[(ends - 1)[hyphened]] = 0xAD
        self._text = text.tobytes().decode("utf-32-le", "surrogatepass")
        self._places, self._ends = places.tolist(), ends.tolist()

    def between(self, start: int, end: int) -> str:
        """The text of the characters from ``start`` to before ``end``."""
        return self._text[self._places[start] : self._ends[end - 1]].strip()

    def place(self, start: int, i: int) -> int:
        """Where in that text the character ``i`` stands."""
        return int(self._places[i] - self._places[start])


def _of_main_angle(segments: list[Segment], angles: list[int]) -> tuple[list[Segment], bool]:
    """Without the few segments that are drawn at another angle than the rest of the page, and whether there are some."""
    amount: Counter[int] = Counter()
    for segment, angle in zip(segments, angles, strict=True):
        amount[angle] += len(segment.text)
    main, most = amount.most_common(1)[0]
    if most < MAIN_ANGLE_SHARE * sum(amount.values()):
        return segments, False
    return [segment for segment, angle in zip(segments, angles, strict=True) if angle == main], len(amount) > 1


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
