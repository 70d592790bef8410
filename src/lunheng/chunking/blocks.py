"""What is never mixed with running text: tables, code that fits, hidden text.

Called by the recursive and structure chunkers. A document becomes a row of blocks; a table or code
block takes the bare headings right above it along, so that no chunk is a heading alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lunheng.chunking.assembly import PREFIX_SHARE, Assembler, Draft, shortened
from lunheng.chunking.splitting import split_span
from lunheng.types import Element

MIN_ROW_SHARE = 2
"""A header that leaves less than half of the budget to the rows is not repeated."""

DESCRIPTION_SHARE = 2
"""A description takes at most half of what its caption and headings leave: the figure's own text has the other."""
DESCRIPTION_LABELS = {"zh": "图片描述：", "en": "Picture description: "}


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
    """The drafts of a table, code or figure block; what is said of a figure stands before its first part."""
    elements = assembler.document.elements
    start, end = elements[block.first].start, elements[block.last - 1].end
    if block.kind == "table":
        yield from table_drafts(assembler, start, elements[block.last - 1])
        return
    caption = caption_of(assembler, elements[block.last - 1])
    header = with_description(assembler, start, caption, elements[block.last - 1])
    for span in split_span(assembler.tokens, start, end, assembler.budget(start, header)):
        yield Draft(*span, block.kind, header)
        header = caption


def with_description(assembler: Assembler, start: int, caption: str, element: Element) -> str:
    """``caption`` and below it what a vision model says of a figure, marked as that, within half of what is left."""
    if not element.description:
        return caption
    label = DESCRIPTION_LABELS.get(assembler.document.language, DESCRIPTION_LABELS["en"])
    allowed = assembler.budget(start, caption) // DESCRIPTION_SHARE
    line = shortened(label + element.description, assembler.tokens.tokenizer, allowed)
    return f"{caption}\n{line}" if caption and line else caption or line


def caption_of(assembler: Assembler, element: Element) -> str:
    """What a table's or figure's caption adds to its prefix: nothing where it is long or stands in the text."""
    caption = " ".join((element.caption or "").split())
    long = assembler.tokens.tokenizer.count(caption) > assembler.cap // PREFIX_SHARE
    return "" if long or caption in element.text or caption in assembler.prefix(element.start) else caption


def row_header(assembler: Assembler, table: Element) -> str:
    """What stands over the rows of a table where they are apart from it: its caption and its header.

    Nothing where that would leave less than half of the cap to the rows.
    """
    header = "\n".join(table.text.split("\n")[:2])
    caption = caption_of(assembler, table)
    for repeated in (f"{caption}\n{header}" if caption else header, header):
        if assembler.budget(table.start, repeated) * MIN_ROW_SHARE >= assembler.cap:
            return repeated
    return ""


def table_drafts(assembler: Assembler, start: int, table: Element) -> Iterator[Draft]:
    """Cut a Markdown table between its rows; every part after the first repeats the header in its prefix.

    ``start`` may lie before the table, at the headings that go with it.
    """
    tokens = assembler.tokens
    caption = caption_of(assembler, table)
    budget = assembler.budget(start, caption)
    if tokens.count(start, table.end) <= budget:
        yield Draft(start, table.end, "table", caption)
        return
    lines = table.text.split("\n")
    repeated = row_header(assembler, table)
    position = table.start
    rows: list[tuple[int, int]] = []
    for line in lines:
        rows.append((position, position + len(line)))
        position += len(line) + 1
    part_start, part_end, over = start, rows[min(1, len(rows) - 1)][1], caption
    for row_start, row_end in rows[2:]:
        if tokens.count(part_start, row_end) > budget:
            yield Draft(part_start, part_end, "table", over)
            part_start, over = row_start, repeated
            budget = assembler.budget(table.start, repeated)
        part_end = row_end
    yield Draft(part_start, part_end, "table", over)
