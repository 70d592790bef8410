"""Tables that have level rules or shaded bands only: their columns from the gaps in their text.

Called by ``pdf_tables`` with what is left of a page once its ruled tables are taken. Three rules of one
length above one another (the three-line table of journals), or the edges of bands, bound sections; sections
whose text stands in the same columns make a table. A single rule does below a header of three columns or
more, if the lines after it keep to them.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterator
from statistics import median

import numpy as np
from numpy.typing import NDArray

from lunheng.parsing.pdf_glyphs import Segment, letters
from lunheng.parsing.pdf_layout import text_rows
from lunheng.parsing.pdf_rows import PADDING, Grid, ends_early
from lunheng.parsing.pdf_rules import Rule, Rules

MIN_WIDTH = 100.0
MAX_RULES = 300
"""More of them are a drawing's."""
SAME_END = 4.0
"""Rules of one table begin and end within so many points of one another."""
MIN_GAP = 0.4
"""Between two columns, in font sizes."""
SPANNING = 0.6
"""A segment of so much of a table's width is no part of one column."""
MAX_CROSSING = 0.08
"""So many of the lines may cross the gap between two columns."""
SAME_COLUMNS = 0.6
MAX_HEADER_LINES = 5
MIN_HEADER_COLUMNS = 3
MIN_BODY_LINES = 2
"""Where one rule is all there is, the text must show more."""
PROSE_LETTERS = 30
"""Columns whose lines are all so long are columns of prose; a Chinese character counts double."""
MANY_SECTIONS = 3
"""With so many sections below the header, each holds one record."""
NEXT_ROW = 1.6
"""The row above the first band, or below the last, is no farther than so many of its heights."""


def find_open_grids(rules: Rules, segments: list[Segment]) -> list[Grid]:
    """The grids that level rules and the columns of the text between them make."""
    if len(rules.level) > MAX_RULES:
        return []
    grids: list[Grid | None] = []
    for x0, x1, ys in _stacks(rules.level):
        inside = _between(segments, x0, x1)
        for run, first, last in _runs(ys, inside):
            grids.append(_grid(run, x0, x1, ys[first : last + 1], inside, rules.level))
    for rule in rules.level:
        taken = any(g is not None and g.ys[0] - 1 <= rule.place <= g.ys[-1] + 1 for g in grids)
        if rule.length >= MIN_WIDTH and not taken:
            grids.append(_below_header(rule, _between(segments, rule.start, rule.end)))
    return [g for g in grids if g is not None and not any(_stands_in(rule, g) for rule in rules.upright)]


def _between(segments: list[Segment], x0: float, x1: float) -> list[Segment]:
    return [s for s in segments if x0 - SAME_END < (s.x0 + s.x1) / 2 < x1 + SAME_END and s.x1 - s.x0 < 1.5 * (x1 - x0)]


def _below_header(rule: Rule, segments: list[Segment]) -> Grid | None:
    """The table of a header with a rule below it and lines below that which keep to its columns."""
    if sum(0 < rule.place - s.middle < NEXT_ROW * 2 * s.height for s in segments) < MIN_HEADER_COLUMNS:
        return None
    lines = text_rows(segments)
    first = next((i for i, line in enumerate(lines) if line[0].middle > rule.place), len(lines))
    header = lines[first - 1] if first else []
    if len(header) < MIN_HEADER_COLUMNS or not _near(header, lines[first : first + 1], rule):
        return None
    rows: list[list[Segment]] = []
    for line in lines[first:]:
        apart = rows and _gap(rows[-1], line) > NEXT_ROW * _height(line)
        if apart or any(sum(s.x0 < h.x0 < s.x1 for h in header) >= 2 for s in line):
            break  # with space between, or running on through the columns
        if len(line) < 2 or len(_columns([s for row in [*rows, line] for s in row])) < len(header):
            return None  # what follows so closely is no row: neither are these, then
        rows.append(line)
    if len(rows) < MIN_BODY_LINES or not any(len(row) >= len(header) for row in rows):
        return None
    ys = [min(s.top for s in header) - 1, rule.place, max(s.bottom for s in rows[-1]) + 1]
    return _grid([header, [s for row in rows for s in row]], rule.start, rule.end, ys, [], [])


def _near(header: list[Segment], following: list[list[Segment]], rule: Rule) -> bool:
    return bool(following) and all(
        abs(rule.place - edge) < NEXT_ROW * _height(header)
        for edge in (max(s.bottom for s in header), min(s.top for s in following[0]))
    )


def _gap(above: list[Segment], below: list[Segment]) -> float:
    return min(s.top for s in below) - max(s.bottom for s in above)


def _height(line: list[Segment]) -> float:
    return max(s.height for s in line)


def _stacks(level: list[Rule]) -> Iterator[tuple[float, float, list[float]]]:
    """Rules with the same ends: left, right and the places of each three or more."""
    left = [r for r in level if r.length >= MIN_WIDTH]
    while left:
        model = left[0]
        same = [r for r in left if abs(r.start - model.start) < SAME_END and abs(r.end - model.end) < SAME_END]
        left = [r for r in left if r not in same]
        if len(same) >= 3:
            yield model.start, model.end, sorted(r.place for r in same)


def _runs(ys: list[float], segments: list[Segment]) -> Iterator[tuple[list[list[Segment]], int, int]]:
    """Sections between consecutive rules whose text stands in the same columns: with their first and last rule."""
    ordered = sorted(segments, key=lambda s: s.middle)
    cuts = np.searchsorted([s.middle for s in ordered], ys).tolist()
    run: list[list[Segment]] = []
    for k in range(len(ys)):
        section = ordered[cuts[k] : cuts[k + 1]] if k + 1 < len(ys) else []
        if len(section) >= 2 and len(_columns(section)) >= 2:
            if not run or _agree([*run[1:], section]):
                run.append(section)
                continue
        else:
            section = []
        if len(run) >= 2:
            yield run, k - len(run), k
        run = [section] if section else []


def _agree(sections: list[list[Segment]]) -> bool:
    """Whether sections have together about as many columns as the one with the fewest."""
    together = len(_columns([s for section in sections for s in section]))
    return together >= max(2.0, SAME_COLUMNS * min(len(_columns(section)) for section in sections))


def _columns(segments: list[Segment]) -> list[tuple[float, float]]:
    """Where the columns of the text begin and end: between gaps that hardly any line crosses."""
    gap = max(2, round(MIN_GAP * median(s.size for s in segments)))
    origin = min(s.x0 for s in segments)
    change = np.zeros(int(max(s.x1 for s in segments) - origin) + 3, dtype=np.int64)
    for segment in segments:
        change[int(segment.x0 - origin)] += 1
        change[int(segment.x1 - origin) + 1] -= 1
    free = np.cumsum(change) <= int(MAX_CROSSING * len(text_rows(segments)))
    columns: list[tuple[float, float]] = []
    start = None
    for x, is_free in enumerate([*free.tolist(), *[True] * gap]):
        if not is_free:
            start, last = (x if start is None else start), x
        elif start is not None and x - last >= gap:
            columns.append((origin + start, origin + last + 1))
            start = None
    return columns


def _grid(
    run: list[list[Segment]], x0: float, x1: float, ys: list[float], around: list[Segment], level: list[Rule]
) -> Grid | None:
    header, body = run[0], [s for section in run[1:] for s in section if s.x1 - s.x0 < SPANNING * (x1 - x0)]
    if not body or len(text_rows(header)) > MAX_HEADER_LINES:
        return None
    columns = _columns(body)
    if len(columns) < 2 or len(columns) < SAME_COLUMNS * len(_columns(header)) or _is_prose(body, columns):
        return None
    xs = [x0, *((a[1] + b[0]) / 2 for a, b in itertools.pairwise(columns)), x1]
    xs[0], xs[-1] = min(x0, columns[0][0]), max(x1, columns[-1][1])
    places = list(ys)
    if len(run) - 1 < MANY_SECTIONS:
        for section in run[1:]:
            places.extend(_between_records(section, xs, columns))
    places.extend(_next_rows(around, xs, ys))
    places.sort()
    rows, width = len(places) - 1, len(xs) - 1
    cells = np.arange(rows * width, dtype=np.int64).reshape(rows, width)
    if places[0] == ys[0]:
        underlines = [r for r in level if ys[0] < r.place < ys[1] and r.length < 0.95 * (x1 - x0)]
        places, cells = _split_header(header, xs, columns, underlines, places, cells)
    return Grid(xs, places, cells, [])


def _is_prose(body: list[Segment], columns: list[tuple[float, float]]) -> bool:
    lengths = []
    for left, right in columns:
        inside = [s.text for s in body if s.x0 >= left - 1 and s.x1 <= right + 1]
        lengths.append(median(letters(text) for text in inside) if inside else 0)
    return min(lengths) >= PROSE_LETTERS


def _between_records(section: list[Segment], xs: list[float], columns: list[tuple[float, float]]) -> list[float]:
    """Borders between the lines of a section, but for lines that only go on with the cells above them."""
    lines = text_rows(section)
    places = []
    for above, line in itertools.pairwise(lines):
        in_column = {_column(s, xs): s for s in line}
        goes_on = 0 not in in_column and 2 * len(in_column) < len(columns)
        for j, segment in in_column.items():
            before = [s for s in above if _column(s, xs) == j]
            width = columns[j][1] - columns[j][0] + PADDING
            goes_on = goes_on and bool(before) and not any(ends_early([*before, segment], width))
        if not goes_on:
            places.append((max(s.bottom for s in above) + min(s.top for s in line)) / 2)
    return places


def _column(segment: Segment, xs: list[float]) -> int:
    place = bisect_left(xs, (segment.x0 + segment.x1) / 2) - 1
    return min(max(place, 0), len(xs) - 2)


def _next_rows(around: list[Segment], xs: list[float], ys: list[float]) -> list[float]:
    """The outer borders of the row above the first band and of that below the last, where they fit the columns."""
    places = []
    lines = text_rows([s for s in around if s.middle < ys[0] or s.middle > ys[-1]])
    above = [line for line in lines if line[0].middle < ys[0]]
    below = [line for line in lines if line[0].middle > ys[-1]]
    for line, edge in ((above[-1:], ys[0]), (below[:1], ys[-1])):
        if not line:
            continue
        top, bottom = min(s.top for s in line[0]), max(s.bottom for s in line[0])
        columns = [_column(s, xs) for s in line[0]]
        fits = all(xs[j] <= s.x0 and s.x1 <= xs[j + 1] for s, j in zip(line[0], columns, strict=True) if j >= 0)
        near = min(abs(edge - top), abs(edge - bottom)) < NEXT_ROW * (bottom - top)
        if fits and near and len(set(columns)) >= max(2, (len(xs) - 1) / 2):
            places.append(top - 1 if edge == ys[0] else bottom + 1)
    return places


def _split_header(
    header: list[Segment],
    xs: list[float],
    columns: list[tuple[float, float]],
    underlines: list[Rule],
    ys: list[float],
    cells: NDArray[np.int64],
) -> tuple[list[float], NDArray[np.int64]]:
    """With a heading over several columns, each line of the header is a row of its own."""
    lines = text_rows(header)
    spanned = {id(s): _spanned(s, xs, columns, underlines) for s in header}
    if len(lines) < 2 or all(len(over) == 1 for over in spanned.values()):
        return ys, cells
    added = []
    number = int(cells.max()) + 1
    places = []
    for line, following in itertools.pairwise(lines):
        row = np.arange(number, number + cells.shape[1], dtype=np.int64)
        number += cells.shape[1]
        for segment in line:
            over = spanned[id(segment)]
            row[over] = row[_column(segment, xs)]
        added.append(row)
        places.append((max(s.bottom for s in line) + min(s.top for s in following)) / 2)
    return [ys[0], *places, *ys[1:]], np.vstack([*added, cells])


def _spanned(
    segment: Segment, xs: list[float], columns: list[tuple[float, float]], underlines: list[Rule]
) -> list[int]:
    """The columns that a heading stands over: those above the same short rule, or those whose middle it covers."""
    start, end = segment.x0, segment.x1
    for rule in underlines:
        below = 0 <= rule.place - segment.middle < 1.5 * segment.height
        if below and rule.start - SAME_END <= start and end <= rule.end + SAME_END:
            start, end = rule.start, rule.end
            break
    over = [j for j, (left, right) in enumerate(columns) if start < (left + right) / 2 < end]
    own = _column(segment, xs)
    return over if own in over else [own]


def _stands_in(rule: Rule, grid: Grid) -> bool:
    """Whether an upright rule inside the grid shows that it is a chart's."""
    x0, top, x1, bottom = grid.xs[0], grid.ys[0], grid.xs[-1], grid.ys[-1]
    return x0 + SAME_END < rule.place < x1 - SAME_END and rule.start < bottom and rule.end > top
