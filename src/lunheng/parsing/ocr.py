"""The seam to text recognition: an engine takes a picture and gives lines with boxes and confidences.

Called by ``ocr_page`` for pages and pictures, and by ``lunheng.parsing`` for the name of the engine in use. Each
engine is one file (``ocr_rapidocr``, ``ocr_tesseract``) and knows nothing of pages: turning a picture upright,
reading order, paragraphs and tables are the same for all of them.
"""

from __future__ import annotations

import functools
import importlib.util
import shutil
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import MissingExtraError
from lunheng.types import BBox

Picture = NDArray[np.uint8]
"""(height, width, 3), red, green, blue."""

ENGINES = ("rapidocr", "tesseract")
"""In the order in which ``auto`` prefers them."""
MARGIN = 20
"""Pixels of white around strips that are read together."""
REMEDY = "run: pip install 'lunheng[ocr]' (or install the program tesseract)"


@dataclass(frozen=True, slots=True)
class OcrLine:
    """A recognised run of text on one line; what stands beyond a wide gap is a line of its own."""

    text: str
    bbox: BBox
    """Close around the letters, in pixels from the picture's top left corner."""
    confidence: float
    """In [0, 1]; each engine's own, comparable only within it."""


class OcrEngine(Protocol):
    """Reads the text of a picture."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What it lacks here (a language), for the warnings of each document that it reads."""
        ...

    def read(self, picture: Picture) -> list[OcrLine]:
        """Every line that is there, in any order, doubtful ones included."""
        ...


def engine_name(setting: str) -> str | None:
    """The engine that ``setting`` (auto, off, rapidocr, tesseract) leads to here, or None.

    Raises:
        MissingExtraError: if an engine is asked for by name and is not installed.
    """
    if setting == "off":
        return None
    for name in ENGINES:
        if setting in ("auto", name) and _installed(name):
            return name
    if setting == "rapidocr":
        raise MissingExtraError("rapidocr", "ocr")
    if setting == "tesseract":
        raise MissingExtraError("the program tesseract", "ocr", "apt install tesseract-ocr tesseract-ocr-chi-sim")
    return None


def _installed(name: str) -> bool:
    return (importlib.util.find_spec(name) if name == "rapidocr" else shutil.which(name)) is not None


def stacked(strips: list[Picture]) -> tuple[Picture, list[tuple[int, int]]]:
    """Strips of a picture below one another on white, so that they are read at once; the top and bottom of each."""
    width = max(strip.shape[1] for strip in strips)
    sheet = np.full((sum(len(s) + MARGIN for s in strips) + MARGIN, width + 2 * MARGIN, 3), 255, dtype=np.uint8)
    places, y = [], MARGIN
    for strip in strips:
        sheet[y : y + len(strip), MARGIN : MARGIN + strip.shape[1]] = strip
        places.append((y, y + len(strip)))
        y += len(strip) + MARGIN
    return sheet, places


@functools.cache
def open_engine(name: str) -> OcrEngine:
    """The engine that ``engine_name`` gave; models are loaded once a process, at the first reading."""
    if name == "rapidocr":
        from lunheng.parsing.ocr_rapidocr import RapidOcrEngine

        return RapidOcrEngine()
    from lunheng.parsing.ocr_tesseract import TesseractEngine

    return TesseractEngine()
