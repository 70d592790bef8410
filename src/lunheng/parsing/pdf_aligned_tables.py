"""Tables without any rule: lines of text whose pieces stand in the same columns, one line after another.

Called by ``pdf_tables`` with what is left of a page once the tables with rules are taken. Columns of prose are told by
lines that fill their column, lists by their marks, tables of contents by their dots.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np

from lunheng.parsing.pdf_glyphs import Segment, letters
from lunheng.parsing.pdf_layout import MAX_DEPTH, reading_order, text_rows
from lunheng.parsing.pdf_rows import PADDING, Grid, ends_early

MIN_LINES = {2: 4}
"""Two columns alone need more lines that have both."""
MIN_LINES_OF_MANY = 3
MANY_LINES = 8
"""So many show the usual spaces."""
MIN_GAP = 0.8
"""Between two cells of one line, in line heights."""
MAX_SPACE = 1.7
"""Between two lines of a table, in line heights, or in its usual spaces."""
ALIGNED = 0.7
"""So many of a column's cells begin, end or are centred at one place."""
SAME_PLACE = 3.0
SAME_START = 1.0
"""Of cells below one another, in points."""
MIN_FILLED = 0.55
LEVEL = 0.8
"""So many of the lines have all their cells at one height."""
RUNNING_LETTERS = 16
"""A column of lines mostly so long, each of them full, is prose; a Chinese character counts double."""
RUNNING_SHARE = 0.7
SHORT = 0.45
"""Cells are narrower than this share of the page's text, most of them."""
_MARK = re.compile(r"[•●◦▪■□◆◇➢✓‣·∙○–—*-]$|[（(]?\w{1,3}[.)）、]$|[①-⑳]$|\[\d{1,3}\]$")
_LEADER = re.compile(r"\.{4}|(?:\. ){3}|…{2}|·{4}")
_Row = list[Segment]


def find_aligned_grids(segments: list[Segment], depth: int = 0) -> list[Grid]:
    """The grids of a page's text: over its whole width, and within each of its columns, those first if they are of prose."""
    if depth > MAX_DEPTH or not _may_have_tables(segments):
        return []
    # One division at a time: the columns of a table would be taken for the page's.
    flows = reading_order(segments, MAX_DEPTH - 1)
    columns = sum(map(_is_running, flows))
    if columns >= 2:
        grids = [grid for flow in flows for grid in find_aligned_grids(flow, depth + 1)]
        rest = _outside(segments, grids)
        wide = sum(_cells(row) > columns for row in text_rows(rest))
        return [*grids, *(_grids(rest) if wide >= MIN_LINES_OF_MANY else ())]
    grids = list(_grids(segments))
    flows = reading_order(_outside(segments, grids), MAX_DEPTH - 1) if grids else flows
    if len(flows) > 1:
        grids.extend(grid for flow in flows for grid in find_aligned_grids(flow, depth + 1))
    return grids


def _outside(segments: list[Segment], grids: list[Grid]) -> list[Segment]:
    boxes = [grid.bbox for grid in grids]
    return [s for s in segments if not any(b[1] <= s.middle <= b[3] and b[0] <= s.x0 <= b[2] for b in boxes)]


def _may_have_tables(segments: list[Segment]) -> bool:
    """Cheap: a page of prose has few lines with short pieces beside one another."""
    if len(segments) < 2 * MIN_LINES_OF_MANY:
        return False
    width = max(s.x1 for s in segments) - min(s.x0 for s in segments)
    places: dict[int, int] = {}
    for segment in segments:
        if segment.x1 - segment.x0 < SHORT * width:
            # Where the halves of a line's place differ by rounding, one of both shows it.
            key = round(segment.middle / 2)
            places[key] = places.get(key, 0) + 1
    return sum(count >= 2 for count in places.values()) >= MIN_LINES_OF_MANY


def _grids(segments: list[Segment]) -> Iterator[Grid]:
    for run in _runs(text_rows(_parted(segments))):
        # A line of prose with wide spaces may stand directly above.
        grid = next((g for g in map(_grid, (run, run[1:], run[2:])) if g is not None), None)
        if grid is not None:
            yield grid


def _parted(segments: list[Segment]) -> list[Segment]:
    """The segments, cut at a doubtful gap where others begin at the same place as what follows it."""
    if not any(s.gaps for s in segments):
        return segments
    starts = np.sort([s.x0 for s in segments])

    def borders(segment: Segment) -> list[float]:
        places = [(b, np.searchsorted(starts, (b - SAME_START, b + SAME_START))) for _, _, b in segment.gaps]
        return [b for b, (first, last) in places if last - first >= 2]

    return [piece for s in segments for piece in (s.parted(borders(s)) if s.gaps else [s])]


def _runs(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Lines one below another that have two cells or more, and the lines between that fit one column of theirs."""
    run: list[_Row] = []
    columns: list[tuple[float, float]] = []
    for row in rows:
        cells = _cells(row)
        if run and (
            _space(run[-1], row) > _most_space(run)
            or not (cells > 1 or _goes_on(run, row))
            or (len(run) >= MIN_LINES_OF_MANY and _bridges(columns, row))
        ):
            yield _trimmed(run)
            run, columns = [], []
        if run or cells > 1:
            if run:  # the first line may be a heading over several columns
                columns = _merged([*columns, *((s.x0, s.x1) for s in row)], 0.6 * MIN_GAP * row[0].height)
            run.append(row)
    if run:
        yield _trimmed(run)


def _bridges(columns: list[tuple[float, float]], row: _Row) -> bool:
    """Whether a piece of the line reaches over two of the columns."""
    return any(sum(x0 < s.x1 and s.x0 < x1 for x0, x1 in columns) > 1 for s in row)


def _cells(row: _Row) -> int:
    return 1 + sum(b.x0 - a.x1 > MIN_GAP * max(a.height, b.height) for a, b in itertools.pairwise(row))


def _space(above: _Row, below: _Row) -> float:
    return min(s.top for s in below) - max(s.bottom for s in above)


def _most_space(run: list[_Row]) -> float:
    spaces = [_space(a, b) for a, b in itertools.pairwise(run[:MANY_LINES])]
    height = median(row[0].height for row in run[:MANY_LINES])
    return MAX_SPACE * max(height, median(spaces) if len(spaces) > 2 else 0.0)


def _goes_on(run: list[_Row], row: _Row) -> bool:
    """Whether a line of one piece stands within one column of the lines so far."""
    left, right = row[0].x0, row[-1].x1
    beside = {
        place
        for other in run
        for place, s in enumerate(other)
        if _cells(other) > 1 and s.x0 < right - SAME_PLACE and s.x1 > left + SAME_PLACE
    }
    starts = any(abs(s.x0 - left) < SAME_PLACE for other in run if _cells(other) > 1 for s in other)
    return bool(beside) and starts and not any(_covers(other, left, right) for other in run if _cells(other) > 1)


def _covers(row: _Row, left: float, right: float) -> bool:
    return sum(s.x0 < right - SAME_PLACE and s.x1 > left + SAME_PLACE for s in row) > 1


def _trimmed(run: list[_Row]) -> list[_Row]:
    """Without the lines at its end that stand in the first column alone: what follows the table, if no cell goes on."""
    last = len(run)
    while last and _cells(run[last - 1]) == 1:
        spaces = [_space(a, b) for a, b in itertools.pairwise(run[:last])]
        at_left = run[last - 1][0].x0 < min(s.x0 for row in run[:last] for s in row) + SAME_PLACE
        if not at_left and spaces and spaces[-1] <= min(spaces) + 0.5:
            break  # wrapped within the last row
        last -= 1
    return run[:last]


def _grid(run: list[_Row]) -> Grid | None:
    """The grid of such lines, if they make a table."""
    full = [row for row in run if _cells(row) > 1]
    if len(full) < MIN_LINES_OF_MANY:
        return None
    columns = _columns(run)
    without_header = _columns(run[1:])
    if len(without_header) > len(columns):
        columns = without_header  # a heading over several columns
    count = len(columns)
    if count < 2 or len(full) < MIN_LINES.get(count, MIN_LINES_OF_MANY):
        return None
    if sum(_is_level(row) for row in full) < LEVEL * len(full):
        return None  # lines of different columns that happen to be near
    xs = [columns[0][0] - 1, *((a[1] + b[0]) / 2 for a, b in itertools.pairwise(columns)), columns[-1][1] + 1]
    placed = [[(_column(s, xs), s) for s in row] for row in run]
    by_column: list[list[Segment]] = [[s for row in placed for j, s in row if j == k] for k in range(count)]
    filled = [len({j for j, _ in row}) for row, line in zip(placed, run, strict=True) if _cells(line) > 1]
    if sum(filled) < MIN_FILLED * count * len(filled) or not all(map(_is_aligned, by_column)):
        return None
    if median(len(s.text) for row in run for s in row) < 2 and not run[-1][-1].text.isdigit():
        return None  # letters drawn one below another
    if any(map(_is_running, by_column)) or _is_list(run, by_column):
        return None
    tops = _record_starts(run, [{j for j, _ in row} for row in placed], count)
    if len(tops) < MIN_LINES_OF_MANY:
        return None
    ys = [min(s.top for s in run[0]) - 1]
    ys += [(max(s.bottom for s in run[i - 1]) + min(s.top for s in run[i])) / 2 for i in tops[1:]]
    ys.append(max(s.bottom for s in run[-1]) + 1)
    cells = np.arange((len(ys) - 1) * count, dtype=np.int64).reshape(len(ys) - 1, count)
    return Grid(xs, ys, cells, [])


def _is_level(row: _Row) -> bool:
    bottoms = [s.bottom for s in row]
    return max(bottoms) - min(bottoms) < SAME_START


def _columns(run: Sequence[_Row]) -> list[tuple[float, float]]:
    """Where the columns begin and end: between strips that no line crosses."""
    gap = MIN_GAP * median(s.height for row in run for s in row)
    return _merged([(s.x0, s.x1) for row in run for s in row], 0.6 * gap)


def _merged(spans: list[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    columns: list[tuple[float, float]] = []
    for x0, x1 in sorted(spans):
        if columns and x0 - columns[-1][1] < gap:
            if x1 > columns[-1][1]:
                columns[-1] = (columns[-1][0], x1)
        else:
            columns.append((x0, x1))
    return columns


def _column(segment: Segment, xs: Sequence[float]) -> int:
    place = bisect_left(xs, (segment.x0 + segment.x1) / 2) - 1
    return min(max(place, 0), len(xs) - 2)


def _is_aligned(column: list[Segment]) -> bool:
    """Whether most of a column's cells begin, end or are centred at one place."""
    if len(column) < 2:
        return bool(column)
    for places in ([s.x0 for s in column], [s.x1 for s in column], [(s.x0 + s.x1) / 2 for s in column]):
        middle = sorted(places)[len(places) // 2]
        if sum(abs(p - middle) < SAME_PLACE for p in places) >= ALIGNED * len(places):
            return True
    return False


def _is_running(column: list[Segment]) -> bool:
    """Whether a column's lines end where the next one's first word had no room: prose beside the table, or columns of it."""
    if len(column) < 4 or median(letters(s.text) for s in column) < RUNNING_LETTERS:
        return False
    width = max(s.x1 for s in column) - min(s.x0 for s in column)
    ended = ends_early(column, width + PADDING)
    return sum(ended) < (1 - RUNNING_SHARE) * len(ended)


def _is_list(run: Sequence[_Row], by_column: Sequence[list[Segment]]) -> bool:
    marks = sum(_MARK.match(s.text) is not None for s in by_column[0])
    leaders = sum(any(_LEADER.search(s.text) for s in row) for row in run)
    return marks > 0.5 * len(by_column[0]) or 2 * leaders >= len(run)


def _record_starts(run: Sequence[_Row], filled: Sequence[set[int]], count: int) -> list[int]:
    """The lines with which a row of the table begins; the others go on with the cells above them.

    Where the spaces between lines are of two sizes, the smaller ones are within rows, provided that most lines
    beside them lack some cell; else a line goes on if it has neither the first cell nor half of the others.
    """
    spaces = [_space(a, b) for a, b in itertools.pairwise(run)]
    height = median(s.height for row in run for s in row)
    least, most = min(spaces), max(spaces)
    if most - least > 0.2 * height:
        limit = (least + most) / 2
        close = [i for i, space in enumerate(spaces, 1) if space < limit]
        if sum(min(len(filled[i - 1]), len(filled[i])) < count for i in close) > 0.6 * len(close):
            return [0, *(i for i in range(1, len(run)) if i not in set(close))]
    return [0, *(i for i in range(1, len(run)) if 0 in filled[i] or 2 * len(filled[i]) > count)]
