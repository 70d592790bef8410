"""Segments of a page to lines in reading order, and lines to paragraphs.

Called by ``pdf``. Columns are found by their gutter: a vertical strip that hardly any segment
crosses, with prose on both sides; what does cross it (titles, wide figures) cuts the page into
bands, and each band is read column by column.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from lunheng.parsing.pdf_glyphs import Link, Segment, is_cjk
from lunheng.parsing.pdf_running import split_edges

if TYPE_CHECKING:
    from lunheng.parsing.pdf_tables import Table

MIN_COLUMN_LINES = 4
MAX_DEPTH = 4
GUTTER = 6.0
"""Least width of a gutter, in points."""
MAX_CROSSING = 0.35
"""At most so large a share of the segments may cross a gutter."""
MAX_KNOWN = 8
COLUMN_FILL = 0.4
"""Text fills at least so much of a column (or of two beside each other); the cells of a table do not."""
_SURE_BULLET = re.compile(r"[•●◦▪■□◆◇➢✓‣\uf0b7\uf0a7\uf0d8]|[①-⑳]")
_BULLET = re.compile(
    r"(?:[·∙○–—*-]|\(?[0-9]{1,2}[.)、）]|\(?[a-zA-Z][.)]|[（(][一二三四五六七八九十0-9]{1,3}[)）])(?:\s+(?=\S)|(?<=[、）)·])(?=[^\W\d]))"
)
_TERMINAL = tuple("。！？；.!?:：;”」』)）…")
_middle, _left = attrgetter("middle"), attrgetter("x0")
_HYPHENS = ("-", "\u00ad", "\u2010")


@dataclass(slots=True)
class Line:
    """A line of one column."""

    text: str
    x0: float
    top: float
    x1: float
    bottom: float
    size: float
    weight: int
    """As of ``Segment``: the least of its parts."""
    page: int
    """From 1."""
    flow: int
    """Which column of which band, counted through the page."""
    left: float
    """The column's edges."""
    right: float
    table: Table | None = None
    """The line stands for a whole table."""
    links: tuple[tuple[str, str], ...] = ()
    """Words and target of each."""
    at_edge: bool = False
    """It stands apart at the top or the bottom of the page."""
    confidence: float | None = None
    """Of its recognition; None for what stands in the text layer."""

    @property
    def height(self) -> float:
        return self.bottom - self.top


def page_lines(
    segments: list[Segment],
    page: int,
    tables: Sequence[Table] = (),
    height: float | None = None,
    gutters: list[float] | None = None,
) -> list[Line]:
    """The lines of a page in reading order; each table, whose text ``segments`` lack, is one line among them.

    With the page's ``height``, what stands apart at its top and bottom takes no part in finding the columns.
    ``gutters`` are those of the pages before, to which this one's are added: a last page has too few lines to show its own.
    """
    above: list[Segment] = []
    below: list[Segment] = []
    if height:
        boxes = [Segment("-", *table.bbox, table.size, 0) for table in tables]
        edges = split_edges([*segments, *boxes], height)
        if not any(box in edge for box in boxes for edge in (edges[0], edges[2])):
            above, between, below = edges
            segments = [s for s in between if s not in boxes]
    lines = _lines_between(segments, page, tables, gutters)
    first, last = (_edge_lines(edge, page, flow) for edge, flow in ((above, -1), (below, -2)))
    return [*first, *lines, *last]


def put_links(lines: list[Line], links: Sequence[Link]) -> None:
    """Give each link to the line, or the table, that its middle is in."""
    for link in links:
        x, y = (link.bbox[0] + link.bbox[2]) / 2, (link.bbox[1] + link.bbox[3]) / 2
        line = next((o for o in lines if o.x0 - 1 <= x <= o.x1 + 1 and o.top - 1 <= y <= o.bottom + 1), None)
        if line is not None:
            line.links = (*line.links, (link.words, link.target))


def _edge_lines(segments: list[Segment], page: int, flow: int) -> list[Line]:
    lines = _flow_lines(segments, [], page, flow)
    for line in lines:
        line.at_edge = True
    return lines


def _lines_between(
    segments: list[Segment], page: int, tables: Sequence[Table], gutters: list[float] | None
) -> list[Line]:
    """The lines of the text, column by column."""
    strips = [(strip, table) for table in tables for strip in _strips(table, segments)]
    stands_for = {id(strip): table for strip, table in strips}
    placed: set[int] = set()
    lines: list[Line] = []
    flows = reading_order([*segments, *(strip for strip, _ in strips)], known=gutters)
    for flow, members in enumerate(flows):
        here = {id(t): t for m in members if (t := stands_for.get(id(m))) is not None and id(t) not in placed}
        placed.update(here)
        lines.extend(_flow_lines([m for m in members if id(m) not in stands_for], list(here.values()), page, flow))
    return lines


def _strips(table: Table, segments: list[Segment]) -> list[Segment]:
    """Segments that show the layout where a table stands: one a row beside other text, else one."""
    x0, top, x1, bottom = table.bbox
    beside = any(top < s.middle < bottom for s in segments)
    cuts = table.row_tops if beside else (top, bottom)
    return [Segment("-", x0, upper, x1, lower, table.size, 0) for upper, lower in itertools.pairwise(cuts)]


def _flow_lines(segments: list[Segment], tables: list[Table], page: int, flow: int) -> list[Line]:
    lines = [_table_line(table, page, flow) for table in tables]
    if not segments:
        return lines
    rows = text_rows(segments)
    edges = [(row[0].x0, max(s.x1 for s in row)) for row in rows]
    # Page numbers and the like stand outside the column: its edges are those of its longer lines.
    enough = 0.5 * max(x1 - x0 for x0, x1 in edges)
    left = min(x0 for x0, x1 in edges if x1 - x0 >= enough)
    right = max(x1 for x0, x1 in edges if x1 - x0 >= enough)
    lines.extend(join_row(row, page, flow, left, right) for row in rows)
    # Text beside a table follows it; rows of text keep their order.
    return sorted(lines, key=lambda line: line.top if line.table else (line.top + line.bottom) / 2) if tables else lines


def _table_line(table: Table, page: int, flow: int) -> Line:
    x0, top, x1, bottom = table.bbox
    text = " ".join(cell for row in table.rows for cell in row if cell)
    line = Line(text, x0, top, x1, bottom, table.size, 0, page, flow, x0, x1, table)
    line.confidence = table.confidence
    return line


def reading_order(segments: list[Segment], depth: int = 0, known: list[float] | None = None) -> list[list[Segment]]:
    """Segments grouped into columns, in reading order; ``known`` are gutters of the document, and is added to."""
    if depth >= MAX_DEPTH or len(segments) < 2:
        return [segments] if segments else []
    gutter = find_gutter(segments) if len(segments) >= 2 * MIN_COLUMN_LINES else None
    if gutter is None:
        gutter = _known_gutter(segments, known or ())
    elif known is not None and len(known) < MAX_KNOWN and all(abs(gutter - x) > GUTTER for x in known):
        known.append(gutter)
    if gutter is None:
        if len(segments) < 2 * MIN_COLUMN_LINES:
            return [segments]
        return _with_columns_in_part(segments, depth)
    flows: list[list[Segment]] = []
    sides: tuple[list[Segment], list[Segment]] = ([], [])

    def flush() -> None:
        for side in sides:
            if side:
                flows.extend(reading_order(list(side), depth + 1, known))
                side.clear()

    spanning: list[Segment] = []
    for segment in sorted(segments, key=lambda s: s.middle):
        if segment.x0 < gutter < segment.x1:
            flush()
            spanning.append(segment)
            continue
        if spanning:
            # A line of the spanning row that was cut at a wide gap belongs to it still.
            if abs(segment.middle - spanning[-1].middle) < 0.4 * segment.height:
                spanning.append(segment)
                continue
            flows.append(spanning)
            spanning = []
        sides[segment.x0 >= gutter].append(segment)
    flush()
    if spanning:
        flows.append(spanning)
    return flows


def _with_columns_in_part(segments: list[Segment], depth: int) -> list[list[Segment]]:
    """Columns in the lower or upper part of a page only, below an abstract or above a wide table."""
    ordered = sorted(segments, key=lambda s: s.middle)
    for share in (2, 3):
        size = len(ordered) // share
        for lower in (True, False):
            part = ordered[-size:] if lower else ordered[:size]
            gutter = find_gutter(part) if size >= 2 * MIN_COLUMN_LINES else None
            if gutter is None:
                continue
            crossing = [i for i, s in enumerate(ordered) if s.x0 < gutter < s.x1]
            # From the edge of the page to the first segment that crosses the gutter.
            cut = (crossing[-1] + 1 if lower else crossing[0]) if crossing else 0
            above, below = ordered[:cut], ordered[cut:]
            columns = below if lower else above
            if len(columns) >= 2 * MIN_COLUMN_LINES and find_gutter(columns) is not None:
                return reading_order(above, depth + 1) + reading_order(below, depth + 1)
    return [segments]


def find_gutter(segments: list[Segment]) -> float | None:
    """The x of the strip between two text columns, or None."""
    x0 = np.array([s.x0 for s in segments])
    x1 = np.array([s.x1 for s in segments])
    left, right = float(x0.min()), float(x1.max())
    width = right - left
    if width < 100:
        return None
    places = np.arange(left + 0.2 * width, right - 0.2 * width, 2.0)
    half = GUTTER / 2
    crossing = ((x0[None, :] < places[:, None] + half) & (x1[None, :] > places[:, None] - half)).sum(axis=1)
    on_left = (x1[None, :] <= places[:, None] - half).sum(axis=1)
    on_right = (x0[None, :] >= places[:, None] + half).sum(axis=1)
    good = (on_left >= MIN_COLUMN_LINES) & (on_right >= MIN_COLUMN_LINES) & (crossing <= MAX_CROSSING * len(segments))
    if not good.any():
        return None
    score = np.where(good, crossing, np.inf)
    best = np.flatnonzero(score == score.min())
    # The middle of the first run of equally good places.
    run = best[: int(np.argmax(np.append(np.diff(best), 2) > 1)) + 1]
    place = float(places[run].mean())
    return place if _is_prose(segments, place) else None


def _known_gutter(segments: list[Segment], known: Sequence[float]) -> float | None:
    """A gutter of the pages before that no segment crosses, with lines that fill the column on its left."""
    for place in known:
        left = [s for s in segments if s.x1 <= place]
        right = [s for s in segments if s.x0 >= place]
        if len(left) < 2 or not right or len(left) + len(right) < len(segments):
            continue
        em = max(s.size for s in left)
        beside = (
            max(s.x1 for s in left) > place - GUTTER - 3 * em and min(s.x0 for s in right) < place + GUTTER + 3 * em
        )
        if beside and _fill(left) >= COLUMN_FILL:
            return place
    return None


def _is_prose(segments: list[Segment], gutter: float) -> bool:
    left = [s for s in segments if s.x1 <= gutter]
    right = [s for s in segments if s.x0 >= gutter]
    if min(_fill(left), _fill(right)) < COLUMN_FILL:
        return False
    overlap = min(max(s.bottom for s in left), max(s.bottom for s in right)) - max(
        min(s.top for s in left), min(s.top for s in right)
    )
    return overlap > 3 * median(s.height for s in left)


def _fill(side: list[Segment]) -> float:
    """How much of a side's width its text takes, over the heights where it has any (lines of columns need not align)."""
    width = max(s.x1 for s in side) - min(s.x0 for s in side)
    covered = last = 0.0
    for segment in sorted(side, key=lambda s: s.top):
        covered += max(0.0, segment.bottom - max(segment.top, last))
        last = max(last, segment.bottom)
    return sum((s.x1 - s.x0) * s.height for s in side) / max(width * covered, 1.0)


def text_rows(segments: list[Segment]) -> list[list[Segment]]:
    """Segments of one column grouped by line, top to bottom, each left to right."""
    rows: list[list[Segment]] = []
    anchor: Segment | None = None  # the tallest of the last row
    for segment in sorted(segments, key=_middle):
        if anchor is not None:
            near = 0.5 * min(max(anchor.height, 1.0), max(segment.height, 1.0) * 1.6)
            if abs(segment.middle - anchor.middle) < near:
                rows[-1].append(segment)
                if segment.height > anchor.height:
                    anchor = segment
                continue
        rows.append([segment])
        anchor = segment
    for row in rows:
        if len(row) > 1:
            row.sort(key=_left)
    return rows


def join_row(row: list[Segment], page: int, flow: int, left: float, right: float) -> Line:
    text = row[0].text
    for before, after in itertools.pairwise(row):
        gap = after.x0 - before.x1
        height = max(before.height, after.height)
        glued = is_cjk(text[-1]) and is_cjk(after.text[0])
        text += (" " if gap > (0.8 if glued else 0.15) * height else "") + after.text
    longest = max(row, key=lambda s: len(s.text))
    return Line(
        text=text.strip(),
        x0=row[0].x0,
        top=min(s.top for s in row),
        x1=max(s.x1 for s in row),
        bottom=max(s.bottom for s in row),
        size=longest.size,
        weight=min((s.weight for s in row if len(s.text) > 1), default=row[0].weight),
        page=page,
        flow=flow,
        left=left,
        right=right,
        confidence=mean_confidence(row),
    )


def mean_confidence(parts: Iterable[Segment | Line]) -> float | None:
    """The confidence of what was recognised of ``parts``, by letters; None if nothing was."""
    found = [(p.confidence, len(p.text)) for p in parts if p.confidence is not None]
    letters = sum(n for _, n in found)
    return round(sum(c * n for c, n in found) / letters, 4) if letters else None


def is_bullet(text: str) -> bool:
    """Whether a line begins a list item."""
    return _SURE_BULLET.match(text) is not None or _BULLET.match(text) is not None


def split_bullet(text: str) -> tuple[str, str]:
    """The mark of a list item, "-" for any sign, and its text."""
    match = _SURE_BULLET.match(text) or _BULLET.match(text)
    if match is None:
        return "-", text
    mark = match[0].strip()
    return (mark if any(c.isalnum() for c in mark) else "-"), text[match.end() :].strip()


def join_lines(first: str, second: str) -> str:
    """Rejoin two lines of a paragraph: hyphens healed, no space between Chinese characters."""
    if not first or not second:
        return first or second
    if first.endswith("\u00ad"):
        word = len(first) > 1 and first[-2].isalpha() and not is_cjk(first[-2]) and second[0].islower()
        return first[:-1] + ("" if word else "-") + second
    if first.endswith(_HYPHENS) and second[0].islower() and len(first) > 2 and first[-2].isalpha():
        return first[:-1] + second
    if is_cjk(first[-1]) and is_cjk(second[0]):
        return first + second
    # A full-width mark brings its own space.
    if (is_cjk(first[-1]) and not first[-1].isalnum()) or (is_cjk(second[0]) and not second[0].isalnum()):
        return first + second
    return f"{first} {second}"


def starts_paragraph(previous: Line, line: Line, pitch: float) -> bool:
    """Whether ``line`` begins a new paragraph after ``previous``; ``pitch`` is the usual line distance."""
    if abs(line.size - previous.size) > 0.08 * max(line.size, previous.size) or line.weight != previous.weight:
        return True
    em = line.size
    full = previous.x1 > previous.right - 2.5 * em
    closed = previous.text.endswith(_TERMINAL)
    # "n) of them" at the start of a wrapped line is no list item.
    if _SURE_BULLET.match(line.text) or (_BULLET.match(line.text) and (closed or not full)):
        return True
    if line.page != previous.page or line.flow != previous.flow:
        # Across a column or page: only a sentence plainly under way goes on.
        return closed or line.x0 > line.left + 0.8 * em or (_had_room(previous, line) and not _goes_on(previous, line))
    distance = line.top - previous.top
    if distance > 1.35 * max(pitch, line.height * 0.9) + 1 or distance < -0.5 * line.height:
        return True
    indented = line.x0 > previous.x0 + 0.8 * em and line.x0 < line.left + 6 * em
    if indented and not is_bullet(previous.text):
        return closed or not full
    return _had_room(previous, line) and (closed or not _goes_on(previous, line))


def _had_room(previous: Line, line: Line) -> bool:
    """Whether the first word of ``line`` would have fitted at the end of ``previous``: then it was not wrapped."""
    if abs(line.x1 - previous.x1) < line.size and abs(line.x0 - previous.x0) < line.size:
        return False  # two lines of a block that is narrower than its column
    if is_cjk(line.text[0]):
        needed = 2.2 * line.size  # a mark that may not begin a line takes its neighbour along
    else:
        needed = (len(line.text.split(None, 1)[0]) + 1) * (line.x1 - line.x0) / len(line.text)
    return previous.right - previous.x1 > needed + 0.6 * line.size


def _goes_on(previous: Line, line: Line) -> bool:
    return line.text[:1].islower() or previous.text.endswith((",", "，", "、", *_HYPHENS))
