"""Draws PDF pages from known text: what ``parsing.py`` measures the engines on.

A page is composed into lines of text at known places, and only then drawn, so that one layout can be written in more
than one order: column after column, or row by row across the columns as some programs do. No PDF tags, no outline.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 595.0, 842.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 531.0, 760.0, 84.0
GUTTER = 24.0
Block = tuple[Any, ...]
"""("heading", level, text), ("paragraph", text), ("item", level, text), ("table", kind, rows, spans), ("caption", text),
("footnote", text)."""


@dataclass(frozen=True)
class Fonts:
    """Names that reportlab knows."""

    body: str
    heading: str
    stroke_headings: bool = False
    """Headings are made bold by an outline: the family has no bold face."""


@dataclass
class _Piece:
    page: int
    x: float
    y: float
    text: str
    font: str
    size: float
    word_space: float = 0.0
    stroke: bool = False


@dataclass(frozen=True)
class Look:
    """How a document is set."""

    language: str
    fonts: Fonts
    columns: int = 1
    interleaved: bool = False
    headings: str = "size"
    """What makes a heading: size, weight (bold in the body's size) or number (neither)."""
    indent: bool = True
    """Paragraphs begin with an indent, else after a space."""
    justified: bool = True
    header: str = ""
    size: float = 10.0


@dataclass
class Composer:
    """Puts blocks on pages, from the top, column after column."""

    look: Look
    pieces: list[_Piece] = field(default_factory=list)
    rules: list[tuple[int, float, float, float, float, float]] = field(default_factory=list)
    shades: list[tuple[int, float, float, float, float]] = field(default_factory=list)
    page: int = 0
    column: int = 0
    top: float = TOP
    y: float = TOP
    foot: float = BOTTOM

    @property
    def width(self) -> float:
        return (RIGHT - LEFT - GUTTER * (self.look.columns - 1)) / self.look.columns

    @property
    def x(self) -> float:
        return LEFT + self.column * (self.width + GUTTER)

    def write(self, blocks: Sequence[Block]) -> None:
        for i, block in enumerate(blocks):
            kind, *rest = block
            if kind == "heading":
                # A heading stays with what follows.
                self._need(60 if i + 1 < len(blocks) else 0)
            getattr(self, f"_{kind}")(*rest)

    def _next(self) -> None:
        if self.column + 1 < self.look.columns:
            self.column += 1
        else:
            self.page, self.column, self.top, self.foot = self.page + 1, 0, TOP, BOTTOM
        self.y = self.top

    def _need(self, height: float) -> None:
        if self.y - height < self.foot:
            self._next()

    def _line(self, text: str, font: str, size: float, leading: float, inset: float = 0.0, **options: Any) -> None:
        self._need(leading)
        self.y -= leading
        self.pieces.append(_Piece(self.page, self.x + inset, self.y + 0.28 * leading, text, font, size, **options))

    def _heading(self, level: int, text: str) -> None:
        look = self.look
        size = {"size": (18.0, 14.5, 12.0, 11.0)[level - 1]}.get(look.headings, look.size)
        font, stroke = look.fonts.heading, look.fonts.stroke_headings
        if look.headings == "number":
            font, stroke = look.fonts.body, False
        if self.y < self.top:
            self.y -= 0.7 * size
        if level == 1 and look.columns > 1:  # the title runs over all columns
            for line in wrap(text, font, size, RIGHT - LEFT, look.language):
                self.y -= 1.4 * size
                self.pieces.append(_Piece(self.page, LEFT, self.y, line, font, size, stroke=stroke))
            self.y -= 12
            self.top = self.y
            return
        for line in wrap(text, font, size, self.width, look.language):
            self._line(line, font, size, 1.45 * size, stroke=stroke)
        self.y -= 0.25 * size

    def _paragraph(self, text: str) -> None:
        look = self.look
        first = 2 * look.size if look.indent else 0.0
        self._text(text, 0.0, first)
        if not look.indent:
            self.y -= 0.6 * look.size

    def _item(self, level: int, text: str) -> None:
        mark = ("•", "–")[level]
        inset = 14.0 * (level + 1)
        self._need(1.5 * self.look.size)
        mark_font = "Helvetica" if self.look.language == "en" else self.look.fonts.heading
        y = self.y - 1.5 * self.look.size + 0.28 * 1.5 * self.look.size
        self.pieces.append(_Piece(self.page, self.x + inset - 10, y, mark, mark_font, self.look.size))
        self._text(text, inset, 0.0, ragged=True)

    def _text(self, text: str, inset: float, first: float, ragged: bool = False) -> None:
        from reportlab.pdfbase.pdfmetrics import stringWidth

        look, font, size = self.look, self.look.fonts.body, self.look.size
        width = self.width - inset
        lines = wrap(text, font, size, width, look.language, first)
        for i, line in enumerate(lines):
            shift = first if i == 0 else 0.0
            space = 0.0
            gaps = line.count(" ")
            if look.justified and not ragged and look.language == "en" and i + 1 < len(lines) and gaps:
                space = max(0.0, (width - shift - stringWidth(line, font, size)) / gaps)
            self._line(line, font, size, 1.5 * size, inset + shift, word_space=space)

    def _caption(self, text: str) -> None:
        self._need(70)
        size = self.look.size - 1
        self.y -= 8
        for line in wrap(text, self.look.fonts.body, size, self.width, self.look.language):
            self._line(line, self.look.fonts.body, size, 1.5 * size)
        self.y -= 2

    def _footnote(self, text: str) -> None:
        size = self.look.size - 2
        lines = wrap(text, self.look.fonts.body, size, self.width, self.look.language)
        self.foot = BOTTOM + 1.35 * size * len(lines) + 8
        self.rules.append((self.page, self.x, self.foot - 4, self.x + 90, self.foot - 4, 0.5))
        for i, line in enumerate(lines):
            y = self.foot - 8 - 1.35 * size * (i + 0.8)
            self.pieces.append(_Piece(self.page, self.x, y, line, self.look.fonts.body, size))

    def _table(self, kind: str, rows: Sequence[Sequence[str]], spans: Sequence[tuple[int, int, int, int]] = ()) -> None:
        """``spans`` are merged cells: first row, first column, last row, last column."""
        look, size = self.look, self.look.size - 1
        font, pad = look.fonts.body, 4.0
        widths = column_widths(rows, font, size, self.width, 2 * pad + (6 if kind == "unruled" else 0))
        covered = {(r, c): s for s in spans for r in range(s[0], s[2] + 1) for c in range(s[1], s[3] + 1)}
        wrapped = [
            [
                wrap(
                    cell, font, size, sum(widths[c : covered.get((r, c), (0, c, 0, c))[3] + 1]) - 2 * pad, look.language
                )
                for c, cell in enumerate(row)
            ]
            for r, row in enumerate(rows)
        ]
        leading = 1.35 * size
        heights = [max(len(cell) for cell in row) * leading + 5 for row in wrapped]
        starts = [self.x, *(self.x + sum(widths[: i + 1]) for i in range(len(widths)))]
        self.y -= 4
        begun, first = self.y, 0

        def close(last: int) -> None:
            self._table_rules(kind, starts, begun, heights[first:last], first, covered, len(rows), drawn_header)

        drawn_header = False
        for r in range(len(rows)):
            if self.y - heights[r] < self.foot and r > first:
                close(r)
                self._next()
                begun, first, drawn_header = self.y, r, True
                self._table_row(wrapped[0], 0, starts, heights[0], {}, size, leading, pad)
                self.y -= heights[0]
                begun = self.y
                self._table_rules(kind, starts, begun + heights[0], heights[:1], 0, {}, 1, False)
            self._table_row(wrapped[r], r, starts, heights[r], covered, size, leading, pad)
            self.y -= heights[r]
        close(len(rows))
        self.y -= 10

    def _table_row(self, cells: Any, r: int, starts: Any, height: float, covered: Any, size: float, leading: float, pad: float) -> None:  # fmt: skip
        bold = r == 0
        font = self.look.fonts.heading if bold else self.look.fonts.body
        for c, lines in enumerate(cells):
            span = covered.get((r, c))
            if span and (span[0], span[1]) != (r, c):
                continue
            for k, line in enumerate(lines):
                y = self.y - 4 - (k + 0.8) * leading
                self.pieces.append(_Piece(self.page, starts[c] + pad, y, line, font, size,
                                          stroke=bold and self.look.fonts.stroke_headings))  # fmt: skip

    def _table_rules(self, kind: str, xs: Any, top: float, heights: Any, first: int, covered: Any, total: int, goes_on: bool) -> None:  # fmt: skip
        ys = [top, *(top - h for h in itertools.accumulate(heights))]
        page = self.page
        if kind == "unruled":
            return
        if kind == "three-line":
            if first == 0:
                self.rules.append((page, xs[0], ys[0], xs[-1], ys[0], 1.0))
                self.rules.append((page, xs[0], ys[1], xs[-1], ys[1], 0.5))
            if first + len(heights) == total and total > 1:
                self.rules.append((page, xs[0], ys[-1], xs[-1], ys[-1], 1.0))
            return
        for i, y in enumerate(ys):
            r = first + i
            for c in range(len(xs) - 1):
                inside = covered.get((r, c))
                if inside is None or inside[0] == r or i in (0, len(ys) - 1):
                    self.rules.append((page, xs[c], y, xs[c + 1], y, 0.5))
        if kind == "rows":
            return
        for i in range(len(ys) - 1):
            r = first + i
            for c, x in enumerate(xs):
                inside = covered.get((r, c))
                if inside is None or inside[1] == c:
                    self.rules.append((page, x, ys[i], x, ys[i + 1], 0.5))

    def draw(self, path: Path) -> int:
        """Write the file; gives its number of pages."""
        from reportlab.pdfgen.canvas import Canvas

        look = self.look
        canvas = Canvas(str(path), pagesize=(WIDTH, HEIGHT), invariant=1)
        canvas.setStrokeColorRGB(0, 0, 0)
        for page in range(self.page + 1):
            if look.header:
                canvas.setFont(look.fonts.body, 8)
                canvas.drawString(LEFT, 800, look.header)
                canvas.drawRightString(RIGHT, 800, "内部资料" if look.language == "zh" else "Internal")
                canvas.setLineWidth(0.4)
                canvas.line(LEFT, 794, RIGHT, 794)
                number = f"第 {page + 1} 页" if look.language == "zh" else f"Page {page + 1}"
                canvas.drawCentredString((LEFT + RIGHT) / 2, 46, number)
            for at, x0, y0, x1, y1, thickness in self.rules:
                if at == page:
                    canvas.setLineWidth(thickness)
                    canvas.line(x0, y0, x1, y1)
            here = [p for p in self.pieces if p.page == page]
            if look.interleaved:
                here.sort(key=lambda p: (-round(p.y), p.x))
            for piece in here:
                text = canvas.beginText(piece.x, piece.y)
                text.setFont(piece.font, piece.size)
                text.setWordSpace(piece.word_space)
                if piece.stroke:
                    canvas.setLineWidth(0.35)
                    text.setTextRenderMode(2)
                text.textOut(piece.text)
                if piece.stroke:
                    text.setTextRenderMode(0)
                canvas.drawText(text)
            canvas.showPage()
        canvas.save()
        return self.page + 1


def wrap(text: str, font: str, size: float, width: float, language: str, first: float = 0.0) -> list[str]:
    """Lines of at most ``width``; English words may be cut with a hyphen, Chinese marks never begin a line."""
    from reportlab.pdfbase.pdfmetrics import stringWidth

    units = _units(text)
    lines: list[str] = []
    line, room = "", width - first
    for unit in units:
        if line and stringWidth((line + unit).rstrip(), font, size) > room:
            # A long word is cut where more than a third of it fits.
            word = unit.rstrip()
            cut = 0
            if language == "en" and word.isalpha() and len(word) >= 8:
                for k in range(3, len(word) - 2):
                    if stringWidth(line + word[:k] + "-", font, size) <= room:
                        cut = k
            if cut:
                lines.append(line + word[:cut] + "-")
                line = unit[cut:]
            else:
                if unit.strip() and unit[0] in "，。、；：？！）》”’%":
                    moved = line[-1]
                    lines.append(line[:-1].rstrip())
                    line = moved + unit
                else:
                    lines.append(line.rstrip())
                    line = unit.lstrip()
            room = width
        else:
            line += unit
    return [*lines, line.rstrip()]


def _units(text: str) -> list[str]:
    """Pieces that a line may end after: words with their space, Chinese characters."""
    units: list[str] = []
    for char in text:
        single = ord(char) >= 0x2E80 or char in "“”‘’…—"
        if single or not units or units[-1].endswith(" ") or ord(units[-1][-1]) >= 0x2E80 or units[-1][-1] in "“”‘’…—":
            if char == " " and units and not units[-1].endswith(" "):
                units[-1] += char
            else:
                units.append(char)
        else:
            units[-1] += char
    return units


def column_widths(rows: Sequence[Sequence[str]], font: str, size: float, width: float, pad: float) -> list[float]:
    """As wide as the longest cell, cells over 16 em wrapped; all within ``width``."""
    from reportlab.pdfbase.pdfmetrics import stringWidth

    natural = [
        max(min(stringWidth(row[c], font, size), 16 * size) for row in rows) * 1.06 + pad for c in range(len(rows[0]))
    ]
    total = sum(natural)
    return natural if total <= width else [w * width / total for w in natural]
