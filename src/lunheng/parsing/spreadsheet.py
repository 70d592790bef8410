"""Excel and OpenDocument spreadsheets: one table a sheet, under a heading with its name.

Called by ``dispatch`` for xlsx, xlsb, xls and ods. Cells are read by calamine (values, never
formulas); the directory of sheets tells which are hidden. The declared size of each sheet is looked
at before calamine is: one cell at XFD1048576 makes it ask for a grid of 17 billion cells, and abort.
"""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from pathlib import Path
from typing import Any

from lunheng.errors import EncryptedError, LimitError, ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.detect import detect
from lunheng.parsing.office import read_core_properties
from lunheng.parsing.tables import markdown_table, split_titles
from lunheng.parsing.zipscan import check_zip
from lunheng.types import Document, Limits

_CELL = re.compile(rb"<(?:\w+:)?c\s[^>]*?\br=\"([A-Z]{1,3})(\d{1,7})\"")
_BLOCK = 1 << 20
_OVERLAP = 256


class SpreadsheetParser:
    """Reads xlsx, xlsb, xls and ods."""

    def parse(self, source: Path, limits: Limits) -> Document:
        from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetVisibleEnum

        data = read_bytes(source, limits)
        kind = detect(source).format
        builder = DocumentBuilder(source, kind, data)
        if kind != "xls":
            check_zip(source, limits)
        if kind == "xlsx":
            _check_dimensions(source, limits)
            _read_properties(source, builder)
        try:
            book = CalamineWorkbook.from_path(str(source))
        except PasswordError as error:
            raise EncryptedError(f"{source}: the workbook is locked with a password; save it without one") from error
        except CalamineError as error:
            raise ParseError(f"{source}: a damaged workbook ({error}); open and save it again in Excel") from error
        builder.title = builder.title or source.stem
        cells = 0
        for sheet in book.sheets_metadata:
            if not str(sheet.typ).endswith("WorkSheet"):
                continue
            hidden = sheet.visible != SheetVisibleEnum.Visible
            rows, size = _rows(book, sheet.name, limits.max_cells - cells, source, limits)
            cells += size
            titles, below = split_titles(rows)
            table = markdown_table(below)
            if table and hidden:
                builder.warn(f"sheet {sheet.name!r} is hidden in the workbook and was marked as hidden")
            if table:
                builder.heading(sheet.name, 1, hidden=hidden)
                for title in titles:
                    builder.heading(title, 2, hidden=hidden)
                builder.add("table", table, caption=" ".join(titles) or sheet.name, hidden=hidden)
        return builder.build()


def _rows(book: Any, name: str, allowed: int, source: Path, limits: Limits) -> tuple[list[list[str]], int]:
    sheet = book.get_sheet_by_name(name)
    size = sheet.height * sheet.width
    if size > allowed:
        raise _too_many(source, limits)
    rows = [[cell_text(value) for value in row] for row in sheet.to_python(skip_empty_area=True)]
    for (top, left), (bottom, right) in getattr(sheet, "merged_cell_ranges", None) or ():
        start = sheet.start or (0, 0)
        _fill(rows, top - start[0], left - start[1], bottom - start[0], right - start[1])
    return rows, size


def _fill(rows: list[list[str]], top: int, left: int, bottom: int, right: int) -> None:
    """Repeat a merged cell's text over its range."""
    if not (0 <= top < len(rows) and 0 <= left < len(rows[top])):
        return
    text = rows[top][left]
    for row in rows[top : bottom + 1]:
        for column in range(left, min(right + 1, len(row))):
            row[column] = text


def cell_text(value: Any) -> str:
    """A cell's value as a reader would write it: whole numbers without ``.0``, dates in ISO form."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "seconds")
    return str(value)


def _too_many(source: Path, limits: Limits) -> LimitError:
    return LimitError(
        f"{source}: its sheets span over {limits.max_cells:,} cells; split the workbook, delete stray cells far "
        "from the data, or raise parsing.max_cells"
    )


def _check_dimensions(source: Path, limits: Limits) -> None:
    """Raise if the rectangle around a sheet's cells is over the limit, by the cells' own addresses."""
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            if not re.fullmatch(r"xl/worksheets/[^/]+\.xml", name):
                continue
            first_row, last_row, first_column, last_column = 1 << 30, 0, 1 << 30, 0
            with archive.open(name) as sheet:
                tail = b""
                while block := sheet.read(_BLOCK):
                    found = _CELL.findall(tail + block)
                    tail = block[-_OVERLAP:]
                    if not found:
                        continue
                    rows = [int(row) for _, row in found]
                    columns = {_column(letters) for letters in {letters for letters, _ in found}}
                    first_row, last_row = min(first_row, *rows), max(last_row, *rows)
                    first_column, last_column = min(first_column, *columns), max(last_column, *columns)
            if (last_row - first_row + 1) * (last_column - first_column + 1) > limits.max_cells:
                raise _too_many(source, limits)


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _read_properties(source: Path, builder: DocumentBuilder) -> None:
    from openpyxl.packaging.core import DocumentProperties
    from openpyxl.xml.functions import fromstring

    with zipfile.ZipFile(source) as archive:
        if "docProps/core.xml" in archive.namelist():
            read_core_properties(DocumentProperties.from_tree(fromstring(archive.read("docProps/core.xml"))), builder)
