"""Ruled tables of a PDF page: grids from its rules, rows of cells from the text inside them.

Called by ``pdf`` for each page. Rules that touch one another form a grid; where no rule parts two of its
squares, they are one merged cell. A grid is a table only if its text says so: forms around a page, boxes
around a paragraph and the grids of charts are not, and their text is left where it was.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.parsing.pdf_aligned_tables import find_aligned_grids
from lunheng.parsing.pdf_characters import Characters
from lunheng.parsing.pdf_glyphs import PageText, Segment
from lunheng.parsing.pdf_layout import is_bullet, join_lines, join_row, mean_confidence, text_rows
from lunheng.parsing.pdf_open_tables import find_open_grids
from lunheng.parsing.pdf_rows import Grid, split_rows
from lunheng.parsing.pdf_rules import SNAP, Rule, Rules, read_rules
from lunheng.types import BBox

MAX_MEETINGS = 100_000
MAX_SQUARES = 50_000
"""More than any page's table has: hatching, graph paper."""
MIN_SQUARE = 5.0
"""Rules nearer to one another than this are one border drawn as a double line."""
MIN_PICTURE = 20.0
MAX_DRAWINGS = 300
MAX_PADDING = 12.0
MIN_FILLED = 0.2
"""At least so many of a table's cells have text."""


@dataclass(slots=True)
class Table:
    """Rows of cells; a merged cell's text stands in every place that it covers."""

    rows: list[list[str]]
    bbox: BBox
    edges: tuple[float, ...]
    """The left edge of each column, and the right edge of the last."""
    row_tops: tuple[float, ...]
    """The upper edge of each row, and the lower edge of the last."""
    size: float
    """The usual font size."""
    bold_header: bool
    """The first row, and not the whole table, is bold."""
    confidence: float | None = None
    """Of its recognition; None for what stands in the text layer."""


def find_grids(rules: Rules) -> list[Grid]:
    """The grids of a page, largest first."""
    grids: list[Grid] = []
    for level, upright in _connected(rules):
        grid = _grid(level, upright)
        if grid is not None:
            grids.append(grid)
    return sorted(_drawn_over(grids, rules), key=lambda g: -_area(g.bbox))


def read_tables(page: Any) -> tuple[PageText, list[Table]]:
    """The text of a pypdfium2 page and its tables, in their order down the page; the text is without theirs."""
    rules = read_rules(page)
    grids = find_grids(rules)
    characters = Characters(page)
    try:
        links = characters.links()
        while True:
            text = characters.text([(b.place, b.start, b.end) for grid in grids for b in grid.borders])
            kept, tables, rest = take_tables(grids, text.segments)
            if len(kept) == len(grids):
                break
            grids = kept  # the borders of the others must not cut the text
    finally:
        characters.close()
    tables, rest = with_open_tables(rules, tables, rest)
    return replace(text, segments=rest, links=links, pictures=_pictures(rules)), tables


def with_open_tables(rules: Rules, tables: list[Table], rest: list[Segment]) -> tuple[list[Table], list[Segment]]:
    """The tables of a page in their order down it, with those in ``rest`` that have no grid of rules, and what is left."""
    _, more, rest = take_tables(_drawn_over(find_open_grids(_outside(rules, tables), rest), rules), rest)
    _, aligned, rest = take_tables(_drawn_over(find_aligned_grids(rest), rules), rest)
    return sorted([*tables, *more, *aligned], key=lambda t: t.bbox[1]), rest


def _pictures(rules: Rules) -> tuple[BBox, ...]:
    """Images of some size, and drawings unless they are so many that the page is one."""
    images = [b for b in rules.pictures if min(b[2] - b[0], b[3] - b[1]) > MIN_PICTURE]
    return (*images, *(rules.drawings if len(rules.drawings) <= MAX_DRAWINGS else ()))[:MAX_DRAWINGS]


def _drawn_over(grids: list[Grid], rules: Rules) -> list[Grid]:
    """The grids without those of charts."""
    return [grid for grid in grids if not any(_crosses_cells(box, grid) for box in rules.drawings)]


def _outside(rules: Rules, tables: list[Table]) -> Rules:
    """The rules that are in none of the tables."""
    if not tables:
        return rules
    boxes = [(x0 - SNAP, top - SNAP, x1 + SNAP, bottom + SNAP) for x0, top, x1, bottom in (t.bbox for t in tables)]
    level = [r for r in rules.level if not any(_within((r.start, r.place, r.end, r.place), box) for box in boxes)]
    upright = [r for r in rules.upright if not any(_within((r.place, r.start, r.place, r.end), box) for box in boxes)]
    return Rules(level, upright, rules.drawings)


def take_tables(grids: list[Grid], segments: list[Segment]) -> tuple[list[Grid], list[Table], list[Segment]]:
    """The grids that hold tables, the tables, and the segments that are in none of them.

    A grid inside a table is part of the cell that it stands in.
    """
    kept: list[Grid] = []
    tables: list[Table] = []
    for grid in grids:
        if any(_within(grid.bbox, table.bbox) for table in tables):
            continue
        found = _fill(grid, segments)
        if found is not None:
            table, segments = found
            kept.append(grid)
            tables.append(table)
    return kept, tables, segments


def _connected(rules: Rules) -> list[tuple[list[Rule], list[Rule]]]:
    """Level and upright rules grouped by which of them meet."""
    level, upright = rules.level, rules.upright
    if len(level) < 2 or len(upright) < 2 or len(level) * len(upright) > 40 * MAX_MEETINGS:
        return []
    h = np.array([(r.place, r.start, r.end) for r in level])
    v = np.array([(r.place, r.start, r.end) for r in upright])
    meet = (
        (v[None, :, 0] >= h[:, None, 1] - SNAP)
        & (v[None, :, 0] <= h[:, None, 2] + SNAP)
        & (h[:, None, 0] >= v[None, :, 1] - SNAP)
        & (h[:, None, 0] <= v[None, :, 2] + SNAP)
    )
    pairs = np.argwhere(meet)
    if len(pairs) > MAX_MEETINGS:
        return []
    sets = _Sets(len(level) + len(upright))
    for i, j in pairs.tolist():
        sets.join(i, len(level) + j)
    groups: dict[int, tuple[list[Rule], list[Rule]]] = {}
    for i, rule in enumerate(level):
        groups.setdefault(sets.find(i), ([], []))[0].append(rule)
    for j, rule in enumerate(upright):
        groups.setdefault(sets.find(len(level) + j), ([], []))[1].append(rule)
    return [(a, b) for a, b in groups.values() if a and b]


def _grid(level: list[Rule], upright: list[Rule]) -> Grid | None:
    """The grid of rules that meet; its outer border counts as drawn, open sides are common."""
    xs = _places([r.place for r in upright] + [e for r in level for e in (r.start, r.end)], upright)
    ys = _places([r.place for r in level] + [e for r in upright for e in (r.start, r.end)], level)
    rows, columns = len(ys) - 1, len(xs) - 1
    if rows < 1 or columns < 2 or rows * columns > MAX_SQUARES:
        return None
    centers_x = [(a + b) / 2 for a, b in itertools.pairwise(xs)]
    centers_y = [(a + b) / 2 for a, b in itertools.pairwise(ys)]
    below = _drawn(level, ys, centers_x)
    right = _drawn(upright, xs, centers_y)
    sets = _Sets(rows * columns)
    for i in range(rows):
        for j in range(columns):
            if i + 1 < rows and not below[i + 1, j]:
                sets.join(i * columns + j, (i + 1) * columns + j)
            if j + 1 < columns and not right[j + 1, i]:
                sets.join(i * columns + j, i * columns + j + 1)
    cells = np.array([sets.find(k) for k in range(rows * columns)], dtype=np.int64).reshape(rows, columns)
    return Grid(xs, ys, cells, upright)


def _places(ends: list[float], rules: list[Rule]) -> list[float]:
    """Where borders run: at the rules, and at the outer edges if the crossing rules reach beyond them."""
    places: list[float] = []
    for place in sorted([min(ends), *(r.place for r in rules), max(ends)]):
        if not places or place - places[-1] >= MIN_SQUARE:
            places.append(place)
    return places


def _drawn(rules: list[Rule], places: list[float], centers: list[float]) -> NDArray[np.bool_]:
    """Whether a rule is drawn at each place past each center of the squares along it."""
    found = np.zeros((len(places), len(centers)), dtype=bool)
    at, along = np.array(places), np.array(centers)
    for rule in rules:
        found[int(np.abs(at - rule.place).argmin())] |= (along > rule.start) & (along < rule.end)
    return found


def _crosses_cells(box: BBox, grid: Grid) -> bool:
    """Whether a drawing runs over the borders inside the grid: a chart's line does, a sign in a cell does not."""
    x0, top, x1, bottom = grid.bbox
    if not _within(box, (x0 - SNAP, top - SNAP, x1 + SNAP, bottom + SNAP)):
        return False
    if box[2] - box[0] > 0.95 * (x1 - x0) and box[3] - box[1] > 0.95 * (bottom - top):
        return False  # a frame with round corners
    crossed = sum(box[0] + 2 < x < box[2] - 2 for x in grid.xs) + sum(box[1] + 2 < y < box[3] - 2 for y in grid.ys)
    return crossed >= 2


def _fill(grid: Grid, segments: list[Segment]) -> tuple[Table, list[Segment]] | None:
    """Put the text into the cells; None if that makes no table."""
    x0, top, x1, bottom = grid.bbox
    segments = [
        piece
        for s in segments
        for piece in (
            s.parted(grid.xs[1:-1]) if s.gaps and top < s.middle < bottom and x0 < s.x1 and s.x0 < x1 else [s]
        )
    ]
    members = _members(grid, segments)
    finer = split_rows(grid, members)
    if len(finer.ys) > len(grid.ys):
        grid, members = finer, _members(finer, segments)
    first, last = _extent(grid, members)
    cells = grid.cells[first:last]
    here = set(cells.ravel().tolist())
    members = {number: found for number, found in members.items() if number in here}
    if not _is_table(cells, members):
        return None
    texts = {number: cell_text(found) for number, found in members.items()}
    rows = _with_content(cells, texts)
    columns = _wide_or_filled(cells, grid.xs, texts)
    inside = [s for found in members.values() for s in found]
    header = [s for number in set(cells[rows[0]].tolist()) for s in members.get(number, ())]
    table = Table(
        [[texts.get(number, "") for number in row] for row in cells[np.ix_(rows, columns)].tolist()],
        (grid.xs[0], grid.ys[first], grid.xs[-1], grid.ys[last]),
        (*(grid.xs[j] for j in columns), grid.xs[-1]),
        (*(grid.ys[first + i] for i in rows), grid.ys[last]),
        usual_size(inside),
        bold_header(header, inside),
        mean_confidence(inside),
    )
    taken = {id(s) for s in inside}
    return table, [s for s in segments if id(s) not in taken]


def _members(grid: Grid, segments: list[Segment]) -> dict[int, list[Segment]]:
    """The segments in each cell."""
    members: dict[int, list[Segment]] = {}
    for segment in segments:
        i, j = _square((segment.x0 + segment.x1) / 2, segment.middle, grid)
        if i >= 0 and j >= 0:
            members.setdefault(int(grid.cells[i, j]), []).append(segment)
    return members


def _square(x: float, y: float, grid: Grid) -> tuple[int, int]:
    """The row and column of a point; -1 outside."""
    i = bisect_left(grid.ys, y) - 1
    j = bisect_left(grid.xs, x) - 1
    return (i if i < len(grid.ys) - 1 else -1), (j if j < len(grid.xs) - 1 else -1)


def _extent(grid: Grid, members: dict[int, list[Segment]]) -> tuple[int, int]:
    """The rows of the grid without those at its ends that go across all columns: a title, a note, a framed text."""
    first, last = 0, len(grid.cells)
    while last - first > 1 and len(set(grid.cells[first].tolist())) == 1:
        first += 1
    while last - first > 1 and len(set(grid.cells[last - 1].tolist())) == 1:
        number = int(grid.cells[last - 1, 0])
        if number in members and len(text_rows(members[number])) <= 1 and len(set(grid.cells[first].tolist())) > 1:
            break  # one line across the foot: a sum, a note that goes with it
        last -= 1
    return first, last


def _is_table(cells: NDArray[np.int64], members: dict[int, list[Segment]]) -> bool:
    distinct = set(cells.ravel().tolist())
    if len(members) < MIN_FILLED * len(distinct):
        return False
    filled_rows = sum(len({n for n in row if n in members}) >= 2 for row in cells.tolist())
    filled_columns = sum(any(n in members for n in column) for column in cells.T.tolist())
    return filled_rows >= 2 and filled_columns >= 2


def _with_content(cells: NDArray[np.int64], texts: dict[int, str]) -> list[int]:
    """The rows where a cell with text begins."""
    kept = []
    above: set[int] = set()
    for i, row in enumerate(cells.tolist()):
        if any(texts.get(number) for number in row if number not in above):
            kept.append(i)
        above = set(row)
    return kept


def _wide_or_filled(cells: NDArray[np.int64], xs: list[float], texts: dict[int, str]) -> list[int]:
    """The columns without the strips between a cell's border and its shading."""
    return [
        j
        for j, column in enumerate(cells.T.tolist())
        if xs[j + 1] - xs[j] > MAX_PADDING or any(texts.get(number) for number in column)
    ]


def cell_text(segments: list[Segment]) -> str:
    """The text of one cell: wrapped lines joined, list items on lines of their own."""
    text = ""
    for row in text_rows(segments):
        line = join_row(row, 0, 0, 0.0, 0.0).text
        text = f"{text}\n{line}" if text and is_bullet(line) else join_lines(text, line)
    return text.replace("\u00ad", "-" if text.endswith("\u00ad") else "")


def usual_size(segments: list[Segment]) -> float:
    amount: Counter[float] = Counter()
    for segment in segments:
        amount[segment.size] += len(segment.text)
    return amount.most_common(1)[0][0]


def bold_header(header: list[Segment], inside: list[Segment]) -> bool:
    return bool(header) and min(s.weight for s in header) > min(s.weight for s in inside)


def continuation(table: Table, following: Table) -> list[list[str]] | None:
    """The rows of ``following``, first on the next page, if they go on where ``table``, last on its page, stopped.

    Columns that are merged all the way down ``following`` have no border there: its columns may be fewer, if
    the last row of ``table`` has no others.
    """
    if len(table.rows[0]) > 1 and table.rows[0] == following.rows[0]:
        return following.rows  # the header comes again
    places = [next((k for k, b in enumerate(table.edges) if abs(a - b) < 2 * SNAP), -1) for a in following.edges]
    if -1 in places or places != sorted(set(places)) or places[0] != 0 or places[-1] != len(table.edges) - 1:
        return None
    last = table.rows[-1]
    if any(last[k] != last[k - 1] and k not in places for k in range(1, len(last))):
        return None
    widths = [b - a for a, b in itertools.pairwise(places)]
    rows = [[cell for cell, width in zip(row, widths, strict=True) for _ in range(width)] for row in following.rows]
    # Another header means another table; without one, rows simply go on.
    return rows if rows[0] == table.rows[0] or not following.bold_header else None


def _within(inner: BBox, outer: BBox) -> bool:
    return inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def _area(box: BBox) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


class _Sets:
    """Disjoint sets of numbers (union-find)."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def find(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def join(self, a: int, b: int) -> None:
        self._parent[self.find(a)] = self.find(b)
