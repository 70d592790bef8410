"""What is never mixed with running text: tables, code that fits, hidden text.

Called by the recursive and structure chunkers. A document becomes a row of blocks; a table or code
block takes the bare headings right above it along, so that no chunk is a heading alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lunheng.chunking.assembly import Assembler, Draft
from lunheng.chunking.splitting import split_span
from lunheng.types import Element

MIN_ROW_SHARE = 2
"""A header that leaves less than half of the budget to the rows is not repeated."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive elements that are cut together: ``first`` to ``last`` (exclusive) of the document's."""

    kind: str
    first: int
    last: int


def make_blocks(elements: tuple[Element, ...]) -> list[Block]:
    """Group elements into runs of text, single tables and single code blocks; hidden ones are left out."""
    blocks: list[Block] = []
    first: int | None = None
    for i, element in enumerate(elements):
        special = element.kind in ("table", "code", "figure") and not element.hidden
        if not (special or element.hidden):
            first = i if first is None else first
            continue
        if first is not None:
            body = _without_trailing_headings(elements, first, i) if special else i
            if body > first:
                blocks.append(Block("text", first, body))
            first = body if body < i else None
        if special:
            blocks.append(Block(element.kind, i if first is None else first, i + 1))
        first = None
    if first is not None:
        blocks.append(Block("text", first, len(elements)))
    return blocks


def _without_trailing_headings(elements: tuple[Element, ...], first: int, last: int) -> int:
    while last > first and elements[last - 1].kind == "heading":
        last -= 1
    return last


def special_drafts(assembler: Assembler, block: Block) -> Iterator[Draft]:
    """The drafts of a table, code or figure block."""
    elements = assembler.document.elements
    start, end = elements[block.first].start, elements[block.last - 1].end
    if block.kind == "table":
        yield from table_drafts(assembler, start, elements[block.last - 1])
    elif assembler.tokens.count(start, end) <= assembler.budget(start):
        yield Draft(start, end, block.kind)
    else:
        for span in split_span(assembler.tokens, start, end, assembler.budget(start)):
            yield Draft(*span, block.kind)


def table_drafts(assembler: Assembler, start: int, table: Element) -> Iterator[Draft]:
    """Cut a Markdown table between its rows; every part after the first repeats the header in its prefix.

    ``start`` may lie before the table, at the headings that go with it.
    """
    tokens = assembler.tokens
    if tokens.count(start, table.end) <= assembler.budget(start):
        yield Draft(start, table.end, "table")
        return
    lines = table.text.split("\n")
    header = "\n".join(lines[:2])
    repeated = header if assembler.budget(table.start, header) * MIN_ROW_SHARE >= assembler.cap else ""
    position = table.start
    rows: list[tuple[int, int]] = []
    for line in lines:
        rows.append((position, position + len(line)))
        position += len(line) + 1
    part_start, part_end = start, rows[min(1, len(rows) - 1)][1]
    budget = assembler.budget(start)
    for row_start, row_end in rows[2:]:
        if tokens.count(part_start, row_end) > budget:
            yield Draft(part_start, part_end, "table", repeated if part_start >= rows[min(2, len(rows) - 1)][0] else "")
            part_start = row_start
            budget = assembler.budget(table.start, repeated)
        part_end = row_end
    yield Draft(
        part_start,
        part_end,
        "table",
        repeated if part_start > table.start and len(rows) > 2 and part_start >= rows[2][0] else "",
    )
