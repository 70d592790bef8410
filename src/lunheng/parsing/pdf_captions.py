"""Captions of a PDF, bound to their tables and figures by their first words and their place.

Called by ``pdf_structure`` with the lines of the whole document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lunheng.parsing.pdf_layout import Line, starts_paragraph
from lunheng.types import BBox

MAX_CAPTION_LINES = 3
CAPTION_DISTANCE = 2.0
"""A caption stands within so many line heights of its table."""
FIGURE_DISTANCE = 3.0
"""And within so many of its figure."""
MIN_FIGURE = 30.0
"""Smaller pictures are signs and ornaments, in points."""
_NUMBER = r"\s*(?:[a-z]?\d{1,3}(?:[.\-–—]\d{1,3})*|[一二三四五六七八九十]{1,3}|[ivxl]{1,5})(?![\w%])(?!\s+(?-i:[a-z]))"
_TABLE = re.compile(r"(?:[附续]?表|table|tab\.)" + _NUMBER, re.I)
_FIGURE = re.compile(r"(?:[附续]?图|figure|fig\.)" + _NUMBER, re.I)


def table_captions(lines: list[Line]) -> dict[int, int]:
    """The ids of the lines that are a caption, with the id of their table's line: above it, else below."""
    captions: dict[int, int] = {}
    tables = [i for i, line in enumerate(lines) if line.table is not None]
    bare: list[int] = []
    for i in tables:
        for start in range(i - 1, max(i - 1 - MAX_CAPTION_LINES, -1), -1):
            if not _adjoin(lines[start], lines[start + 1]):
                bare.append(i)
                break
            if _is_caption(lines[start:i], _TABLE):
                captions.update((id(line), id(lines[i])) for line in lines[start:i])
                break
        else:
            bare.append(i)
    for i in bare:
        end = i + 1
        if end == len(lines) or id(lines[end]) in captions or not _adjoin(lines[i], lines[end]):
            continue
        while (
            end < min(len(lines) - 1, i + MAX_CAPTION_LINES)
            and _adjoin(lines[end], lines[end + 1])
            and not starts_paragraph(lines[end], lines[end + 1], lines[end].height)
        ):
            end += 1
        if _is_caption(lines[i + 1 : end + 1], _TABLE):
            captions.update((id(line), id(lines[i])) for line in lines[i + 1 : end + 1])
    return captions


def _adjoin(above: Line, below: Line) -> bool:
    """Whether two lines, one of them of text, can be a caption and its table, or lines of a caption."""
    height = (
        min(line.height for line in (above, below) if line.table is None)
        if above.table is None or below.table is None
        else 0.0
    )
    return above.page == below.page and -height < below.top - above.bottom < CAPTION_DISTANCE * height


def _is_caption(lines: Sequence[Line], mark: re.Pattern[str]) -> bool:
    return mark.match(lines[0].text) is not None and not lines[-1].text.endswith(("。", "：", ":"))


def figure_captions(lines: list[Line], pictures: Mapping[int, Sequence[BBox]]) -> dict[int, tuple[int, BBox]]:
    """The ids of the lines that are a figure's caption, with the id of the first of them and the figure's box.

    ``pictures`` are the boxes of what is drawn or shown on each page.
    """
    captions: dict[int, tuple[int, BBox]] = {}
    for i, line in enumerate(lines):
        if line.table is not None or line.page not in pictures or not _FIGURE.match(line.text):
            continue
        end = i + 1
        while (
            end < min(len(lines), i + MAX_CAPTION_LINES)
            and lines[end].table is None
            and (lines[end].page, lines[end].flow) == (line.page, line.flow)
            and not starts_paragraph(lines[end - 1], lines[end], line.height)
        ):
            end += 1
        figure = _figure(lines[i:end], pictures[line.page])
        if figure is not None:
            captions.update((id(other), (id(line), figure)) for other in lines[i:end])
    return captions


def _figure(caption: Sequence[Line], pictures: Sequence[BBox]) -> BBox | None:
    """The box of the picture that ends just above the caption, or begins just below; pieces of a drawing together."""
    first, last = caption[0], caption[-1]
    x0, x1 = min(line.x0 for line in caption), max(line.x1 for line in caption)
    reach = FIGURE_DISTANCE * first.height
    near = [
        box
        for box in pictures
        if box[0] < x1 and box[2] > x0
        if -first.height < first.top - box[3] < reach or -first.height < box[1] - last.bottom < reach
    ]
    if not near:
        return None
    whole = near[0]
    for _ in range(len(pictures)):
        grown = whole
        for box in pictures:
            if box[0] <= whole[2] + 5 and box[2] >= whole[0] - 5 and box[1] <= whole[3] + 5 and box[3] >= whole[1] - 5:
                grown = (min(grown[0], box[0]), min(grown[1], box[1]), max(grown[2], box[2]), max(grown[3], box[3]))
        if grown == whole:
            break
        whole = grown
    if min(whole[2] - whole[0], whole[3] - whole[1]) < MIN_FIGURE:
        return None
    return tuple(round(v, 1) for v in whole)  # type: ignore[return-value]
