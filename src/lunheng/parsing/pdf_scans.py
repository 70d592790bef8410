"""Which pages of a PDF must be recognised, and their pictures.

Called by ``pdf`` for each page. A text layer that reads well is kept as it is, also an invisible one over a scan.
"""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np

from lunheng.errors import ParseError
from lunheng.parsing.ocr import REMEDY, OcrEngine, engine_name, open_engine
from lunheng.parsing.ocr_page import MAX_SIDE, OcrPage, read_picture
from lunheng.parsing.pdf_glyphs import PageText
from lunheng.types import Limits

DPI = 200
FEW_LETTERS = 10
"""No page of text has less."""
THIN_LAYER = 120
"""On a page that one picture covers, a layer with fewer letters is a stamp, a page number or a title on it."""
COVERED = 0.6
SOME_PICTURE = 0.02
"""Of the page: a smaller picture is an icon."""
MANY_PATHS = 60
"""A page without letters and with so many drawn paths has its letters drawn."""
GARBLED_SHARE = 0.4
"""So many letters of Latin-1's upper half are no language, but bytes of another encoding."""
OCR_SHARE = 0.7
"""Of a document's seconds: then what was read is kept, rather than all lost to the clock."""
_STRANGE = re.compile("[\x00-\x1f]|(?![·×°±§©®«»])[\x80-\xff]")
_CODES = re.compile(r"\(cid:\d+\)")


def needs_recognition(page: Any, text: PageText) -> bool:
    """Whether a pypdfium2 page has no text that can be read, and something drawn where text could be."""
    if is_broken(text):
        return True
    if text.characters >= THIN_LAYER:
        return False
    covered, paths = _drawn(page, text.width * text.height)
    if text.characters > FEW_LETTERS:
        return covered >= COVERED
    return covered >= SOME_PICTURE or paths >= MANY_PATHS


def is_broken(text: PageText) -> bool:
    """Whether the layer is there and says nothing: glyphs without Unicode values, or with false ones."""
    if text.broken:
        return True
    letters = "".join("".join(s.text.split()) for s in text.segments)
    if len(letters) < 20:
        return False
    codes = sum(len(m.group()) for m in _CODES.finditer(letters))
    strange = len(_STRANGE.findall(letters))
    return codes > 0.3 * len(letters) or strange > GARBLED_SHARE * len(letters)


def _drawn(page: Any, area: float) -> tuple[float, int]:
    """The share of the page that pictures cover (scans come in strips: they are summed up), and how many paths it has."""
    import pypdfium2.raw as pdfium

    covered, paths = 0.0, 0
    for item in page.get_objects(max_depth=3):
        if item.type == pdfium.FPDF_PAGEOBJ_PATH:
            paths += 1
        elif item.type == pdfium.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = item.get_bounds()
            covered += max(right - left, 0.0) * max(top - bottom, 0.0)
    return covered / max(area, 1.0), paths


class ScanReader:
    """Recognises the pages of one document, within its time, and remembers those that it could not."""

    def __init__(self, setting: str, limits: Limits) -> None:
        name = engine_name(setting)
        self.engine: OcrEngine | None = open_engine(name) if name else None
        self.unread: list[int] = []
        self._reason = "OCR is off: set parsing.ocr" if setting == "off" else f"no OCR engine is installed: {REMEDY}"
        self._failed: dict[str, list[int]] = {}
        self._used = False
        self._max_pixels = limits.max_pixels
        self._seconds = OCR_SHARE * limits.max_seconds
        self._ends = time.monotonic() + self._seconds

    def read(self, page: Any, number: int, text: PageText) -> OcrPage | None:
        """Read a pypdfium2 page with its page number; None where it stays unread."""
        if self.engine is None:
            self.unread.append(number)
            return None
        if time.monotonic() > self._ends:
            late = f"recognition stopped after {self._seconds:.0f} s; raise parsing.max_seconds or split the file"
            self._failed.setdefault(late, []).append(number)
            return None
        self._used = True
        try:
            return recognise(page, text, self.engine, self._max_pixels)
        except ParseError as error:
            self._failed.setdefault(str(error), []).append(number)
            return None

    def warnings(self) -> list[str]:
        """What the reader of the document should know."""
        found = []
        if self.unread:
            found.append(
                f"pages {ranges(self.unread)} are pictures without readable text and were not recognised; {self._reason}"
            )
        for reason, numbers in self._failed.items():
            found.append(f"pages {ranges(numbers)} were not recognised: {reason}")
        return [*found, *(self.engine.warnings if self.engine and self._used else ())]


def recognise(page: Any, text: PageText, engine: OcrEngine, max_pixels: int) -> OcrPage:
    """Read a pypdfium2 page, drawn at about 200 dpi; less where that would exceed ``max_pixels`` or is plainly too much."""
    scale = min(
        _scale(page, text),
        (max_pixels / max(text.width * text.height, 1)) ** 0.5,
        MAX_SIDE / max(text.width, text.height),
    )
    # A whole number of pixels, else pdfium rounds up and every pixel of a scan is blurred into its neighbours.
    scale = (max(round(text.width * scale), 1) - 1e-3) / text.width
    picture = page.render(scale=scale, rev_byteorder=True).to_numpy()
    picture = np.repeat(picture[:, :, :1], 3, axis=2) if picture.shape[2] == 1 else picture[:, :, :3]
    found = read_picture(np.ascontiguousarray(picture), engine, 1 / scale)
    return found if is_broken(text) else found.with_layer(text.segments)


def ranges(numbers: list[int]) -> str:
    """1, 2, 3, 7 -> "1-3, 7"."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return ", ".join(f"{a}-{b}" if b > a else str(a) for a, b in runs)


def _scale(page: Any, text: PageText) -> float:
    """Pixels to a point: those of the scan that covers the page, where that is near 200 dpi: it stays as sharp as it is."""
    import pypdfium2.raw as pdfium

    for item in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        left, bottom, right, top = item.get_bounds()
        if (right - left) * (top - bottom) >= COVERED * text.width * text.height:
            own = item.get_px_size()[0] / (right - left)
            if 0.7 * DPI / 72 <= own <= 1.2 * DPI / 72:
                return float(own)
    return DPI / 72
