"""PowerPoint: one section a slide, shapes in reading order, lists, tables, charts, pictures, speaker notes, comments.

Called by ``dispatch``. The slide number is the page. Hidden slides and shapes, and what lies off the slide, are flagged.
Dates, footers and slide numbers are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.errors import LimitError, ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.charts import chart_table
from lunheng.parsing.figures import FigureFound, FigureReader
from lunheng.parsing.office import UNTOLD_PICTURE, external_targets, read_core_properties, safe_xml
from lunheng.parsing.pptx_order import reading_order
from lunheng.parsing.pptx_text import Paragraph, paragraphs
from lunheng.parsing.tables import markdown_table
from lunheng.parsing.zipscan import check_zip
from lunheng.types import BBox, Document, Limits

EMU_PER_POINT = 12_700
MAX_GROUP_DEPTH = 20
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_RUNNING = frozenset({"dt", "ftr", "sldNum", "hdr"})
_BULLETED = frozenset({"body", "obj", None})
# PowerPoint's own guesses at what a picture shows.
_GUESSED = re.compile(r"\s*(?:Description automatically generated|描述已自动生成).*$", re.S)

Frame = tuple[float, float, float, float]
"""Scale and shift of a group: x * a + b, y * c + d, in points."""
_PLAIN: Frame = (1.0, 0.0, 1.0, 0.0)


class PptxParser:
    """Reads pptx. ``ocr`` is the setting parsing.ocr, for pictures."""

    def __init__(self, ocr: str = "auto") -> None:
        self._ocr = ocr

    def parse(self, source: Path, limits: Limits) -> Document:
        import pptx
        from pptx.exc import PackageNotFoundError

        data = read_bytes(source, limits)
        check_zip(source, limits)
        builder = DocumentBuilder(source, "pptx", data)
        try:
            deck = pptx.Presentation(str(source))
        except (PackageNotFoundError, KeyError, ValueError, SyntaxError) as error:
            raise ParseError(
                f"{source}: a damaged PowerPoint file ({error}); open and save it again in PowerPoint"
            ) from error
        if len(deck.slides) > limits.max_pages:
            raise LimitError(
                f"{source}: {len(deck.slides):,} slides, over the limit of {limits.max_pages:,}; "
                "split the file or raise parsing.max_pages"
            )
        read_core_properties(deck.core_properties, builder)
        size = (deck.slide_width or 0) / EMU_PER_POINT, (deck.slide_height or 0) / EMU_PER_POINT
        figures = FigureReader(self._ocr, limits)
        for number, slide in enumerate(deck.slides, 1):
            _Slide(slide, number, size, builder, figures).add()
        for warning in figures.warnings:
            builder.warn(warning)
        return builder.build()


@dataclass(frozen=True, slots=True)
class _Placed:
    """A shape and where it stands on the slide; None where the file does not say."""

    shape: Any
    box: BBox | None


class _Slide:
    """One slide under way."""

    def __init__(
        self, slide: Any, number: int, size: tuple[float, float], builder: DocumentBuilder, figures: FigureReader
    ) -> None:
        self._slide = slide
        self._figures = figures
        self._page = number
        self._size = size
        self._builder = builder
        self._hidden = slide._element.get("show") in ("0", "false")
        self._targets = external_targets(slide.part)

    def add(self) -> None:
        if self._hidden:
            self._builder.warn(f"slide {self._page} is hidden in the presentation and was marked as hidden")
        shapes = list(_placed(self._slide.shapes))
        title = self._slide.shapes.title
        found = paragraphs(title._element.txBody, self._targets, False) if title is not None and _body(title) else []
        # A slide without a title still ends the section of the slide before it.
        self._builder.heading(
            " ".join(p.text for p in found) or f"#{self._page}",
            1,
            page=self._page,
            hidden=self._hidden,
            links=[link for p in found for link in p.links],
        )
        nowhere = [p for p in shapes if p.box is None]
        ordered = reading_order([(p.box, p) for p in shapes if p.box is not None])
        for placed in [*(p for _, p in ordered), *nowhere]:
            if title is None or placed.shape._element is not title._element:
                self._shape(placed)
        self._notes()
        self._comments()

    def _shape(self, placed: _Placed) -> None:
        shape = placed.shape
        if _placeholder(shape) in _RUNNING:
            return
        properties = next(shape._element.iter(f"{P}cNvPr"), None)
        unseen = (properties is not None and properties.get("hidden") in ("1", "true")) or self._is_off(placed.box)
        if unseen and not self._hidden:
            self._builder.warn(f"slide {self._page} has shapes that are hidden or off the slide, marked as hidden")
        hidden = self._hidden or unseen
        if getattr(shape, "has_table", False) and shape.has_table:
            self._table(shape.table, placed.box, hidden)
        elif getattr(shape, "has_chart", False) and shape.has_chart:
            title, rows = chart_table(shape.chart._chartSpace)
            self._builder.add(
                "table", markdown_table(rows), page=self._page, bbox=placed.box, caption=title or None, hidden=hidden
            )
        elif (diagram := next(shape._element.iter(f"{DGM}relIds"), None)) is not None:
            self._diagram(diagram.get(f"{R}dm"), placed.box, hidden)
        elif _body(shape):
            bulleted = shape.is_placeholder and _placeholder(shape) in _BULLETED
            self._text(paragraphs(shape._element.txBody, self._targets, bulleted), placed.box, hidden)
        elif any(True for _ in shape._element.iter(f"{A}blip")):
            alt = _GUESSED.sub("", (properties.get("descr") or "") if properties is not None else "")
            alt = " ".join(alt.split())
            alt = "" if UNTOLD_PICTURE.match(alt) else alt
            found = self._figures.read(blob) if (blob := self._blob(shape)) else FigureFound()
            self._builder.add(
                "figure",
                f"{alt}\n{found.text}",
                page=self._page,
                bbox=placed.box,
                caption=alt or None,
                is_ocr=bool(found.text),
                ocr_confidence=found.confidence,
                hidden=hidden,
                picture=found.jpeg,
            )

    def _blob(self, shape: Any) -> bytes:
        """The bytes of a shape's picture that is kept in the file; none for one that is only linked."""
        blip = next(shape._element.iter(f"{A}blip"))
        related = self._slide.part.rels.get(blip.get(f"{R}embed") or "")
        return b"" if related is None or related.is_external else bytes(related.target_part.blob)

    def _text(self, found: list[Paragraph], box: BBox | None, hidden: bool) -> None:
        """Runs of bullets as lists, the rest as paragraphs; a single bullet is a paragraph."""
        lines: list[str] = []
        links: list[tuple[str, str]] = []

        def flush() -> None:
            self._builder.add("list", "\n".join(lines), page=self._page, bbox=box, hidden=hidden, links=links)
            lines.clear()
            links.clear()

        for paragraph in found:
            if paragraph.mark and len(found) > 1:
                indent = "  " * paragraph.level
                lines.append(f"{indent}{paragraph.mark} {' '.join(paragraph.text.split())}")
                links.extend(paragraph.links)
                continue
            flush()
            numbered = paragraph.mark and paragraph.mark != "-"
            text = f"{paragraph.mark} {paragraph.text}" if numbered else paragraph.text
            kind, text = ("formula", paragraph.formula) if paragraph.formula else ("paragraph", text)
            self._builder.add(
                "formula" if kind == "formula" else "paragraph",
                text,
                page=self._page,
                bbox=box,
                hidden=hidden,
                links=paragraph.links,
            )
        flush()

    def _table(self, table: Any, box: BBox | None, hidden: bool) -> None:
        links: list[tuple[str, str]] = []

        def text_of(cell: Any) -> str:
            found = paragraphs(cell._tc.txBody, self._targets, False) if cell._tc.txBody is not None else []
            links.extend(link for p in found for link in p.links)
            return "\n".join(f"{p.mark} {p.text}" if p.mark else p.text for p in found)

        width = len(table.columns)
        grid = [[""] * width for _ in table.rows]
        for r, row in enumerate(table.rows):
            for c, cell in enumerate(row.cells):
                if cell.is_spanned or c >= width:
                    continue
                down, across = (cell.span_height, cell.span_width) if cell.is_merge_origin else (1, 1)
                text = text_of(cell)
                for i in range(r, min(r + down, len(grid))):
                    for j in range(c, min(c + across, width)):
                        grid[i][j] = text
        caption = self._builder.caption_above()
        self._builder.add(
            "table", markdown_table(grid), page=self._page, bbox=box, caption=caption, hidden=hidden, links=links
        )

    def _diagram(self, relationship: str | None, box: BBox | None, hidden: bool) -> None:
        """SmartArt: the words of its points."""
        related = self._slide.part.rels.get(relationship or "")
        root = safe_xml(related.target_part.blob) if related is not None and not related.is_external else None
        points = [
            " ".join("".join(t.text or "" for t in p.iter(f"{A}t")).split())
            for p in (root.iter(f"{A}p") if root is not None else ())
        ]
        lines = "\n".join(f"- {point}" for point in points if point)
        self._builder.add("list", lines, page=self._page, bbox=box, hidden=hidden)

    def _notes(self) -> None:
        if not self._slide.has_notes_slide or self._slide.notes_slide.notes_text_frame is None:
            return
        notes = self._slide.notes_slide
        found = paragraphs(notes.notes_text_frame._txBody, external_targets(notes.part), False)
        self._builder.add(
            "paragraph",
            "\n".join(f"{p.mark} {p.text}" if p.mark else p.text for p in found),
            page=self._page,
            hidden=self._hidden,
            role="speaker_notes",
            links=[link for p in found for link in p.links],
        )

    def _comments(self) -> None:
        for relationship in self._slide.part.rels.values():
            if relationship.is_external or not relationship.reltype.endswith("/comments"):
                continue
            root = safe_xml(relationship.target_part.blob)
            for node in root.iter() if root is not None else ():
                if isinstance(node.tag, str) and node.tag.rpartition("}")[2] == "cm":
                    words = [t.text or "" for t in node.iter() if str(t.tag).rpartition("}")[2] in ("text", "t")]
                    self._builder.add(
                        "paragraph", " ".join(words), page=self._page, hidden=self._hidden, role="comment"
                    )

    def _is_off(self, box: BBox | None) -> bool:
        width, height = self._size
        if box is None or not width or not height:
            return False
        return box[2] <= 0 or box[3] <= 0 or box[0] >= width or box[1] >= height


def _placed(shapes: Any, frame: Frame = _PLAIN, depth: int = 0) -> Iterator[_Placed]:
    """The shapes, those in groups too, each with its place on the slide."""
    for shape in shapes:
        if hasattr(shape, "shapes") and depth < MAX_GROUP_DEPTH:
            yield from _placed(shape.shapes, _frame_of(shape, frame), depth + 1)
        else:
            yield _Placed(shape, _box(shape, frame))


def _frame_of(group: Any, outer: Frame) -> Frame:
    """How the coordinates inside a group become those of the slide."""
    box = _box(group, outer)
    transform = group._element.find(f"{P}grpSpPr/{A}xfrm")
    if box is None or transform is None:
        return outer
    offset, extent = transform.find(f"{A}chOff"), transform.find(f"{A}chExt")
    if offset is None or extent is None:
        return outer
    inner = [_points(offset.get("x")), _points(offset.get("y")), _points(extent.get("cx")), _points(extent.get("cy"))]
    across = (box[2] - box[0]) / inner[2] if inner[2] else 1.0
    down = (box[3] - box[1]) / inner[3] if inner[3] else 1.0
    return across, box[0] - inner[0] * across, down, box[1] - inner[1] * down


def _points(emu: str | None) -> float:
    text = (emu or "0").strip()
    return int(text) / EMU_PER_POINT if text.lstrip("-").isdecimal() and len(text) < 16 else 0.0


def _box(shape: Any, frame: Frame) -> BBox | None:
    if shape.left is None or shape.top is None or shape.width is None or shape.height is None:
        return None
    left, top = shape.left / EMU_PER_POINT, shape.top / EMU_PER_POINT
    right, bottom = left + abs(shape.width) / EMU_PER_POINT, top + abs(shape.height) / EMU_PER_POINT
    xs = sorted(round(x * frame[0] + frame[1], 1) for x in (left, right))
    ys = sorted(round(y * frame[2] + frame[3], 1) for y in (top, bottom))
    return xs[0], ys[0], xs[1], ys[1]


def _body(shape: Any) -> bool:
    return getattr(shape, "has_text_frame", False) and getattr(shape._element, "txBody", None) is not None


def _placeholder(shape: Any) -> str | None:
    """The type of a placeholder, None where it is none or of no type."""
    if not getattr(shape, "is_placeholder", False):
        return None
    node = next(shape._element.iter(f"{P}ph"), None)
    kind: str | None = node.get("type") if node is not None else None
    return kind
