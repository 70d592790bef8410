"""A sheet's cells to its tables: where one ends and the next begins, their titles, units, headers and notes.

Called by the spreadsheet and the CSV parser. A table with very many columns is given as records, one paragraph of
``header: value`` lines a row, since no reader, and no model, counts forty bars.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.tables import markdown_table, one_header, split_titles

Grid = list[list[str]]
_NUMBER = re.compile(r"[-+(]?[^\w\s]{0,3}\d[\d,.]*\s*(?:%|‰|[^\W\d_]{0,3})\)?|\d{4}[-/年].*")
_YEAR = re.compile(r"(?:19|20)\d\d\s*(?:年|年度|[AE])?|[QH]\d.*")
_LOOKED_AT = 50
_UNIT = re.compile(
    r"[（(【]?\s*(?:金额)?(?:单位|币种|Units?\b|Currency\b|in\s+(?:millions|thousands)\b)\s*[:：]?", re.I
)
_NOTE = re.compile(r"(?:注|备注|说明|资料来源|数据来源|来源|Notes?|Sources?|Remarks?)\s*\d*\s*[:：.]|\*", re.I)


@dataclass(slots=True)
class Table:
    """One table of a sheet: ``top`` is its first row in the sheet, ``header_rows`` how many name its columns."""

    rows: Grid
    top: int = 0
    left: int = 0
    header_rows: int = 1
    titles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def tables_of(grid: Grid, header_rows: int = 1) -> list[Table]:
    """The tables of a sheet in reading order; ``header_rows`` is that of a table at the sheet's top."""
    found: list[Table] = []
    for top, rows in _row_blocks(grid):
        for left, block in _column_blocks(rows):
            titles, below = split_titles(block)
            taken = len(block) - len(below)
            body = [list(row) for row in below]
            notes = _take_notes(body)
            if not body and found and titles:
                found[-1].notes += titles  # a block of text alone, below a table
                continue
            tall = header_rows - taken if top == 0 and left == 0 and header_rows > taken else 1
            found.append(Table(body, top + taken, left, tall, titles, notes))
    return found


def _row_blocks(grid: Grid) -> Iterator[tuple[int, Grid]]:
    """Runs of rows between empty ones; a run that has no header of its own goes on with the one before."""
    start: int | None = None
    blocks: list[tuple[int, int]] = []
    for at, row in enumerate([*grid, []]):
        if any(cell.strip() for cell in row):
            start = at if start is None else start
        elif start is not None:
            blocks.append((start, at))
            start = None
    joined: list[tuple[int, int]] = []
    for first, end in blocks:
        if joined and not _begins_table(grid[first:end]):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    for first, end in joined:
        yield first, [row for row in grid[first:end] if any(cell.strip() for cell in row)]


def _begins_table(block: Grid) -> bool:
    """Whether a block of rows stands for itself: a title, or a first row of words over rows with numbers."""
    titles, below = split_titles(block)
    if titles or len(below) < 2:
        return True if titles or not below else not _has_numbers(below[0]) and len(block) == 1
    return not _has_numbers(below[0]) and any(_has_numbers(row) for row in below[1:])


def _has_numbers(row: Sequence[str]) -> bool:
    return any(_NUMBER.fullmatch(cell.strip()) for cell in row if cell.strip())


def _column_blocks(rows: Grid) -> Iterator[tuple[int, Grid]]:
    """Tables that stand side by side: runs of at least two columns between empty ones."""
    width = max(map(len, rows), default=0)
    used = [any(at < len(row) and row[at].strip() for row in rows) for at in range(width)]
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for at, full in enumerate([*used, False]):
        if full:
            start = at if start is None else start
        elif start is not None:
            runs.append((start, at))
            start = None
    several = len(runs) > 1 and all(end - first > 1 for first, end in runs)
    if several and all(sum(bool(c.strip()) for c in rows[0][first:end]) > 1 for first, end in runs):
        for first, end in runs:
            block = [row[first:end] for row in rows]
            yield first, [row for row in block if any(cell.strip() for cell in row)]
    elif runs:
        yield 0, rows


def _take_notes(rows: Grid) -> list[str]:
    """Cut off the rows below a table that hold one remark each."""
    notes: list[str] = []
    while len(rows) > 1:
        texts = list(dict.fromkeys(cell.strip() for cell in rows[-1] if cell.strip()))
        if len(texts) != 1 or not _NOTE.match(texts[0]):
            break
        notes.insert(0, texts[0])
        rows.pop()
    return notes


def has_header(rows: Grid) -> bool:
    """Whether the first row names the columns: not where it holds numbers just as the rows below it do."""
    below = rows[1 : 1 + _LOOKED_AT]
    first = [cell.strip() for cell in rows[0]] if rows else []
    if len(below) < 2 or not any(_NUMBER.fullmatch(cell) and not _YEAR.fullmatch(cell) for cell in first):
        return True
    for at, cell in enumerate(first):
        column = [row[at].strip() for row in below if at < len(row) and row[at].strip()]
        numbers = sum(bool(_NUMBER.fullmatch(text)) for text in column)
        if column and bool(_NUMBER.fullmatch(cell)) != (2 * numbers > len(column)):
            return True
    return False


def is_unit(title: str) -> bool:
    """Whether a line over a table gives the unit of its numbers."""
    return bool(_UNIT.match(title.strip()))


def add_table(
    builder: DocumentBuilder,
    table: Table,
    *,
    wide: int,
    name: str = "",
    level: int = 2,
    hidden: bool = False,
    links: Sequence[tuple[str, str]] = (),
) -> None:
    """Add a table with what stands above and below it; with more than ``wide`` columns (0: never) as records."""
    head, *more = table.titles or [""]
    if is_unit(head) or not table.rows:
        head, more = "", table.titles
    if head and head != name:
        builder.heading(head, level, hidden=hidden)
    for title in more:
        builder.add("paragraph", title, hidden=hidden)
    caption = " ".join(table.titles) or name or None
    rows = one_header(table.rows, table.header_rows)
    width = max((at + 1 for row in rows for at, cell in enumerate(row) if cell.strip()), default=0)
    if wide and width > wide and len(rows) > 1:
        for at, record in enumerate(records(rows)):
            builder.add("paragraph", record, caption=caption, hidden=hidden, links=links if at == 0 else ())
    else:
        builder.add("table", markdown_table(rows, has_header(rows)), caption=caption, hidden=hidden, links=links)
    for note in table.notes:
        builder.add("paragraph", note, hidden=hidden)


def records(rows: Grid) -> Iterator[str]:
    """Each row below the header as ``header: value`` lines; cells without text are left out."""
    from lunheng.parsing.xlsx_view import column_letters

    header = [" ".join(cell.split()) for cell in rows[0]]
    for row in rows[1:]:
        lines = []
        for at, cell in enumerate(row):
            name = header[at] if at < len(header) and header[at] else column_letters(at)
            if value := " ".join(cell.split()):
                lines.append(f"{name}: {value}")
        yield "\n".join(lines)
