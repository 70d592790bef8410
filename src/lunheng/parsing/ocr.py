"""Text from pictures of pages, where an engine is installed (extra ``ocr``).

Called by the PDF parser for pages without a text layer. rapidocr's angle classifier is turned off:
it costs accuracy on upright pages.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from typing import Any

from lunheng.errors import MissingExtraError
from lunheng.types import BBox

DPI = 200
MIN_CONFIDENCE = 0.5


@dataclass(frozen=True, slots=True)
class OcrLine:
    """A recognised line: its box in points from the page's top left."""

    text: str
    bbox: BBox
    confidence: float


def engine_name(setting: str) -> str | None:
    """The engine that ``setting`` (auto, off, rapidocr, tesseract) leads to here, or None.

    Raises:
        MissingExtraError: if an engine is asked for by name and is not installed.
    """
    if setting == "off":
        return None
    if setting == "tesseract":
        raise MissingExtraError("the tesseract engine", "ocr")
    if importlib.util.find_spec("rapidocr") is not None:
        return "rapidocr"
    if setting == "rapidocr":
        raise MissingExtraError("rapidocr", "ocr")
    return None


def recognise(page: Any, max_pixels: int) -> list[OcrLine]:
    """Recognise a pypdfium2 page drawn at 200 dpi (less where that would exceed ``max_pixels``)."""
    width, height = page.get_size()
    scale = min(DPI / 72, (max_pixels / max(width * height, 1)) ** 0.5)
    image = page.render(scale=scale).to_numpy()
    if image.ndim == 3 and image.shape[2] == 4:
        image = image[:, :, :3]
    found = _rapidocr()(image, use_cls=False)
    if found.boxes is None:
        return []
    lines = []
    for box, text, confidence in zip(found.boxes, found.txts, found.scores, strict=True):
        if confidence >= MIN_CONFIDENCE and text.strip():
            xs, ys = box[:, 0] / scale, box[:, 1] / scale
            bbox = (float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))
            lines.append(OcrLine(text, bbox, float(confidence)))
    return lines


@functools.cache
def _rapidocr() -> Any:
    import logging

    from rapidocr import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return RapidOCR(params={"Global.use_cls": False, "Global.log_level": "error"})
