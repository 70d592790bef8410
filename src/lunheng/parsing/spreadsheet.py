"""Excel and OpenDocument spreadsheets: a sheet under a heading with its name, its tables below.

Called by ``dispatch`` for xlsx, xlsb, xls and ods. Cells are read by calamine (values as they were stored, formulas are
never evaluated); ``xlsx_view`` tells how an .xlsx shows them. The size of each sheet is looked at before calamine is:
one cell at XFD1048576 makes it ask for a grid of 17 billion cells, and abort.
"""

from __future__ import annotations

import datetime as dt
import zipfile
from pathlib import Path
from typing import Any

from lunheng.errors import EncryptedError, LimitError, ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.detect import detect
from lunheng.parsing.number_formats import format_value
from lunheng.parsing.office import read_core_properties
from lunheng.parsing.sheets import Grid, Table, add_table, tables_of
from lunheng.parsing.xlsx_view import SheetView, WorkbookView, read_view
from lunheng.parsing.zipscan import check_zip
from lunheng.types import Document, Limits

MAX_HEADER_ROWS = 4


class SpreadsheetParser:
    """Reads xlsx, xlsb, xls and ods."""

    def parse(self, source: Path, limits: Limits) -> Document:
        from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetVisibleEnum, WorksheetNotFound

        data = read_bytes(source, limits)
        kind = detect(source).format
        builder = DocumentBuilder(source, kind, data)
        if kind != "xls":
            check_zip(source, limits)
        view = WorkbookView()
        if kind == "xlsx":
            view = _look(source, limits)
            _read_properties(source, builder)
        elif kind == "ods":
            _read_open_document_properties(source, builder)
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
            looks = view.sheets.get(sheet.name, SheetView())
            try:
                found = _Sheet(book, sheet.name, looks, view.epoch_1904, limits.max_cells - cells, source, limits)
            except (CalamineError, WorksheetNotFound) as error:
                builder.warn(f"sheet {sheet.name!r} is damaged and was left out ({error})")
                continue
            cells += found.size
            hidden = sheet.visible != SheetVisibleEnum.Visible
            if looks.unsolved and any(any(row) for row in found.rows):
                builder.warn(
                    f"sheet {sheet.name!r}: {looks.unsolved:,} formulas have no stored value and are empty here; "
                    "open the workbook in Excel once and save it"
                )
            if _add_sheet(builder, sheet.name, found, hidden, limits.wide_sheet_columns) and hidden:
                builder.warn(f"sheet {sheet.name!r} is hidden in the workbook and was marked as hidden")
        return builder.build()


class _Sheet:
    """The texts of one sheet's cells as shown, merged ones filled."""

    def __init__(
        self, book: Any, name: str, view: SheetView, epoch_1904: bool, allowed: int, source: Path, limits: Limits
    ) -> None:
        sheet = book.get_sheet_by_name(name)
        self.view = view
        self.size = sheet.height * sheet.width
        if self.size > allowed:
            raise _too_many(source, limits)
        start: tuple[int, int] = sheet.start or (0, 0)
        self.top, self.left = start
        self.rows: Grid = []
        values = sheet.to_python(skip_empty_area=True)
        for r, row in enumerate(values, self.top):
            if view.formats:
                codes = view.formats
                texts = []
                for c, value in enumerate(row, self.left):
                    code = codes.get((r, c))
                    shown = format_value(value, code, epoch_1904) if code and value != "" else None
                    texts.append(cell_text(value) if shown is None else shown)
                self.rows.append(texts)
            else:
                self.rows.append([cell_text(value) for value in row])
        self.header_rows = 1
        for (top, left), (bottom, right) in getattr(sheet, "merged_cell_ranges", None) or ():
            top, left, bottom, right = top - self.top, left - self.left, bottom - self.top, right - self.left
            width = len(self.rows[0]) if self.rows else 0
            if top < MAX_HEADER_ROWS and right > left and right - left + 1 < width:
                # Columns joined under one name have names of their own below it.
                self.header_rows = max(self.header_rows, min(bottom + 2, MAX_HEADER_ROWS))
            _fill(self.rows, top, left, bottom, right)

    @property
    def hidden_rows(self) -> set[int]:
        return {row - self.top for row in self.view.hidden_rows if 0 <= row - self.top < len(self.rows)}

    @property
    def hidden_columns(self) -> set[int]:
        width = max(map(len, self.rows), default=0)
        return {column - self.left for column in self.view.hidden_columns if 0 <= column - self.left < width}

    def links(self) -> list[tuple[str, str]]:
        """(text of the cell, target) of each linked cell that has text."""
        found = []
        for (row, column), target in sorted(self.view.links.items()):
            r, c = row - self.top, column - self.left
            if 0 <= r < len(self.rows) and 0 <= c < len(self.rows[r]) and self.rows[r][c].strip() and target:
                found.append((" ".join(self.rows[r][c].split()), target))
        return found


def _add_sheet(builder: DocumentBuilder, name: str, sheet: _Sheet, hidden: bool, wide: int) -> bool:
    """Add a sheet; whether it had any text."""
    rows, columns = sheet.hidden_rows, sheet.hidden_columns
    visible = [
        [cell for c, cell in enumerate(row) if c not in columns] for r, row in enumerate(sheet.rows) if r not in rows
    ]
    if not any(cell.strip() for row in sheet.rows for cell in row):
        return False
    builder.heading(name, 1, hidden=hidden)
    links = sheet.links()
    for at, table in enumerate(tables_of(visible, sheet.header_rows)):
        add_table(builder, table, wide=wide, name=name, hidden=hidden, links=links if at == 0 else ())
    if (rows or columns) and not hidden:
        _add_hidden_part(builder, name, sheet, rows, columns)
    for address, text in sheet.view.notes:
        builder.add("paragraph", f"{address}: {text}", role="comment", hidden=hidden)
    return True


def _add_hidden_part(builder: DocumentBuilder, name: str, sheet: _Sheet, rows: set[int], columns: set[int]) -> None:
    """What stands in hidden rows and columns, each under the names of its columns, flagged."""
    header = next((r for r, row in enumerate(sheet.rows) if r not in rows and sum(map(bool, row)) > 1), None)
    kept = [row for r, row in enumerate(sheet.rows) if r in rows or (r == header and rows)]
    parts = [kept] if rows else []
    if columns:
        first = next((c for c in range(max(map(len, sheet.rows))) if c not in columns), None)
        parts.append([[cell for c, cell in enumerate(row) if c in columns or c == first] for row in sheet.rows])
    for part in parts:
        add_table(builder, Table(part), wide=0, name=name, hidden=True)
    builder.warn(f"sheet {name!r} has hidden rows or columns, which were marked as hidden")


def _look(source: Path, limits: Limits) -> WorkbookView:
    def check_area(cells: int) -> None:
        if cells > limits.max_cells:
            raise _too_many(source, limits)

    with zipfile.ZipFile(source) as archive:
        return read_view(archive, check_area)


def _fill(rows: Grid, top: int, left: int, bottom: int, right: int) -> None:
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


def _read_properties(source: Path, builder: DocumentBuilder) -> None:
    from openpyxl.packaging.core import DocumentProperties
    from openpyxl.xml.functions import fromstring

    with zipfile.ZipFile(source) as archive:
        if "docProps/core.xml" not in archive.namelist():
            return
        try:
            properties = DocumentProperties.from_tree(fromstring(archive.read("docProps/core.xml")))
        except (ValueError, TypeError, SyntaxError, AttributeError) as error:
            builder.warn(f"its title, author and dates could not be read ({error})")
            return
    read_core_properties(properties, builder)


def _read_open_document_properties(source: Path, builder: DocumentBuilder) -> None:
    """Title, author and times from an OpenDocument file's meta.xml."""
    from lunheng.parsing.office import meaningful_title, safe_xml

    with zipfile.ZipFile(source) as archive:
        root = safe_xml(archive.read("meta.xml")) if "meta.xml" in archive.namelist() else None
    if root is None:
        return
    found = {
        node.tag.rpartition("}")[2]: (node.text or "").strip() for node in root.iter() if isinstance(node.tag, str)
    }
    builder.title = meaningful_title(found.get("title"))
    builder.author = found.get("initial-creator") or found.get("creator") or None
    builder.created_at = _moment(found.get("creation-date"))
    builder.last_modified = _moment(found.get("date"))


def _moment(text: str | None) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
