"""PowerPoint: one section a slide, shapes in reading order, tables, speaker notes.

Called by ``dispatch``. The slide number is the page. Hidden slides are flagged hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lunheng.errors import LimitError, ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.office import read_core_properties
from lunheng.parsing.tables import markdown_table
from lunheng.parsing.zipscan import check_zip
from lunheng.types import BBox, Document, Limits

EMU_PER_POINT = 12_700
ROW_HEIGHT = 12.0
"""Shapes whose tops differ by less (points) stand in one row, read left to right."""
MAX_GROUP_DEPTH = 20


class PptxParser:
    """Reads pptx."""

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
        for number, slide in enumerate(deck.slides, 1):
            _add_slide(slide, number, builder)
        return builder.build()


def _add_slide(slide: Any, number: int, builder: DocumentBuilder) -> None:
    hidden = slide._element.get("show") == "0"
    if hidden:
        builder.warn(f"slide {number} is hidden in the presentation and was marked as hidden")
    title = slide.shapes.title
    title_text = title.text_frame.text if title is not None and title.has_text_frame else ""
    # A slide without a title still ends the section of the slide before it.
    builder.heading(title_text.replace("\v", " ").strip() or f"#{number}", 1, page=number, hidden=hidden)
    for shape in _in_reading_order(_flat(slide.shapes)):
        if title is not None and shape.shape_id == title.shape_id:
            continue
        if getattr(shape, "has_table", False) and shape.has_table:
            table = markdown_table(_table_rows(shape.table))
            builder.add("table", table, page=number, bbox=_bbox(shape), hidden=hidden)
        elif shape.has_text_frame:
            _add_text(shape, number, hidden, builder)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        builder.add("paragraph", slide.notes_slide.notes_text_frame.text, page=number, hidden=hidden)


def _flat(shapes: Any, depth: int = 0) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes") and depth < MAX_GROUP_DEPTH:
            yield from _flat(shape.shapes, depth + 1)
        else:
            yield shape


def _in_reading_order(shapes: Iterator[Any]) -> list[Any]:
    def place(shape: Any) -> tuple[int, int]:
        top, left = shape.top or 0, shape.left or 0
        return int(top / EMU_PER_POINT / ROW_HEIGHT), left

    return sorted(shapes, key=place)


def _add_text(shape: Any, number: int, hidden: bool, builder: DocumentBuilder) -> None:
    """One element for a text box: a list where it has several paragraphs or levels."""
    paragraphs = [(p.level, p.text.replace("\v", "\n").strip()) for p in shape.text_frame.paragraphs]
    paragraphs = [(level, text) for level, text in paragraphs if text]
    box = _bbox(shape)
    if len(paragraphs) > 1:
        lines = "\n".join(f"{'  ' * level}- {' '.join(text.split())}" for level, text in paragraphs)
        builder.add("list", lines, page=number, bbox=box, hidden=hidden)
    elif paragraphs:
        builder.add("paragraph", paragraphs[0][1], page=number, bbox=box, hidden=hidden)


def _table_rows(table: Any) -> list[list[str]]:
    """Rows with the text of a merged cell in every place that it covers."""
    width = len(table.columns)
    grid = [[""] * width for _ in table.rows]
    for r, row in enumerate(table.rows):
        for c, cell in enumerate(row.cells):
            if cell.is_spanned or c >= width:
                continue
            down, across = (cell.span_height, cell.span_width) if cell.is_merge_origin else (1, 1)
            for i in range(r, min(r + down, len(grid))):
                for j in range(c, min(c + across, width)):
                    grid[i][j] = cell.text_frame.text
    return grid


def _bbox(shape: Any) -> BBox | None:
    if shape.left is None or shape.top is None or shape.width is None or shape.height is None:
        return None
    left, top = shape.left / EMU_PER_POINT, shape.top / EMU_PER_POINT
    return (
        round(left, 1),
        round(top, 1),
        round(left + shape.width / EMU_PER_POINT, 1),
        round(top + shape.height / EMU_PER_POINT, 1),
    )
