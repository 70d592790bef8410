"""Org mode: headings by stars, lists, tables, blocks, footnotes; drawers, comments and settings left out.

Called by ``dispatch`` for org. An own reader of the syntax (orgmode.org/worg/org-syntax.html) as far as it makes
structure; words keep their marks, as in Markdown.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from lunheng.parsing.builder import DocumentBuilder, clean_text, read_bytes
from lunheng.parsing.encoding import decode
from lunheng.parsing.tables import markdown_table
from lunheng.parsing.wrapped import unwrapped
from lunheng.types import Document, Limits

_HEADING = re.compile(
    r"(\*+)\s+(?:(?:TODO|DONE|NEXT|WAITING|CANCELLED)\s+)?(?:\[#\w\]\s*)?(.*?)(?:\s+:[\w@#%:]+:)?\s*$"
)
_KEYWORD = re.compile(r"\s*#\+(\w+)(?:\[[^\]]*\])?:\s*(.*)$")
_BEGIN = re.compile(r"\s*#\+begin_(\w+)", re.I)
_DRAWER = re.compile(r"\s*:([\w-]+):\s*$")
_ITEM = re.compile(r"(\s*)(?:[-+]|\d+[.)]|[a-zA-Z][.)]|(?<=\s)\*)\s+\S")
_FOOTNOTE = re.compile(r"\[fn:([^\]:]+)\]\s*(.*)$")
_LATEX = re.compile(r"\s*\\begin\{(\w+\*?)\}")
_LINK = re.compile(r"\[\[([^\[\]]{1,2000})\](?:\[([^\[\]]{1,2000})\])?\]")
_MARKS = re.compile(r"(?<![\w])([*/_=~+])(\S(?:.{0,200}?\S)?)\1(?!\w)")
MAX_LEVEL = 20


class OrgParser:
    """Reads org."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        text, _, warnings = decode(data, str(source))
        builder = DocumentBuilder(source, "org", data)
        for warning in warnings:
            builder.warn(warning)
        _Reader(builder).read(clean_text(text).split("\n"))
        return builder.build()


class _Reader:
    """Goes over the lines once; a block is taken whole."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder
        self._caption: str | None = None
        self._lines: list[str] = []

    def read(self, lines: list[str]) -> None:
        at = 0
        while at < len(lines):
            at = self._next(lines, at)
        self._flush()

    def _flush(self) -> None:
        if self._lines:
            text, links = _linked("\n".join(self._lines))
            self._builder.add("paragraph", unwrapped(text), links=links)
            self._lines = []

    def _next(self, lines: list[str], at: int) -> int:
        """Read what begins at line ``at``: where the next begins."""
        line = lines[at]
        if heading := _HEADING.match(line):
            self._flush()
            self._builder.heading(
                _MARKS.sub(r"\2", _linked(heading.group(2))[0]), min(len(heading.group(1)), MAX_LEVEL)
            )
        elif begin := _BEGIN.match(line):
            return self._block(begin.group(1).lower(), lines, at)
        elif keyword := _KEYWORD.match(line):
            self._flush()
            self._keyword(keyword.group(1).lower(), keyword.group(2).strip())
        elif _DRAWER.match(line) and (end := _find(lines, at + 1, re.compile(r"\s*:END:\s*$", re.I))) is not None:
            self._flush()
            return end + 1
        elif line.lstrip().startswith("|"):
            return self._table(lines, at)
        elif not self._lines and _ITEM.match(line):
            return self._list(lines, at)
        elif line.startswith("[fn:") and (note := _FOOTNOTE.match(line)):
            self._flush()
            end = at + 1
            while end < len(lines) and lines[end].strip() and not lines[end].startswith(("*", "[fn:")):
                end += 1
            text, links = _linked("\n".join([note.group(2), *lines[at + 1 : end]]))
            self._builder.add("paragraph", f"[^{note.group(1)}]: {unwrapped(text)}", role="footnote", links=links)
            return end
        elif latex := _LATEX.match(line):
            end = _find(lines, at, re.compile(rf"\s*\\end\{{{re.escape(latex.group(1))}\}}"))
            if end is not None:
                self._flush()
                self._builder.add("formula", "\n".join(lines[at : end + 1]))
                return end + 1
            self._lines.append(line)
        elif re.match(r"\s*:\s", line):
            self._flush()
            end = at
            while end < len(lines) and re.match(r"\s*:(?:\s|$)", lines[end]):
                end += 1
            self._builder.add("code", "\n".join(re.sub(r"^\s*: ?", "", verbatim) for verbatim in lines[at:end]))
            return end
        elif not line.strip() or re.match(r"\s*-{5,}\s*$", line) or re.match(r"\s*#(?:\s|$)", line):
            self._flush()
        else:
            self._lines.append(line)
        return at + 1

    def _keyword(self, name: str, value: str) -> None:
        if name == "title":
            self._builder.title = f"{self._builder.title} {value}".strip()
        elif name == "author":
            self._builder.author = value or None
        elif name == "date":
            found = re.search(r"\d{4}-\d{2}-\d{2}", value)
            self._builder.created_at = (
                datetime.fromisoformat(found.group(0)) if found and _is_date(found.group(0)) else None
            )
        elif name == "caption":
            self._caption = value
        elif name == "include":
            self._builder.warn(f"it includes {value}, which is not read with it; add that file too")
        elif name in ("keywords", "filetags", "description", "subtitle"):
            self._builder.extra[name] = value

    def _block(self, name: str, lines: list[str], at: int) -> int:
        end = _find(lines, at + 1, re.compile(rf"\s*#\+end_{re.escape(name)}\b", re.I))
        if end is None:
            self._lines.append(lines[at])
            return at + 1
        self._flush()
        inner = lines[at + 1 : end]
        if name in ("src", "example", "export"):
            if name != "export":
                self._builder.add("code", "\n".join(_dedented(inner)), caption=self._taken_caption())
        elif name == "verse":
            self._builder.add("paragraph", "\n".join(line.strip() for line in inner))
        elif name != "comment":
            _Reader(self._builder).read([re.sub(r"^\*", " *", line) for line in inner])
        return end + 1

    def _table(self, lines: list[str], at: int) -> int:
        self._flush()
        end = at
        while end < len(lines) and lines[end].lstrip().startswith("|"):
            end += 1
        rows = [line.strip() for line in lines[at:end] if not re.match(r"\s*\|[-+]", line)]
        cells = [[_linked(cell.strip())[0] for cell in row.strip("|").split("|")] for row in rows]
        # Pandoc writes the caption below, Org itself above.
        while end < len(lines) and (below := _KEYWORD.match(lines[end])):
            if below.group(1).lower() == "caption":
                self._caption = below.group(2).strip()
            end += 1
        self._builder.add("table", markdown_table(cells), caption=self._taken_caption())
        return end

    def _list(self, lines: list[str], at: int) -> int:
        end, items, step = at, list[str](), [len(lines[at]) - len(lines[at].lstrip())]
        while end < len(lines):
            line = lines[end]
            indent = len(line) - len(line.lstrip())
            if item := _ITEM.match(line):
                while len(step) > 1 and step[-1] > len(item.group(1)):
                    step.pop()
                if len(item.group(1)) > step[-1]:
                    step.append(len(item.group(1)))
                items.append("  " * (len(step) - 1) + re.sub(r"^[+*](?=\s)", "-", line.strip()))
            elif line.strip() and indent > step[-1] and items and not _BEGIN.match(line):
                items[-1] += "\n" + line.strip()
            elif not line.strip() and end + 1 < len(lines) and _ITEM.match(lines[end + 1]):
                pass
            else:
                break
            end += 1
        shown = [item[: len(item) - len(item.lstrip())] + unwrapped(item) for item in items]
        text, links = _linked("\n".join(shown))
        self._builder.add("list", text, links=links)
        return end

    def _taken_caption(self) -> str | None:
        caption, self._caption = self._caption, None
        return caption


def _linked(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The text with each link as its words and each footnote's mark as in Markdown, and the links."""
    text = re.sub(r"\[fn:([\w-]{1,100})\]", r"[^\1]", text)
    links = [(m.group(2) or m.group(1), m.group(1)) for m in _LINK.finditer(text)]
    return _LINK.sub(lambda m: m.group(2) or m.group(1), text), [(w, t) for w, t in links if ":" in t]


def _find(lines: list[str], at: int, pattern: re.Pattern[str]) -> int | None:
    return next((i for i in range(at, len(lines)) if pattern.match(lines[i])), None)


def _dedented(lines: list[str]) -> list[str]:
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [re.sub(r"^,(?=[*#])", "", line[margin:]) for line in lines]


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
