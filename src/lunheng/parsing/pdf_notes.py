"""Footnotes of a PDF: lines in a smaller font at the foot of a column, the first of them with a mark.

Called by ``pdf_structure``, which takes them out of the text that goes on over the page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from lunheng.parsing.pdf_layout import Line

SMALLER = 0.93
"""Than the text, at least."""
_MARK = re.compile(r"(?:\d{1,3}|[*†‡§¶]{1,3}|[①-⑳]|[\[（(〔]\d{1,3}[\]）)〕]|注\s*\d*[：:])(?=\s*\S)")
_NUMBERS = re.compile(r"[\d\s.,%–-]+$")


def footnotes(lines: Sequence[Line], heights: dict[int, float], body_size: float) -> list[list[Line]]:
    """The lines of each footnote, in their order."""
    notes: list[list[Line]] = []
    for page, members in groupby(lines, key=lambda line: line.page):
        on_page = list(members)
        for _, column in groupby(on_page, key=lambda line: line.flow):
            notes.extend(_at_foot(list(column), heights.get(page, 0.0), body_size))
    return notes


def _at_foot(column: list[Line], height: float, body_size: float) -> list[list[Line]]:
    first = len(column)
    while first and column[first - 1].table is None and column[first - 1].size <= SMALLER * body_size:
        first -= 1
    foot = column[first:]
    while foot and not _begins(foot[0], height):
        foot.pop(0)
    notes: list[list[Line]] = []
    for line in foot:
        if _begins(line, height):
            notes.append([line])
        else:
            notes[-1].append(line)
    return notes


def _begins(line: Line, height: float) -> bool:
    return line.top > 0.5 * height and _MARK.match(line.text) is not None and not _NUMBERS.match(line.text)
