"""Rows of a table that has no rule between them, found by its lines of text.

Called by ``pdf_tables`` for the grid of every table. Several records often stand between two rules: their
lines of text run through all columns, and a line ends although the next one's first word had room there.
The lines of one record, wrapped in its cells, do neither.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lunheng.parsing.pdf_glyphs import Segment, is_cjk
from lunheng.parsing.pdf_layout import text_rows
from lunheng.parsing.pdf_rules import Rule
from lunheng.types import BBox

FULL_LINE = 0.5
"""A line of a record has text in this share of the columns that have any, and in two at least."""
FULL_LINES = 0.8
"""So many of the lines between two rules are such lines where each is a record."""
ROOM = 0.6
"""In so many places a line ended without need."""
PADDING = 8.0
"""Of a cell, left and right together, in points."""


@dataclass(slots=True)
class Grid:
    """Squares between rules, and which of them make a cell together."""

    xs: list[float]
    ys: list[float]
    cells: NDArray[np.int64]
    """Rows by columns: squares of one merged cell have one number."""
    borders: list[Rule]
    """Its upright rules: no run of text crosses them."""

    @property
    def bbox(self) -> BBox:
        return self.xs[0], self.ys[0], self.xs[-1], self.ys[-1]


def split_rows(grid: Grid, members: dict[int, list[Segment]]) -> Grid:
    """The grid with a row for each record. ``members`` are the segments in each cell.

    The uppermost row, the header, is left as it is, unless there is no other.
    """
    ys, rows = [grid.ys[0]], []
    number = int(grid.cells.max()) + 1
    for i, row in enumerate(grid.cells):
        cuts = _cuts(grid, i, members) if i or len(grid.cells) == 1 else []
        spans = _spanning_rows(grid.cells, i)
        rows.append(row)
        for cut in cuts:
            ys.append(cut)
            # Cells that are merged with those above or below stay whole; the others begin anew.
            fresh = {n: number + k for k, n in enumerate(sorted(set(row.tolist()) - spans))}
            number += len(fresh)
            rows.append(np.array([fresh.get(n, n) for n in row.tolist()], dtype=np.int64))
        ys.append(grid.ys[i + 1])
    return replace(grid, ys=ys, cells=np.stack(rows))


def _spanning_rows(cells: NDArray[np.int64], i: int) -> set[int]:
    others = [set(cells[k].tolist()) for k in (i - 1, i + 1) if 0 <= k < len(cells)]
    return {n for n in cells[i].tolist() if any(n in other for other in others)}


def _cuts(grid: Grid, i: int, members: dict[int, list[Segment]]) -> list[float]:
    """The y of each border that is missing between the records of one row."""
    row = grid.cells[i].tolist()
    spans = _spanning_rows(grid.cells, i)
    filled = [n for n in dict.fromkeys(row) if n in members and n not in spans]
    if len(filled) < 2:
        return []
    cell_of = {id(s): n for n in filled for s in members[n]}
    lines = text_rows([s for n in filled for s in members[n]])
    if len(lines) < 2:
        return []
    needed = max(2.0, FULL_LINE * len(filled))
    full = [len({cell_of[id(s)] for s in line}) >= needed for line in lines]
    if not full[0] or sum(full) < max(2, FULL_LINES * len(lines)):
        return []
    room = [ended for n in filled for ended in ends_early(members[n], _width(grid, row, n))]
    if not room or sum(room) < ROOM * len(room):
        return []
    bottoms = [max(s.bottom for s in line) for line in lines]
    tops = [min(s.top for s in line) for line in lines]
    return [(bottoms[k - 1] + tops[k]) / 2 for k in range(1, len(lines)) if full[k]]


def _width(grid: Grid, row: list[int], number: int) -> float:
    first = row.index(number)
    return grid.xs[first + row.count(number)] - grid.xs[first]


def ends_early(segments: list[Segment], width: float) -> list[bool]:
    """For each line of a cell but its last: whether the next line's first word had room in it."""
    lines = text_rows(segments)
    ended = []
    for line, following in itertools.pairwise(lines):
        if _is_number(line) and _is_number(following):
            ended.append(True)
            continue
        used = max(s.x1 for s in line) - min(s.x0 for s in line)
        first = following[0]
        word = 2 if is_cjk(first.text[0]) else len(first.text.split(None, 1)[0]) + 1
        needed = word * (first.x1 - first.x0) / len(first.text)
        ended.append(used + needed + PADDING < width)
    return ended


def _is_number(line: list[Segment]) -> bool:
    return not any(c.isalpha() for s in line for c in s.text)
