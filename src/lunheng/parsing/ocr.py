"""Text from pictures of pages, where an engine is installed (extra ``ocr``).

Called by the PDF parser for pages without a text layer. rapidocr's angle classifier is turned off:
it costs accuracy on upright pages.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import MissingExtraError
from lunheng.types import BBox

DPI = 200
MIN_CONFIDENCE = 0.5
DOUBTFUL = 0.85
"""A page read with less mean confidence may lie on its side."""


@dataclass(frozen=True, slots=True)
class OcrLine:
    """A recognised line: its box in points from the page's top left."""

    text: str
    bbox: BBox
    confidence: float


def engine_name(setting: str) -> str | None:
    """The engine that ``setting`` (auto, off, rapidocr) leads to here, or None.

    Raises:
        MissingExtraError: if an engine is asked for by name and is not installed.
    """
    if setting == "off":
        return None
    if importlib.util.find_spec("rapidocr") is not None:
        return "rapidocr"
    if setting == "rapidocr":
        raise MissingExtraError("rapidocr", "ocr")
    return None


def recognise(page: Any, max_pixels: int) -> list[OcrLine]:
    """Recognise a pypdfium2 page drawn at 200 dpi (less where that would exceed ``max_pixels``).

    A page that reads badly is tried at each quarter turn and the best reading is kept; boxes are
    then those of the page turned upright.
    """
    width, height = page.get_size()
    scale = min(DPI / 72, (max_pixels / max(width * height, 1)) ** 0.5)
    image = page.render(scale=scale).to_numpy()
    if image.ndim == 3 and image.shape[2] == 4:
        image = image[:, :, :3]
    best = _read(image, scale)
    on_its_side = _mostly_upright_strips(best)
    if best and (on_its_side or _mean_confidence(best) < DOUBTFUL):
        # The engine itself turns tall strips, so a page on its side may read well, with its lines in disorder.
        turned = [_read(np.ascontiguousarray(np.rot90(image, turns)), scale) for turns in (1, 2, 3)]
        best = max(turned if on_its_side else [best, *turned], key=_evidence)
    return best


def _mostly_upright_strips(lines: list[OcrLine]) -> bool:
    strips = [line.bbox for line in lines if len(line.text) >= 4]
    return 2 * sum(bottom - top > 1.5 * (right - left) for left, top, right, bottom in strips) > len(strips)


def _read(image: NDArray[np.uint8], scale: float) -> list[OcrLine]:
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


def _mean_confidence(lines: list[OcrLine]) -> float:
    return sum(line.confidence for line in lines) / len(lines)


def _evidence(lines: list[OcrLine]) -> float:
    """How much was read, surely: letters weighed by the square of their confidence."""
    return sum(len(line.text) * line.confidence**2 for line in lines)


@functools.cache
def _rapidocr() -> Any:
    import logging

    from rapidocr import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return RapidOCR(params={"Global.use_cls": False, "Global.log_level": "error"})
