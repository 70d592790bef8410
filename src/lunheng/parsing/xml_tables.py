"""Tables of the XML dialects: HTML's model (JATS, FictionBook, DocBook 5), CALS (DocBook), TEI's.

Called by the XML parser.
"""

from __future__ import annotations

from typing import Any

from lunheng.errors import LimitError
from lunheng.parsing.xml_tree import attribute, name_of

_ROWS = frozenset(["tr", "row", "table-row", "strow", "sthead"])
_CELLS = frozenset(["td", "th", "entry", "cell", "table-cell", "stentry"])
_NESTED = frozenset(["table", "informaltable", "entrytbl"])
MAX_SPAN = 1000


def table_grid(table: Any, max_cells: int) -> list[list[str]]:
    """The rows of a table; a spanned cell's text stands in every place that it covers.

    Raises:
        LimitError: if these are more than ``max_cells``.
    """
    count = 0
    columns = [
        attribute(n, "colname") or str(i) for i, n in enumerate(n for n in table.iter() if name_of(n) == "colspec")
    ]
    grid: list[list[str]] = []
    covered: dict[tuple[int, int], str] = {}
    for row in table.iterdescendants():
        if name_of(row).lower() not in _ROWS or _inside_another(row, table):
            continue
        cells: list[str] = []
        for cell in row:
            if name_of(cell).lower() not in _CELLS:
                continue
            while (len(grid), len(cells)) in covered:
                cells.append(covered[len(grid), len(cells)])
            text, across, down = _text(cell), _across(cell, columns), _down(cell)
            count += across * down
            if count > max_cells:
                raise LimitError(f"a table of over {max_cells:,} cells; split it or raise parsing.max_cells")
            for r in range(1, down):
                covered.update(((len(grid) + r, len(cells) + c), text) for c in range(across))
            cells.extend([text] * across)
        while (len(grid), len(cells)) in covered:
            cells.append(covered[len(grid), len(cells)])
        grid.append(cells)
    return grid or _by_place(table)


def _by_place(table: Any) -> list[list[str]]:
    """The cells of InDesign's tables, which stand in no rows but are called by their place, ``column:row``."""
    cells: dict[tuple[int, int], str] = {}
    for cell in table:
        column, _, row = (attribute(cell, "Name") or "").partition(":")
        if name_of(cell) == "Cell" and column.isdecimal() and row.isdecimal() and max(int(row), int(column)) < 10_000:
            cells[int(row), int(column)] = _text(cell)
    width = max((column + 1 for _, column in cells), default=0)
    return [[cells.get((row, c), "") for c in range(width)] for row in range(max((r + 1 for r, _ in cells), default=0))]


def _inside_another(row: Any, table: Any) -> bool:
    for above in row.iterancestors():
        if above is table:
            return False
        if name_of(above).lower() in _CELLS or (name_of(above).lower() in _NESTED and name_of(table) != "table-wrap"):
            return True
    return False


def _text(cell: Any) -> str:
    """The cell's paragraphs, each on a line of its own."""
    lines = [""]

    def gather(node: Any) -> None:
        lines[-1] += node.text or ""
        for child in node:
            is_block = name_of(child).lower() in ("p", "para", "simpara", "listitem", "list-item", "br", "item")
            lines.extend([""] if is_block else [])
            if name_of(child):
                gather(child)
            lines.extend([""] if is_block else [])
            lines[-1] += child.tail or ""

    gather(cell)
    return "\n".join(filter(None, (" ".join(line.split()) for line in lines)))


def _across(cell: Any, columns: list[str]) -> int:
    first, last = attribute(cell, "namest"), attribute(cell, "nameend")
    if first in columns and last in columns:
        return max(1, columns.index(last) - columns.index(first) + 1)
    return _number(
        attribute(cell, "colspan") or attribute(cell, "cols") or attribute(cell, "number-columns-spanned"), 1
    )


def _down(cell: Any) -> int:
    if more := attribute(cell, "morerows"):
        return _number(more, 0) + 1
    return _number(attribute(cell, "rowspan") or attribute(cell, "rows") or attribute(cell, "number-rows-spanned"), 1)


def _number(value: str | None, least: int) -> int:
    return max(least, min(int(value), MAX_SPAN)) if value and value.isdecimal() else least
