"""Running headers, footers and page numbers: what stands apart at the edge of the page, and comes again.

Called by ``pdf_layout``, which reads the edges apart from the columns between them, and by ``pdf``, which leaves out
what runs through the document once all its pages are read.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING

from lunheng.parsing.pdf_glyphs import Segment

if TYPE_CHECKING:
    from lunheng.parsing.pdf_layout import Line

MARGIN = 0.12
"""Running headers and footers stand in this share of the page at its top and bottom."""
MAX_ROWS = 3
APART = 1.2
"""The space between an edge line and the text is at least so many of its heights."""
SAME_SIZE, SAME_SIZE_AS_READ = 0.08, 0.17
"""Font sizes differ by no more than this share within one text; as they are measured in a picture, by this."""
MIN_PARAGRAPHS = 2
FEW_PAGES = 3
"""With so few pages a header need not come again: one line in a smaller font, apart at the top, shows it."""
SMALLER = 0.92
_Place = Callable[[Segment], float]
_PAGE_NUMBER = re.compile(
    r"[\W_]*(?:page|p\.|第)?\s*(?:\d{1,4}|[ivxlc]{1,6})\s*(?:页|(?:/|of|共)\s*\d{1,4}\s*页?)?[\W_]*$", re.I
)


def split_edges(segments: list[Segment], height: float) -> tuple[list[Segment], list[Segment], list[Segment]]:
    """What stands apart at the top of a page of this height, the text between, and what stands apart at its bottom."""
    ordered = sorted(segments, key=lambda s: s.top)
    above = _apart(ordered, lambda s: s.top, lambda s: s.bottom, MARGIN * height)
    if above and _goes_on(ordered[:above], ordered[above:]):
        above = 0
    ordered = sorted(ordered[above:], key=lambda s: -s.bottom)
    below = _apart(ordered, lambda s: -s.bottom, lambda s: -s.top, -(1 - MARGIN) * height)
    if below and _goes_on(ordered[:below], ordered[below:]):
        below = 0
    taken = {id(s) for s in ordered[:below]}
    between = {id(s) for s in ordered[below:]}
    bottom = [s for s in segments if id(s) in taken]
    middle = [s for s in segments if id(s) in between]
    return [s for s in segments if id(s) not in taken and id(s) not in between], middle, bottom


def _goes_on(edge: list[Segment], text: list[Segment]) -> bool:
    """Whether what seems to stand apart is the first or last paragraph of a column: in its font size and at its left
    edge, and no further from it than its other paragraphs from one another."""
    usual = median(s.size for s in text)
    same = SAME_SIZE if edge[0].confidence is None else SAME_SIZE_AS_READ
    if abs(median(s.size for s in edge) - usual) > same * usual:
        return False
    gap = float("inf")
    for part in edge:
        beside = [s for s in text if s.x0 < part.x1 and s.x1 > part.x0]
        if not beside or min(abs(s.x0 - part.x0) for s in beside) > 0.5 * usual:
            return False
        gap = min(gap, *(_space(s, part) for s in beside))
    spaces = [
        min(
            (_space(s, other) for other in text if other.x0 < s.x1 and other.x1 > s.x0 and other.top > s.middle),
            default=0,
        )
        for s in text
    ]
    return sum(gap - 0.3 * usual <= space < 2 * gap for space in spaces) >= MIN_PARAGRAPHS


def _space(one: Segment, other: Segment) -> float:
    """The height of the space between two segments that stand one above the other."""
    return max(one.top, other.top) - min(one.bottom, other.bottom)


def _apart(ordered: Sequence[Segment], near: _Place, far: _Place, limit: float) -> int:
    """How many of the segments, from the edge inwards, end before a wide space within the margin; 0 if none."""
    end, rows, tall = float("-inf"), 0, 0.0
    for i, segment in enumerate(ordered):
        if i and near(segment) - end >= APART * tall:
            return i
        if near(segment) > end - 0.3 * tall:
            rows += 1
        end, tall = max(end, far(segment)), max(tall, segment.height)
        if end > limit or rows > MAX_ROWS:
            return 0
    return 0


def without_running_lines(lines: list[Line], heights: dict[int, float], body_size: float) -> list[Line]:
    """Leave out headers, footers and page numbers: lines at the edge of the page that come again and again."""
    edge: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        height = heights[line.page]
        if line.bottom < MARGIN * height or line.top > (1 - MARGIN) * height:
            edge[line.page].append(line)
    pages = len({line.page for line in lines})
    repeats = Counter(
        key for members in edge.values() for key in {_running_key(line, heights[line.page]) for line in members}
    )
    needed = 2 if pages <= FEW_PAGES else max(3, 0.3 * pages)
    extent = {
        page: (min(m.top for m in members), max(m.bottom for m in members)) for page, members in _by_page(lines).items()
    }
    alone = {
        page: id(above[0])
        for page, members in edge.items()
        if len(above := [m for m in members if m.at_edge and m.top < heights[page] / 2]) == 1
    }
    dropped: set[int] = set()
    for page, members in edge.items():
        first, last = extent[page]
        for line in members:
            repeated = pages > 1 and repeats[_running_key(line, heights[page])] >= needed
            outermost = line.top <= first + 1 or line.bottom >= last - 1
            # One line by itself: more of them are a letter's head.
            small = line.at_edge and line.size < SMALLER * body_size and alone.get(page) == id(line)
            if repeated or (outermost and _PAGE_NUMBER.match(line.text)) or (small and pages <= FEW_PAGES):
                dropped.add(id(line))
    return [line for line in lines if id(line) not in dropped]


def _by_page(lines: list[Line]) -> dict[int, list[Line]]:
    pages: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        pages[line.page].append(line)
    return pages


def _running_key(line: Line, page_height: float) -> tuple[str, bool]:
    """The same for a line that differs only by a number, at the same end of the page."""
    return re.sub(r"\d+|\b[ivxlc]+\b", "#", _without_spaces(line.text)), line.top < page_height / 2


def _without_spaces(text: str) -> str:
    return "".join(text.split()).casefold()
