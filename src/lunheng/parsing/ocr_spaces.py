"""The space between the number of a Chinese heading and its title (第一章 总则), which recognition drops.

Called by ``ocr_page`` for what an engine read. Whether there is a space is seen in the picture: a white gap behind the
number that is wider than those between characters. Without it an article's number would run into its text.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from lunheng.parsing.numbering import number_length
from lunheng.parsing.ocr import OcrLine, Picture
from lunheng.parsing.ocr_sizes import letter_width, line_size

MIN_GAP = 0.27
"""In font sizes: characters that touch no space stand closer than this,"""
WIDER = 1.6
"""and the gap is so many times as wide as the usual one: letters may be spaced out."""
NEAR = 0.8
"""The gap's middle lies so near, in font sizes, to where the number must end."""
MIN_CONTRAST = 40


def with_number_spaces(picture: Picture, lines: list[OcrLine]) -> list[OcrLine]:
    """The lines of an upright picture, with a space behind a heading's number where the picture has one."""
    return [_with_space(picture, line) for line in lines]


def _with_space(picture: Picture, line: OcrLine) -> OcrLine:
    at = number_length(line.text)
    rest = line.text[at:]
    if not at or not rest[:1].isalnum():
        return line
    x0, top, x1, bottom = (int(v) for v in line.bbox)
    size = line_size(line)
    ink = _inked_columns(picture[max(top, 0) : bottom, max(x0, 0) : x1])
    number = sum(map(letter_width, line.text[:at])) * size
    gaps = [(b - a, (a + b) / 2) for a, b in pairwise(ink.tolist()) if b - a > 1]
    near = [gap for gap, middle in gaps if abs(middle - number) < NEAR * size]
    if near and max(near) > MIN_GAP * size and max(near) > WIDER * median(gap for gap, _ in gaps):
        return replace(line, text=f"{line.text[:at]} {rest}")
    return line


def _inked_columns(strip: Picture) -> NDArray[np.intp]:
    """The places of the columns that hold something dark."""
    if not strip.size:
        return np.zeros(0, dtype=np.intp)
    grey = strip.mean(axis=2)
    low, high = float(grey.min()), float(grey.max())
    if high - low < MIN_CONTRAST:
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero((grey < (low + high) / 2).any(axis=0))
