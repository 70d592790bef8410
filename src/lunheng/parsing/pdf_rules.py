"""Drawn straight lines of a PDF page: the borders of its tables, among other things.

Called by ``pdf`` for each page, before its text is read. Borders are drawn in many ways (stroked lines,
stroked or filled boxes, boxes a hair thick, a piece for each cell), so every straight edge is taken, and
edges that lie on one another or follow one another become one rule.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from lunheng.parsing.pdf_calls import address, quick
from lunheng.parsing.pdf_glyphs import Matrix, upright_matrix
from lunheng.types import BBox

MIN_EDGE = 4.0
"""Shorter edges are parts of letters and pictures."""
SLANT = 0.5
"""An edge is level or upright if its ends differ by no more than this."""
SNAP = 3.0
"""Edges so near to one another are the same rule; rules that end so near to one another meet."""
MAX_OBJECTS = 20_000
MAX_SEGMENTS = 50_000
"""A page with more is a drawing (a map, a plot of many points): it costs seconds and seldom has a table."""
MAX_FORM_DEPTH = 3
WHITE = 250


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight line: at ``place`` (y of a level one, x of an upright one) from ``start`` to ``end``."""

    place: float
    start: float
    end: float

    @property
    def length(self) -> float:
        return self.end - self.start


@dataclass(slots=True)
class Rules:
    """What is drawn on a page: points from the top left corner of the upright page."""

    level: list[Rule] = field(default_factory=list)
    upright: list[Rule] = field(default_factory=list)
    drawings: list[BBox] = field(default_factory=list)
    """Boxes of what has slanted or curved lines: charts have those across their grid, tables do not."""
    pictures: list[BBox] = field(default_factory=list)


def read_rules(page: Any) -> Rules:
    """Read the rules of a pypdfium2 page."""
    import pypdfium2.raw as pdfium

    if pdfium.FPDFPage_CountObjects(page.raw) > MAX_OBJECTS:
        return Rules()
    found = _Collector(pdfium, page.get_size())
    raw, count = address(page.raw), max(pdfium.FPDFPage_CountObjects(page.raw), 0)
    objects = [o for o in map(quick("FPDFPage_GetObject"), repeat(raw, count), range(count)) if o]
    found.walk(objects, upright_matrix(page), 0)
    return Rules(merged(found.level), merged(found.upright), found.drawings, found.pictures)


def merged(edges: list[Rule]) -> list[Rule]:
    """One rule for edges that lie on, or follow, one another."""
    rules: list[Rule] = []
    group: list[Rule] = []
    for edge in sorted(edges, key=lambda r: r.place):
        if group and edge.place - group[0].place > SNAP:
            rules.extend(_chained(group))
            group = []
        group.append(edge)
    return rules + _chained(group)


def _chained(group: list[Rule]) -> list[Rule]:
    if not group:
        return []
    place = sum(r.place for r in group) / len(group)
    rules: list[Rule] = []
    start = end = None
    for edge in sorted(group, key=lambda r: r.start):
        if start is None or end is None:
            start, end = edge.start, edge.end
        elif edge.start <= end + SNAP:
            end = max(end, edge.end)
        else:
            rules.append(Rule(place, start, end))
            start, end = edge.start, edge.end
    if start is not None and end is not None:
        rules.append(Rule(place, start, end))
    return rules


def _clipped(across_a: float, across_b: float, a: float, b: float, breadth: float, length: float) -> Rule | None:
    """The part of an edge that is on the page, if any; coordinates in a file can be anything, even not a number."""
    place, start, end = (across_a + across_b) / 2, max(min(a, b), 0.0), min(max(a, b), length)
    return Rule(place, start, end) if 0 <= place <= breadth and end - start >= MIN_EDGE else None


class _Collector:
    """The one walk over a page's objects."""

    def __init__(self, pdfium: Any, size: tuple[float, float]) -> None:
        self._pdfium = pdfium
        self._width, self._height = size
        self._objects = self._segments = 0
        # Where pdfium writes its answers: numbers, and their addresses.
        self._floats = (ctypes.c_float * 6)()
        self._at = [ctypes.addressof(self._floats) + 4 * i for i in range(6)]
        self.level: list[Rule] = []
        self.upright: list[Rule] = []
        self.drawings: list[BBox] = []
        self.pictures: list[BBox] = []

    def walk(self, objects: list[int], matrix: Matrix, depth: int) -> None:
        pdfium, kind_of = self._pdfium, quick("FPDFPageObj_GetType")
        for raw in objects:
            self._objects += 1
            if self._objects > MAX_OBJECTS or self._segments > MAX_SEGMENTS:
                return
            kind = kind_of(raw)
            if kind == pdfium.FPDF_PAGEOBJ_PATH:
                self._path(raw, matrix, depth)
            elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
                self._picture(raw, matrix)
            elif kind == pdfium.FPDF_PAGEOBJ_FORM and depth < MAX_FORM_DEPTH:
                form = ctypes.cast(raw, pdfium.FPDF_PAGEOBJECT)
                count = max(pdfium.FPDFFormObj_CountObjects(form), 0)
                inside = [o for o in map(quick("FPDFFormObj_GetObject"), repeat(raw, count), range(count)) if o]
                self.walk(inside, self._inner(raw, matrix), depth + 1)

    def _inner(self, raw: int, outer: Matrix) -> Matrix:
        """The matrix from an object's own space to the upright page."""
        if not quick("FPDFPageObj_GetMatrix")(raw, self._at[0]):
            return outer
        a, b, c, d, e, f = outer
        ma, mb, mc, md, me, mf = self._floats
        return (
            a * ma + c * mb,
            b * ma + d * mb,
            a * mc + c * md,
            b * mc + d * md,
            a * me + c * mf + e,
            b * me + d * mf + f,
        )

    def _picture(self, raw: int, outer: Matrix) -> None:
        """An image fills the unit square of its own space."""
        a, b, c, d, e, f = self._inner(raw, outer)
        xs, ys = (e, e + a, e + c, e + a + c), (f, f + b, f + d, f + b + d)
        self.pictures.append((min(xs), min(ys), max(xs), max(ys)))

    def _path(self, raw: int, outer: Matrix, depth: int) -> None:
        left, bottom, right, top, _, _ = self._at
        if depth == 0 and quick("FPDFPageObj_GetBounds")(raw, left, bottom, right, top):
            x0, y0, x1, y1 = self._floats[:4]
            if x1 - x0 < MIN_EDGE and y1 - y0 < MIN_EDGE:
                return  # a letter or a dot
        count = quick("FPDFPath_CountSegments")(raw)
        self._segments += count
        if count < 2 or self._segments > MAX_SEGMENTS:
            return
        fill, stroke = ctypes.c_int(), ctypes.c_int()
        quick("FPDFPath_GetDrawMode")(raw, ctypes.addressof(fill), ctypes.addressof(stroke))
        if not fill.value and not stroke.value:
            return
        edges, slanted, box = self._edges(raw, count, self._inner(raw, outer))
        x0, y0, x1, y1 = box
        if x1 - x0 > 0.95 * self._width and y1 - y0 > 0.95 * self._height:
            return  # the page's background or frame
        if slanted and max(x1 - x0, y1 - y0) > 2 * MIN_EDGE:
            self.drawings.append(box)
        if not edges:
            return
        thin = min(x1 - x0, y1 - y0) <= SNAP
        if not stroke.value and not thin and self._is_white(raw):
            return
        for xa, ya, xb, yb in edges:
            is_level = abs(ya - yb) <= abs(xa - xb)
            rule = (
                _clipped(ya, yb, xa, xb, self._height, self._width)
                if is_level
                else _clipped(xa, xb, ya, yb, self._width, self._height)
            )
            if rule is not None:
                (self.level if is_level else self.upright).append(rule)

    def _edges(
        self, raw: int, count: int, matrix: Matrix
    ) -> tuple[list[tuple[float, float, float, float]], bool, BBox]:
        """The level and upright edges of a path, whether it has others, and its box."""
        get_point, get_kind, is_closed = (
            quick(f"FPDFPathSegment_{name}") for name in ("GetPoint", "GetType", "GetClose")
        )
        move, line = self._pdfium.FPDF_SEGMENT_MOVETO, self._pdfium.FPDF_SEGMENT_LINETO
        floats, x_at, y_at = self._floats, self._at[0], self._at[1]
        a, b, c, d, e, f = matrix
        edges: list[tuple[float, float, float, float]] = []
        slanted = False
        xs: list[float] = []
        ys: list[float] = []
        start = last = (0.0, 0.0)
        for segment in map(quick("FPDFPath_GetPathSegment"), repeat(raw, count), range(count)):
            if not segment or not get_point(segment, x_at, y_at):
                continue
            px, py = floats[0], floats[1]
            x, y = a * px + c * py + e, b * px + d * py + f
            xs.append(x)
            ys.append(y)
            kind = get_kind(segment)
            steps: list[tuple[tuple[float, float], tuple[float, float]]] = []
            if kind == move:
                start = (x, y)
            elif kind == line:
                steps.append((last, (x, y)))
            else:
                slanted = True
            last = (x, y)
            if is_closed(segment):
                steps.append((last, start))
                last = start
            for (xa, ya), (xb, yb) in steps:
                across, down = abs(xa - xb), abs(ya - yb)
                if across > SLANT and down > SLANT:
                    slanted = True
                elif across >= MIN_EDGE or down >= MIN_EDGE:
                    edges.append((xa, ya, xb, yb))
        if not xs:
            return [], False, (0.0, 0.0, 0.0, 0.0)
        return edges, slanted, (min(xs), min(ys), max(xs), max(ys))

    def _is_white(self, raw: int) -> bool:
        drawn = ctypes.cast(raw, self._pdfium.FPDF_PAGEOBJECT)
        red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
        if not self._pdfium.FPDFPageObj_GetFillColor(drawn, red, green, blue, alpha):
            return False
        return alpha.value == 0 or min(red.value, green.value, blue.value) >= WHITE
