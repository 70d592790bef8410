"""Font sizes of recognised lines: from their boxes and the usual shapes of their letters.

Called by ``ocr_page`` and ``ocr_spaces`` for lines as an engine gives them, and by the parsers, once all pages are read, to
give lines of one font the same size.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np

from lunheng.parsing.ocr import OcrLine
from lunheng.parsing.pdf_glyphs import is_cjk
from lunheng.parsing.pdf_layout import Line

EVEN = 0.17
"""Sizes of one font differ by no more than this share, as they are measured from the boxes of lines."""
APART = 1.12
"""A step between two measured sizes that parts two fonts."""
MIN_EMS = 1.5
"""The length of fewer letters says nothing of their size."""
_DESCENDERS = frozenset("gjpqyQ,;()[]{}|/$§")
_SHORT = frozenset("acemnorsuvwxz")
_MARKS = frozenset(".,:;'\"-–—_·…、。，")


def usual_size(lines: list[OcrLine]) -> float:
    """The font size, in pixels, that most of the text has; 0 without text."""
    sizes = np.repeat([line_size(line) for line in lines], [len(line.text) for line in lines])
    return float(np.median(sizes)) if len(sizes) else 0.0


def line_size(line: OcrLine) -> float:
    """The font size of a line, in pixels: from its length and the usual widths of its letters.

    Boxes are closer to the truth in their length than in their height. Few letters, and letters set apart, are
    measured by what their height reaches.
    """
    ems = sum(map(letter_width, line.text))
    by_width = (line.bbox[2] - line.bbox[0]) / max(ems, 0.1)
    by_height = _size_by_height(line)
    return by_width if ems >= MIN_EMS and 0.5 * by_height < by_width < 1.8 * by_height else by_height


def letter_width(letter: str) -> float:
    """The usual width of a letter, in font sizes."""
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    if letter in "ijlI.,:;'|!":
        return 0.25
    if letter in "frt()[]-/ ":
        return 0.31
    if letter in "mwMW@%":
        return 0.85
    return 0.68 if letter.isupper() else 0.55


def _size_by_height(line: OcrLine) -> float:
    height = line.bbox[3] - line.bbox[1]
    letters = [c for c in line.text if c not in _MARKS and not c.isspace()]
    if not letters:
        return height
    if any(is_cjk(c) for c in letters):
        return height / 0.92
    below = any(c in _DESCENDERS for c in line.text)
    if all(c in _SHORT or c in _DESCENDERS for c in letters):
        return height / (0.75 if below else 0.55)
    return height / (0.97 if below else 0.77)


def even_sizes(lines: Iterable[Line]) -> None:
    """Give recognised lines of one font the same size: what differs by little was only measured so.

    Sizes near the usual one become it (that of the text layers, where a document has those too); larger and smaller
    ones are gathered where a gap parts them.
    """
    plain = [line for line in lines if line.table is None]
    read = sorted((line for line in plain if line.confidence is not None), key=lambda line: line.size)
    if not read:
        return
    usual = _weighted_median(read)
    layer = [line for line in plain if line.confidence is None]
    if layer and abs(_weighted_median(layer) - usual) <= EVEN * usual:
        usual = _weighted_median(layer)
    groups: list[list[Line]] = []
    for line in read:
        near = abs(line.size - usual) <= EVEN * usual
        if (
            groups
            and line.size <= APART * groups[-1][-1].size
            and near == (abs(groups[-1][-1].size - usual) <= EVEN * usual)
        ):
            groups[-1].append(line)
        else:
            groups.append([line])
    sizes = [usual if abs(g[-1].size - usual) <= EVEN * usual else _weighted_median(g) for g in groups]
    for group, size in zip(groups, sizes, strict=True):
        for line in group:
            line.size = size


def _weighted_median(lines: Iterable[Line]) -> float:
    return float(np.median(np.repeat([line.size for line in lines], [len(line.text) for line in lines])))
