"""PDF: reading order, paragraphs, headings, without running headers and page numbers.

Called by ``dispatch`` for pdf. Pages are read one at a time (``pdf_rules``, ``pdf_glyphs``,
``pdf_tables``, ``pdf_layout``); what needs the whole document (repeated lines, the size of body text,
the outline) is decided at the end over its lines (``pdf_structure``).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from lunheng.errors import EncryptedError, LimitError, ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.figures import FigureReader
from lunheng.parsing.ocr_sizes import even_sizes
from lunheng.parsing.office import meaningful_title
from lunheng.parsing.pdf_figures import figure_source
from lunheng.parsing.pdf_fonts import install_blank_font
from lunheng.parsing.pdf_headings import squeezed
from lunheng.parsing.pdf_layout import Line, page_lines, put_links
from lunheng.parsing.pdf_running import without_running_lines
from lunheng.parsing.pdf_scans import ScanReader, needs_recognition, ranges
from lunheng.parsing.pdf_structure import PagesAround, Structure, body_size
from lunheng.parsing.pdf_tables import read_tables
from lunheng.types import Document, Limits

_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([+-])(\d\d)'?(\d\d)?)?")


class PdfParser:
    """Reads pdf. ``ocr`` is the setting for pages without text: auto, off, rapidocr or tesseract."""

    def __init__(self, ocr: str = "auto") -> None:
        self._ocr = ocr

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        builder = DocumentBuilder(source, "pdf", data)
        pdf = _open(data, source)
        try:
            if len(pdf) > limits.max_pages:
                raise LimitError(
                    f"{source}: {len(pdf):,} pages, over the limit of {limits.max_pages:,}; "
                    "split the file or raise parsing.max_pages"
                )
            _read_properties(pdf, builder)
            lines, around = self._read_pages(pdf, builder, limits)
            even_sizes(lines)
            lines = without_running_lines(lines, around.heights, body_size(lines))
            figures = FigureReader(self._ocr, limits)
            around.read_figure = figure_source(pdf, figures, limits.max_pixels)
            Structure(lines, _outline_levels(pdf), builder, around).write()
        finally:
            pdf.close()
        for warning in figures.warnings:
            builder.warn(warning)
        return builder.build()

    def _read_pages(self, pdf: Any, builder: DocumentBuilder, limits: Limits) -> tuple[list[Line], PagesAround]:
        lines: list[Line] = []
        around = PagesAround()
        gutters: list[float] = []
        scans = ScanReader(self._ocr, limits)
        sideways: list[int] = []
        damaged: list[int] = []
        for index in range(len(pdf)):
            number = index + 1
            try:
                page = pdf[index]
            except RuntimeError:  # PdfiumError: this page only
                damaged.append(number)
                continue
            try:
                text, tables = read_tables(page)
                segments, around.heights[number] = text.segments, text.height
                if text.pictures:
                    around.pictures[number] = text.pictures
                if needs_recognition(page, text) and (found := scans.read(page, number, text)) is not None:
                    tables, segments = found.tables()
                    around.heights[number], around.places[number] = found.height, found.place
                elif text.sideways:
                    sideways.append(number)
                found_lines = page_lines(segments, number, tables, around.heights[number], gutters)
                put_links(found_lines, text.links)
                lines.extend(found_lines)
            finally:
                page.close()
        for warning in scans.warnings():
            builder.warn(warning)
        if sideways:
            builder.warn(f"text at an angle to the rest (stamps, print marks) was left out on pages {ranges(sideways)}")
        if damaged:
            builder.warn(f"pages {ranges(damaged)} are damaged and were left out")
        if not lines and scans.engine is None and scans.unread and self._ocr != "off":
            raise ParseError(f"{builder.source}: {'; '.join(scans.warnings())}")
        return lines, around


def _open(data: bytes, source: Path) -> Any:
    import pypdfium2
    import pypdfium2.raw as pdfium

    install_blank_font()
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD or "password" in str(error).lower():
            raise EncryptedError(f"{source}: the PDF is locked with a password; save it without one") from error
        raise ParseError(f"{source}: a damaged or truncated PDF ({error}); fetch it again or print it anew") from error


def _read_properties(pdf: Any, builder: DocumentBuilder) -> None:
    properties = pdf.get_metadata_dict(skip_empty=True)
    builder.title = meaningful_title(properties.get("Title"))
    builder.author = properties.get("Author")
    builder.created_at = _moment(properties.get("CreationDate", ""))
    builder.last_modified = _moment(properties.get("ModDate", ""))


def _moment(text: str) -> datetime | None:
    match = _DATE.match(text)
    if not match:
        return None
    year, *rest = (int(g) if g else None for g in match.groups()[:6])
    month, day, hour, minute, second = (r if r is not None else d for r, d in zip(rest, (1, 1, 0, 0, 0), strict=True))
    sign, hours, minutes = match.groups()[6:]
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        return datetime(year or 1, month, day, hour, minute, second, tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _outline_levels(pdf: Any) -> dict[tuple[int, str], int]:
    """The level of each bookmark by (page, title without spaces)."""
    levels: dict[tuple[int, str], int] = {}
    for bookmark in pdf.get_toc(max_depth=6):
        destination = bookmark.get_dest()
        index = destination.get_index() if destination is not None else None
        title = squeezed(bookmark.get_title())
        if index is not None and title:
            levels.setdefault((index + 1, title), bookmark.level + 1)
    return levels
