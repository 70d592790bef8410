"""Rows of cells to a Markdown table, one form for every format.

Called by the parsers of every format that has tables. The chunker splits such a table between
its lines, so a cell never holds a line break.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SEPARATOR_CELL = "---"
_SEPARATOR = re.compile(r"\|?(?:\s*:?-+:?\s*\|)*\s*:?-+:?\s*\|?")
_BAR = re.compile(r"(?<!\\)\|")


def markdown_table(rows: Iterable[Sequence[str]], header: bool = True) -> str:
    """Give a GitHub-style Markdown table; the first row is its header, or an empty one where there is no ``header``.

    Rows are padded to the widest; rows and trailing columns without any text are left out;
    ``|`` is escaped, line breaks become ``<br>``.
    Gives "" when no cell has text.
    """
    cells = [[escape_cell(c) for c in row] for row in rows]
    cells = [row for row in cells if any(row)]
    width = max((i + 1 for row in cells for i, c in enumerate(row) if c), default=0)
    if not width:
        return ""
    cells = [(row + [""] * width)[:width] for row in cells]
    if not header:
        cells.insert(0, [""] * width)
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    lines.insert(1, "|" + "|".join(f" {SEPARATOR_CELL} " for _ in range(width)) + "|")
    return "\n".join(lines)


def split_titles(rows: Sequence[Sequence[str]]) -> tuple[list[str], list[Sequence[str]]]:
    """Give the titles that stand over a sheet's table, and the rows below them.

    A title is a leading row with one text only, alone or repeated by a merged cell, over rows that have several:
    taken for the header it would name every column alike.
    """
    titles: list[str] = []
    for at, row in enumerate(rows):
        texts = {cell.strip() for cell in row if cell.strip()}
        if len(texts) > 1:
            return titles, list(rows[at:])
        titles += sorted(texts)
    return [], list(rows)


def one_header(rows: list[list[str]], count: int) -> list[list[str]]:
    """Join the first ``count`` rows to one header: 收入 over 国内 gives 收入 / 国内."""
    if count < 2 or len(rows) <= count:
        return rows
    width = max(map(len, rows[:count]))
    padded = [row + [""] * (width - len(row)) for row in rows[:count]]
    header = [
        " / ".join(dict.fromkeys(" ".join(row[at].split()) for row in padded if row[at].strip())) for at in range(width)
    ]
    return [header, *rows[count:]]


def table_rows(markdown: str) -> list[list[str]]:
    """The cells of a table that ``markdown_table`` made, header first if it has one, marks undone."""
    lines = [line.strip() for line in markdown.split("\n") if line.strip()]
    if len(lines) > 1 and _SEPARATOR.fullmatch(lines[1]):
        del lines[1]
        if not lines[0].strip("| "):
            del lines[0]
    return [
        [cell.strip().replace("\\|", "|").replace("<br>", "\n") for cell in _BAR.split(_bare(line))] for line in lines
    ]


def _bare(line: str) -> str:
    return line.removeprefix("|").removesuffix("|") if line.startswith("|") else line


def escape_cell(text: str) -> str:
    """Make a cell's text safe inside a Markdown table."""
    if not text:
        return ""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "<br>".join(line for line in lines if line).replace("|", "\\|")
