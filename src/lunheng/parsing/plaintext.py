"""Plain text: numbered headings, lists, drawn tables, paragraphs at blank lines or a line each; plain code.

Called by ``dispatch`` for txt and source files, and by the mail parsers.
"""

from __future__ import annotations

import re
from pathlib import Path

from lunheng.parsing.builder import DocumentBuilder, clean_text, read_bytes
from lunheng.parsing.encoding import decode
from lunheng.parsing.numbering import heading_level, is_strong_heading
from lunheng.parsing.tables import markdown_table
from lunheng.parsing.text_tables import find_tables
from lunheng.types import Document, Limits

_BLANK = re.compile(r"\n[^\S\n]*\n\s*")
_BULLET = re.compile(r"\s*(?:[-*+•·●]|\(?\d{1,3}[.)、）]|[（(][一二三四五六七八九十\d]+[)）])\s*\S")
_ENDS_SENTENCE = re.compile(r"[。！？；：….!?:;”\"’』」)）]\s*$")
_CLOSING = "”\"’'」』）)"
"""May end a title: 报销制度（2025 版）."""
LONGEST_TITLE = 60
"""Characters of a first line that can be the title."""
LONG_LINE = 100
"""Lines longer than this were not broken for width: each is a paragraph."""


class PlainTextParser:
    """Reads txt."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        text, _, warnings = decode(data, str(source))
        builder = DocumentBuilder(source, "txt", data)
        for warning in warnings:
            builder.warn(warning)
        builder.title = _title(text)
        if not builder.title and heading_level(_first_line(text)[0]) is None:
            builder.title = source.stem  # a section's heading further down is not the document's title
        add_text(text, builder)
        return builder.build()


def add_text(text: str, builder: DocumentBuilder) -> None:
    """Add the elements of a plain text to ``builder``."""
    lines = clean_text(text).split("\n")
    at = 0
    for table in find_tables(lines) if any("--" in line or "==" in line for line in lines) else ():
        _add_text(builder, lines[at : table.start])
        if table.caption:
            builder.add("paragraph", table.caption)
        caption = table.caption or builder.caption_above()
        builder.add("table", markdown_table(table.rows, table.header), caption=caption)
        at = table.end
    _add_text(builder, lines[at:])


class SourceCodeParser:
    """Reads source code: one code element for each run between two or more blank lines at the margin."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        text, _, warnings = decode(data, str(source))
        suffix = source.suffix.lower().lstrip(".") or source.name.lower()
        builder = DocumentBuilder(source, suffix, data)
        for warning in warnings:
            builder.warn(warning)
        builder.title = source.name
        # A blank line followed by an unindented line is where definitions begin, in nearly every language.
        for block in re.split(r"\n[^\S\n]*\n(?=[^\s})\]])", clean_text(text)):
            builder.add("code", block)
        return builder.build()


def _title(text: str) -> str:
    """The title that the text opens with, or "": one short line by itself that ends no sentence and has no number."""
    first, rest = _first_line(text)
    below = rest.partition("\n")[0].strip()
    alone = set(below) <= set("=-") and rest.strip("=-\n ") != ""  # a blank line below it, or an underline
    numbered = heading_level(first) is not None or _BULLET.match(first)
    if not alone or len(first) > LONGEST_TITLE or _ENDS_SENTENCE.search(first.rstrip(_CLOSING)) or numbered:
        return ""
    return first


def _first_line(text: str) -> tuple[str, str]:
    """The first line that is not blank, and what follows it (of a look at the beginning)."""
    first, _, rest = clean_text(text[:1000]).lstrip().partition("\n")
    return first.strip(), rest


def _add_text(builder: DocumentBuilder, lines: list[str]) -> None:
    for block in _BLANK.split("\n".join(lines)):
        _add_block(builder, block.strip("\n"))


def _add_block(builder: DocumentBuilder, block: str) -> None:
    lines = [line for line in block.split("\n") if line.strip()]
    if not lines:
        return
    if len(lines) == 1:
        _add_line(builder, lines[0])
    elif all(_BULLET.match(line) for line in lines):
        builder.add("list", "\n".join(lines))
    elif _lines_are_paragraphs(lines):
        for line in lines:
            _add_line(builder, line)
    else:
        # A numbered heading often stands right above its text.
        if is_strong_heading(lines[0]):
            _add_line(builder, lines.pop(0))
        builder.add("paragraph", "\n".join(lines))


def _add_line(builder: DocumentBuilder, line: str) -> None:
    level = heading_level(line)
    if level is not None:
        builder.heading(line, level)
    else:
        builder.add("paragraph", line)


def _lines_are_paragraphs(lines: list[str]) -> bool:
    """Whether each line is a whole paragraph: most are long, or end a sentence, or are numbered headings."""
    whole = sum(len(line) > LONG_LINE or bool(_ENDS_SENTENCE.search(line)) or is_strong_heading(line) for line in lines)
    return whole >= 0.7 * len(lines)
