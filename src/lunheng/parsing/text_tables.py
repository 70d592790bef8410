"""Tables that are drawn in plain text: with bars, with grids of + and -, or by rulers over columns.

Called by the plain text and the Markdown parser. The forms are those of Pandoc and reStructuredText (simple, multiline
and grid tables), of Org, and what databases print. A Chinese character takes two columns.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_RULER = re.compile(r"\s*[-=]{2,}(?:\s+[-=]{2,})+\s*$")
_FULL_RULE = re.compile(r"\s*-{8,}\s*$")
_GRID_RULER = re.compile(r"\s*\+(?:[-=:]+\+)+\s*$")
_BAR_RULER = re.compile(r"\s*\|?(?:\s*:?-{2,}:?\s*[|+])+\s*(?::?-{2,}:?)?\s*\|?\s*$")
_CAPTION = re.compile(r"\s*(?::|Table:|表[:：])\s*(\S.*)$")
_CAPTION_ABOVE = re.compile(r"\s*(?:\.\. table::|#\+caption:)\s*(\S.*)$", re.I)
MAX_ROWS = 5_000
MAX_LINE = 2_000
"""Characters of a ruler: a longer line was not drawn by anybody."""
_FILLER = "\0"


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table that stands in ``lines[start:end]``."""

    start: int
    end: int
    rows: list[list[str]]
    header: bool
    caption: str | None = None


def find_tables(lines: Sequence[str], bars: bool = True) -> list[TextTable]:
    """The drawn tables in ``lines``, in order; ``bars`` also takes those that Markdown itself knows."""
    found: list[TextTable] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        table = None
        if len(line) <= MAX_LINE and ("--" in line or "==" in line):
            if _GRID_RULER.match(line):
                table = _grid(lines, at)
            elif _RULER.match(line) and "|" not in line:
                table = _ruled(lines, at, found[-1].end if found else 0)
            elif bars and "|" in line and _BAR_RULER.match(line):
                table = _barred(lines, at, found[-1].end if found else 0)
        if table is None:
            at += 1
            continue
        table = _with_caption(table, lines, found[-1].end if found else 0)
        found.append(table)
        at = max(table.end, at + 1)
    return found


def _with_caption(table: TextTable, lines: Sequence[str], floor: int) -> TextTable:
    start, end = table.start, table.end
    below = end + 1 if end < len(lines) and not lines[end].strip() else end
    if below < len(lines) and (match := _CAPTION.match(lines[below]) or _CAPTION_ABOVE.match(lines[below])):
        words = [match.group(1)]
        end = below + 1
        while end < len(lines) and lines[end].strip():
            words.append(lines[end].strip())
            end += 1
        return TextTable(start, end, table.rows, table.header, " ".join(words))
    above = start - 1
    if above > floor and not lines[above].strip():
        above -= 1
    if above >= floor and (match := _CAPTION_ABOVE.match(lines[above]) or _CAPTION.match(lines[above])):
        return TextTable(above, end, table.rows, table.header, match.group(1).strip())
    return table


def _barred(lines: Sequence[str], ruler: int, floor: int) -> TextTable | None:
    """``| a | b |`` over ``|---|---|``: also with + in the ruler, as Org and databases write it."""
    if ruler == floor or "|" not in lines[ruler - 1]:
        return None
    end = ruler + 1
    while end < len(lines) and "|" in lines[end] and lines[end].strip() and end - ruler < MAX_ROWS:
        end += 1
    body = [line for line in lines[ruler + 1 : end] if not _BAR_RULER.match(line)]
    rows = [_bar_cells(line) for line in (lines[ruler - 1], *body)]
    return TextTable(ruler - 1, end, rows, True) if len(rows) > 1 else None


def _bar_cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))]


def _grid(lines: Sequence[str], start: int) -> TextTable | None:
    cuts = [at for at, character in enumerate(_wide(lines[start])) if character == "+"]
    end = start
    rows: list[list[str]] = []
    parts: list[list[str]] = []
    header = 0
    while end < len(lines) and lines[end].lstrip()[:1] in ("+", "|") and end - start < MAX_ROWS:
        line = _wide(lines[end])
        if _GRID_RULER.match(lines[end]):
            if parts:
                rows.append([" ".join(filter(None, cell)) for cell in zip(*parts, strict=True)])
                parts = []
            if "=" in line:
                header = len(rows)
        else:
            parts.append([_narrow(line[a + 1 : b]) for a, b in pairwise(cuts)])
        end += 1
    return TextTable(start, end, rows, bool(header)) if len(rows) > 1 and len(cuts) > 2 else None


def _ruled(lines: Sequence[str], ruler: int, floor: int) -> TextTable | None:
    """A ruler of dashes for each column: header above it or not, rows below it, one line or several each."""
    spans = [match.span() for match in re.finditer(r"[-=]{2,}", lines[ruler])]
    top = ruler
    while top > floor and lines[top - 1].strip() and not _RULER.match(lines[top - 1]):
        top -= 1
        if _FULL_RULE.match(lines[top]) or ruler - top > 8:
            break
    head = [line for line in lines[top:ruler] if not _FULL_RULE.match(line)]
    multiline = top < ruler and bool(_FULL_RULE.match(lines[top]))
    end, closed = ruler + 1, False
    if head and not multiline and "=" not in lines[ruler]:
        while end < len(lines) and lines[end].strip() and not _RULER.match(lines[end]):
            end += 1
        closed = end < len(lines) and bool(lines[end].strip())
    else:
        while not closed:
            if end >= len(lines) or end - ruler > MAX_ROWS:
                return None
            closed = bool(_RULER.match(lines[end]) or _FULL_RULE.match(lines[end]))
            if closed and "=" in lines[end] and not head and lines[end + 1 : end + 2] and lines[end + 1].strip():
                # A reStructuredText table: this ruler ends its header.
                head, ruler, closed = list(lines[ruler + 1 : end]), end, False
            end += not closed
    body = list(lines[ruler + 1 : end])
    blank = any(not line.strip() for line in body)
    groups = _groups(body) if blank else [[line] for line in body]
    rows = [_cut(group, spans) for group in groups]
    if head:
        rows.insert(0, _cut(head, spans))
    # Text that runs over the gaps between the columns was not set for this ruler.
    return TextTable(top, end + closed, rows, bool(head)) if len(rows) > 1 and _fits(body, spans) else None


def _groups(lines: list[str]) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            groups[-1].append(line)
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if group]


def _cut(lines: Sequence[str], spans: list[tuple[int, int]]) -> list[str]:
    cells: list[list[str]] = [[] for _ in spans]
    for line in lines:
        wide = _wide(line)
        for at, (start, _) in enumerate(spans):
            stop = spans[at + 1][0] if at + 1 < len(spans) else len(wide)
            cells[at].append(_narrow(wide[0 if at == 0 else start : stop]))
    return [" ".join(filter(None, cell)) for cell in cells]


def _fits(lines: Sequence[str], spans: list[tuple[int, int]]) -> bool:
    crossed = total = 0
    for line in lines:
        wide = _wide(line)
        for _, stop in spans[:-1]:
            if stop < len(wide):
                total += 1
                crossed += wide[stop] not in (" ", _FILLER)
    return crossed <= 0.2 * total


def _wide(line: str) -> str:
    """The line with a filler after each character that takes two columns."""
    if line.isascii():
        return line
    return "".join(c + _FILLER if unicodedata.east_asian_width(c) in "WF" else c for c in line)


def _narrow(text: str) -> str:
    return text.replace(_FILLER, "").strip()
