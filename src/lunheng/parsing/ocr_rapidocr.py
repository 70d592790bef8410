"""rapidocr: PP-OCR models on onnxruntime, inside the wheel (extra ``ocr``). Called through ``ocr.open_engine``.

Its angle classifier is turned off: it costs accuracy on upright pages, and ``ocr_page`` finds a page's rotation once.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np

from lunheng.parsing.ocr import OcrLine, Picture

UNCLIP = 1.3
"""Its boxes are about so many times as high as the letters in them."""
MIN_SIDE = 736
"""It enlarges a picture whose shorter side is less, to no use where the picture is long: white is added instead."""
MAX_ASPECT = 1.6
DOUBTFUL_LETTERS = 0.3
"""Below this confidence a box holds no letters."""


class RapidOcrEngine:
    """Chinese, English and digits mixed."""

    warnings: tuple[str, ...] = ()

    def read(self, picture: Picture) -> list[OcrLine]:
        found = _engine()(_padded(picture)[:, :, ::-1], use_cls=False)
        if found.boxes is None or found.txts is None:
            return []
        lines = []
        for box, text, confidence in zip(found.boxes, found.txts, found.scores, strict=True):
            if confidence < DOUBTFUL_LETTERS or not text.strip():
                continue
            (x0, top), (x1, bottom) = box.min(axis=0).tolist(), box.max(axis=0).tolist()
            margin = min(x1 - x0, bottom - top) * (1 - 1 / UNCLIP) / 2
            bbox = (x0 + margin, top + margin, x1 - margin, bottom - margin)
            lines.append(OcrLine(text.strip(), bbox, float(confidence)))
        return lines


def _padded(picture: Picture) -> Picture:
    """With white at its right or lower edge where it is so long that it would be enlarged without need."""
    height, width = picture.shape[:2]
    short, long = min(height, width), max(height, width)
    if short >= MIN_SIDE or long * MIN_SIDE / max(short, 1) <= MIN_SIDE * MAX_ASPECT:
        return picture
    size = min(MIN_SIDE, max(int(long / MAX_ASPECT), short))
    down, across = max(size - height, 0), max(size - width, 0)
    return np.pad(picture, ((0, down), (0, across), (0, 0)), constant_values=255)


@functools.cache
def _engine() -> Any:
    import logging

    from rapidocr import RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return RapidOCR(
        params={
            "Global.use_cls": False,
            "Global.log_level": "error",
            "Global.text_score": 0.0,  # doubtful lines tell that a page is upside down
            "EngineConfig.onnxruntime.intra_op_num_threads": _threads(),
        }
    )


def _threads() -> int:
    """Two at most: several files are parsed at a time, and the limit on CPU seconds is twice that on seconds."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else min(2, os.cpu_count() or 1)
