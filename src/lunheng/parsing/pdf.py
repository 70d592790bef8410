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
from lunheng.parsing.ocr import OcrLine, engine_name, recognise
from lunheng.parsing.office import meaningful_title
from lunheng.parsing.pdf_fonts import install_blank_font
from lunheng.parsing.pdf_glyphs import PageText
from lunheng.parsing.pdf_headings import squeezed
from lunheng.parsing.pdf_layout import Line, page_lines
from lunheng.parsing.pdf_running import without_running_lines
from lunheng.parsing.pdf_structure import Structure, body_size
from lunheng.parsing.pdf_tables import read_tables
from lunheng.types import Document, Limits

_DATE = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([+-])(\d\d)'?(\d\d)?)?")


class PdfParser:
    """Reads pdf. ``ocr`` is the setting for pages without text: auto, off or rapidocr."""

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
            lines, pictures, heights = self._read_pages(pdf, builder, limits)
            lines = without_running_lines(lines, heights, body_size(lines))
            outline = _outline_levels(pdf)
        finally:
            pdf.close()
        Structure(lines, outline, pictures, builder).write()
        return builder.build()

    def _read_pages(
        self, pdf: Any, builder: DocumentBuilder, limits: Limits
    ) -> tuple[list[Line], dict[int, list[OcrLine]], dict[int, float]]:
        lines: list[Line] = []
        recognised: dict[int, list[OcrLine]] = {}
        heights: dict[int, float] = {}
        unread: list[int] = []
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
                heights[number] = text.height
                if text.sideways:
                    sideways.append(number)
                if _needs_ocr(page, text):
                    found = self._recognise(page, limits)
                    if found is None:
                        unread.append(number)
                    else:
                        recognised[number] = found
                        continue
                lines.extend(page_lines(text.segments, number, tables, text.height))
            finally:
                page.close()
        if unread:
            builder.warn(
                f"pages {_ranges(unread)} are pictures without readable text and were not recognised; "
                + ("OCR is off: set parsing.ocr" if self._ocr == "off" else "run: pip install 'lunheng[ocr]'")
            )
        if sideways:
            builder.warn(
                f"text at an angle to the rest (stamps, print marks) was left out on pages {_ranges(sideways)}"
            )
        if damaged:
            builder.warn(f"pages {_ranges(damaged)} are damaged and were left out")
        return lines, recognised, heights

    def _recognise(self, page: Any, limits: Limits) -> list[OcrLine] | None:
        if engine_name(self._ocr) is None:
            return None
        return recognise(page, limits.max_pixels)


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


def _needs_ocr(page: Any, text: PageText) -> bool:
    """A page whose text cannot be read, and that has a picture where text could be."""
    if text.broken:
        return True
    if text.characters > 10:
        return False
    import pypdfium2.raw as pdfium

    return any(o.type == pdfium.FPDF_PAGEOBJ_IMAGE for o in page.get_objects(max_depth=3))


def _ranges(numbers: list[int]) -> str:
    """1, 2, 3, 7 -> "1-3, 7"."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return ", ".join(f"{a}-{b}" if b > a else str(a) for a, b in runs)


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
