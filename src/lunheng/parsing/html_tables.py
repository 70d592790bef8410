"""HTML tables to rows of texts, with cells that span others repeated.

Called by the HTML parser, which gives the function that reads a cell's text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

MAX_SPAN = 1_000
LONG_CELL = 300
"""Text longer than this (in characters) is an article in a cell: it is not repeated over the columns that it spans."""
_GROUPS = frozenset({"thead", "tbody", "tfoot"})


def rows_of(table: Any) -> Iterator[Any]:
    """The table's own rows, not those of tables inside it; its foot last, wherever it was written."""
    feet: list[Any] = []
    for child in table.iter():
        if child.tag == "tr":
            yield child
        elif child.tag in _GROUPS:
            rows = [row for row in child.iter() if row.tag == "tr"]
            if child.tag == "tfoot":
                feet += rows
            else:
                yield from rows
    yield from feet


def cells_of(row: Any) -> list[Any]:
    return [cell for cell in row.iter() if cell.tag in ("td", "th")]


def is_data_table(table: Any) -> bool:
    """Not a table that only lays out the page."""
    if (table.attributes.get("role") or "") in ("presentation", "none"):
        return False
    rows = [cells_of(row) for row in rows_of(table)]
    if sum(map(len, rows)) < 2:
        return False
    marked = any(child.tag in ("caption", "thead") for child in table.iter()) or any(
        cell.tag == "th" for cells in rows for cell in cells
    )
    if marked:
        return table.css_first("h1, h2") is None
    if max(map(len, rows)) < 2 or table.css_first("h1, h2, h3, article, form") is not None:
        return False
    nested = len(table.css("table table"))
    longest = max(len(cell.text()) for cells in rows for cell in cells)
    # Nested tables or whole articles in cells: the page is drawn with it.
    return not nested and longest < 8 * LONG_CELL


def table_grid(table: Any, text_of: Callable[[Any], str]) -> list[list[str]]:
    """The rows of a table, each spanned cell's text in every place that it covers.

    A column in which no cell begins (all that is there spans from the left) is none, and left out.
    """
    grid: list[list[str]] = []
    begun: set[int] = set()
    pending: dict[int, tuple[int, str]] = {}
    for row in rows_of(table):
        cells: list[str] = []

        def fill(cells: list[str] = cells) -> None:
            while len(cells) in pending:
                left, text = pending[len(cells)]
                if left > 1:
                    pending[len(cells)] = (left - 1, text)
                else:
                    del pending[len(cells)]
                cells.append(text)

        for cell in cells_of(row):
            fill()
            text = text_of(cell)
            begun.add(len(cells))
            for at in range(_span(cell, "colspan")):
                shown = text if at == 0 or len(text) <= LONG_CELL else ""
                if (rows := _span(cell, "rowspan")) > 1:
                    pending[len(cells)] = (rows - 1, shown)
                cells.append(shown)
        fill()
        grid.append(cells[:MAX_SPAN])
    return [[text for at, text in enumerate(cells) if at in begun] for cells in grid]


def header_rows(table: Any) -> int:
    """Rows of the head: those in ``thead``, else those at the top that hold nothing but ``th``; at least 1."""
    head = next((child for child in table.iter() if child.tag == "thead"), None)
    if head is not None:
        return max(1, len([row for row in head.iter() if row.tag == "tr"]))
    count = 0
    for row in rows_of(table):
        cells = cells_of(row)
        if len(cells) < 2 or any(cell.tag != "th" for cell in cells):
            break
        count += 1
    return max(1, count)


def _span(cell: Any, name: str) -> int:
    value = (cell.attributes.get(name) or "").strip()
    return max(1, min(int(value), MAX_SPAN)) if value.isdecimal() and len(value) < 9 else 1
