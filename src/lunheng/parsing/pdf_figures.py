"""The figures of a PDF, drawn: their text, and the pictures themselves where they are to be described.

Called through ``pdf_structure`` for figures with a caption. A figure is drawn and not taken out of the file, since most
are made of many pieces; where text stands in its box already, nothing is recognised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lunheng.parsing.figures import FigureFound, FigureReader
from lunheng.parsing.ocr_page import MAX_SIDE
from lunheng.parsing.pdf_scans import DPI
from lunheng.types import BBox

ReadFigure = Callable[[int, BBox, bool], FigureFound]
"""What is in a box, in points from the top left of the upright page; pages count from 1. The last: whether to recognise."""


def figure_source(pdf: Any, reader: FigureReader, max_pixels: int) -> ReadFigure:
    """Reads boxes of a pypdfium2 document as long as it is open."""

    def read(number: int, box: BBox, text: bool) -> FigureFound:
        if not reader.wants(text):
            return FigureFound()
        page = pdf[number - 1]
        try:
            width, height = page.get_size()
            x0, top, x1, bottom = max(box[0], 0.0), max(box[1], 0.0), min(box[2], width), min(box[3], height)
            if x1 - x0 < 1 or bottom - top < 1:
                return FigureFound()
            scale = min(
                DPI / 72, MAX_SIDE / max(x1 - x0, bottom - top), (max_pixels / ((x1 - x0) * (bottom - top))) ** 0.5
            )
            crop = (x0, height - bottom, width - x1, top)
            drawn = page.render(scale=scale, crop=crop, rev_byteorder=True).to_numpy()
        finally:
            page.close()
        channels = [0, 0, 0] if drawn.shape[2] == 1 else [0, 1, 2]
        return reader.read_pixels(np.ascontiguousarray(drawn[:, :, channels]), text)

    return read
