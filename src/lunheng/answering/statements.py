"""The smallest parts of a chunk that say something by themselves.

Called by passages, and by whoever makes questions of a chunk. A sentence; a row of a table, read with the names of its
columns (a row alone says nothing, and a small model loses count of the bars); a record of ``key: value`` lines, which
belong together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lunheng.text.sentences import split_sentences
from lunheng.types import Chunk

_BAR = re.compile(r"(?<!\\)\|")
_PAIR = re.compile(r"[\w.\-\[\]]{1,60}: ")
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")


@dataclass(frozen=True, slots=True)
class Statement:
    """A span of a chunk's text, and how it is read out."""

    start: int
    end: int
    reading: str
    """The text of the span; of a row, each cell after its column's name."""


def split_statements(chunk: Chunk) -> tuple[Statement, ...]:
    """The statements of ``chunk``, in order, without overlap; headings only where there is nothing else."""
    found = [s for s in _rows(chunk) if s.reading.strip()] if chunk.kind == "table" else list(_prose(chunk.text, 0))
    known = {" ".join(heading.split()) for heading in chunk.metadata.heading_path}
    telling = [s for s in found if " ".join(s.reading.split()) not in known]
    return tuple(telling or found) or (Statement(0, len(chunk.text), chunk.text),)


def _prose(text: str, offset: int) -> Iterator[Statement]:
    start = 0
    for gap in [*_PARAGRAPH.finditer(text), None]:
        end = gap.start() if gap else len(text)
        paragraph = text[start:end]
        lines = paragraph.strip("\n").split("\n")
        if len(lines) > 1 and all(_PAIR.match(line) for line in lines):
            spans = [(len(paragraph) - len(paragraph.lstrip()), len(paragraph.rstrip()))]
        else:
            spans = split_sentences(paragraph)
        for a, b in spans:
            yield Statement(offset + start + a, offset + start + b, paragraph[a:b])
        start = gap.end() if gap else end


def _rows(chunk: Chunk) -> Iterator[Statement]:
    """The rows of a Markdown table and the sentences around it; a header alone counts as a row."""
    header = next((line for line in chunk.prefix.splitlines() if line.startswith("|")), None)
    names = _cells(header) if header else None
    position, rows, first = 0, 0, None
    for line in chunk.text.split("\n"):
        start, position = position, position + len(line) + 1
        if not line.startswith("|"):
            yield from _prose(line, start)
            continue
        cells = _cells(line)
        if not set("".join(cells)) - set("-: "):
            continue
        if names is None:
            names, first = cells, Statement(start, start + len(line), "; ".join(c for c in cells if c))
            continue
        rows += 1
        yield Statement(start, start + len(line), _read(names, cells))
    if first is not None and not rows:
        yield first


def table_rows(chunk: Chunk) -> tuple[list[str], list[list[str]]]:
    """The column names of a table chunk, and its rows, cell by cell; none where its Markdown has no header."""
    lines = [line for line in f"{chunk.prefix}\n{chunk.text}".split("\n") if line.startswith("|")]
    cells = [row for row in map(_cells, lines) if set("".join(row)) - set("-: ")]
    return (cells[0], cells[1:]) if cells else ([], [])


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|").replace("<br>", " ") for cell in _BAR.split(line.strip().strip("|"))]


def _read(names: list[str], cells: list[str]) -> str:
    padded = [*names, *[""] * (len(cells) - len(names))]
    pairs = zip(padded, cells, strict=False)
    return "; ".join(f"{name}: {cell}" if name and name != cell else cell for name, cell in pairs if cell)
