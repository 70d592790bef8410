"""What an .xlsx file says of how its sheets look: number formats, hidden rows and columns, links, notes.

Called by the spreadsheet parser beside calamine, which reads the values. Each sheet's XML is read once, in blocks and
by patterns: a tree of a sheet with a million cells takes a hundred times its size. The same pass checks the sheet's
size by the cells' own addresses.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lunheng.parsing.number_formats import BUILTIN
from lunheng.parsing.office import safe_xml

S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_CELL = re.compile(rb"<(?:\w+:)?c\s[^>]*?\br=\"([A-Z]{1,3})(\d{1,12})\"(?:\s+s=\"(\d{1,6})\")?")
_HIDDEN_ROW = re.compile(rb"<(?:\w+:)?row\s[^>]*?\bhidden=\"(?:1|true)\"[^>]*>")
_ROW_NUMBER = re.compile(rb"\br=\"(\d{1,7})\"")
_COLUMN = re.compile(rb"<(?:\w+:)?col\s[^>]*>")
_LINK = re.compile(rb"<(?:\w+:)?hyperlink\s[^>]*>")
_ATTRIBUTE = re.compile(rb"([\w:]+)=\"([^\"]*)\"")
_UNSOLVED = re.compile(
    rb"(?:</(?:\w+:)?f>|<(?:\w+:)?f[^>]*/>)(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v></(?:\w+:)?v>)?</(?:\w+:)?c>"
)
_BLOCK = 1 << 20
_OVERLAP = 512
MAX_COLUMNS = 16_384


@dataclass(slots=True)
class SheetView:
    """One sheet; rows and columns count from 0."""

    formats: dict[tuple[int, int], str] = field(default_factory=dict)
    """Format codes of the cells that have one that matters."""
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    links: dict[tuple[int, int], str] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)
    """(cell address, text) of each note."""
    unsolved: int = 0
    """Formulas without a stored value."""
    area: int = 0
    """Cells of the rectangle around all that are there."""


@dataclass(slots=True)
class WorkbookView:
    """All sheets by name, and the day that dates count from."""

    sheets: dict[str, SheetView] = field(default_factory=dict)
    epoch_1904: bool = False


def read_view(archive: zipfile.ZipFile, check_area: Callable[[int], None]) -> WorkbookView:
    """Read how the sheets of an open .xlsx look; ``check_area`` is told each sheet's size in cells, and may raise."""
    view = WorkbookView()
    names = set(archive.namelist())
    book = safe_xml(archive.read("xl/workbook.xml")) if "xl/workbook.xml" in names else None
    if book is None:
        return view
    properties = book.find(f"{S}workbookPr")
    view.epoch_1904 = properties is not None and properties.get("date1904") in ("1", "true")
    styles = _styles(archive, names)
    targets = _relations(archive, names, "xl/workbook.xml")
    for sheet in book.iter(f"{S}sheet"):
        path = targets.get(sheet.get(f"{R}id") or "", ("", ""))[1]
        if path in names:
            found = view.sheets[sheet.get("name") or ""] = _read_sheet(archive, path, styles)
            check_area(found.area)
            _read_relations(archive, names, path, found)
    return view


def _styles(archive: zipfile.ZipFile, names: set[str]) -> dict[int, str]:
    """Format codes that matter, by the number of the cell style."""
    root = safe_xml(archive.read("xl/styles.xml")) if "xl/styles.xml" in names else None
    if root is None:
        return {}
    own = {_int(f.get("numFmtId")): f.get("formatCode") or "" for f in root.iter(f"{S}numFmt")}
    found: dict[int, str] = {}
    cells = root.find(f"{S}cellXfs")
    for number, style in enumerate(cells.iterchildren(f"{S}xf") if cells is not None else ()):
        code = own.get(_int(style.get("numFmtId"))) or BUILTIN.get(_int(style.get("numFmtId")), "")
        if code and code.lower() not in ("general", "@"):
            found[number] = code
    return found


def _relations(archive: zipfile.ZipFile, names: set[str], part: str) -> dict[str, tuple[str, str]]:
    """(kind, target) by relationship id; a target inside the file is its path there."""
    folder, name = posixpath.split(part)
    path = f"{folder}/_rels/{name}.rels"
    root = safe_xml(archive.read(path)) if path in names else None
    found: dict[str, tuple[str, str]] = {}
    for node in root.iterchildren() if root is not None else ():
        target = node.get("Target") or ""
        if node.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/" + folder, target)).lstrip("/")
        found[node.get("Id") or ""] = ((node.get("Type") or "").rpartition("/")[2], target)
    return found


def _read_sheet(archive: zipfile.ZipFile, path: str, styles: dict[int, str]) -> SheetView:
    view = SheetView()
    columns: dict[bytes, int] = {}
    first_row, last_row, first_column, last_column = 1 << 30, 0, 1 << 30, 0
    links: list[bytes] = []
    with archive.open(path) as sheet:
        tail = b""
        while block := sheet.read(_BLOCK):
            data = tail + block
            # Up to the last tag that is whole; the rest is read with the next block.
            cut = data.rfind(b"<", max(len(data) - _OVERLAP, 0)) if len(block) == _BLOCK else len(data)
            cut = cut if cut > 0 else len(data)
            data, tail = data[:cut], data[cut:]
            for letters, row, style in _CELL.findall(data):
                column = columns.get(letters)
                if column is None:
                    column = columns[letters] = column_number(letters)
                number = int(row) - 1
                first_row, last_row = min(first_row, number), max(last_row, number)
                if style and (code := styles.get(int(style))):
                    view.formats[number, column] = code
            for match in _HIDDEN_ROW.findall(data):
                if row_number := _ROW_NUMBER.search(match):
                    view.hidden_rows.add(int(row_number.group(1)) - 1)
            for match in _COLUMN.findall(data):
                _hide_columns(match, view)
            links.extend(_LINK.findall(data))
            view.unsolved += len(_UNSOLVED.findall(data))
    if columns:
        first_column, last_column = min(columns.values()), max(columns.values())
        view.area = (last_row - first_row + 1) * (last_column - first_column + 1)
    for link in links[:10_000]:
        attributes = _attributes(link)
        if place := cell_place(attributes.get("ref", "").partition(":")[0]):
            location = attributes.get("location")
            view.links[place] = attributes.get("r:id", "") or (f"#{location}" if location else "")
    return view


def _hide_columns(tag: bytes, view: SheetView) -> None:
    attributes = _attributes(tag)
    if attributes.get("hidden") in ("1", "true"):
        first, last = _int(attributes.get("min")), _int(attributes.get("max"))
        view.hidden_columns.update(range(max(first, 1) - 1, min(last, MAX_COLUMNS)))


def _read_relations(archive: zipfile.ZipFile, names: set[str], path: str, view: SheetView) -> None:
    """Put the addresses of links in place of their ids, and read the notes."""
    relations = _relations(archive, names, path)
    view.links = {
        place: target if target.startswith("#") else relations[target][1]
        for place, target in view.links.items()
        if target.startswith("#") or target in relations
    }
    for kind, target in relations.values():
        root = safe_xml(archive.read(target)) if kind == "comments" and target in names else None
        for note in root.iter(f"{S}comment") if root is not None else ():
            text = "".join(t.text or "" for t in note.iter(f"{S}t")).strip()
            if text:
                view.notes.append((note.get("ref") or "", text))


def _attributes(tag: bytes) -> dict[str, str]:
    import html

    return {k.decode(): html.unescape(v.decode("utf-8", "replace")) for k, v in _ATTRIBUTE.findall(tag)}


def _int(value: Any) -> int:
    text = str(value or "")
    return int(text) if text.isdecimal() and len(text) < 9 else 0


def column_number(letters: bytes) -> int:
    """``A`` 0, ``Z`` 25, ``AA`` 26."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def column_letters(number: int) -> str:
    """0 ``A``, 25 ``Z``, 26 ``AA``."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def cell_place(address: str) -> tuple[int, int] | None:
    """(row, column) of ``B7``, from 0."""
    match = re.fullmatch(r"\$?([A-Z]{1,3})\$?(\d{1,7})", address)
    return (int(match.group(2)) - 1, column_number(match.group(1).encode())) if match else None
