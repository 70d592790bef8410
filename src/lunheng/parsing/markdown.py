"""Markdown: headings, paragraphs, lists, tables, code, with front matter.

Called by ``dispatch`` for md. The text of each block is kept as the author wrote it (inline marks
included: they are cheap to read and a citation then quotes the file), only headings lose their
marks; raw HTML blocks go through the HTML parser's visible-text rules.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lunheng.parsing.builder import DocumentBuilder, clean_text, read_bytes
from lunheng.parsing.encoding import decode
from lunheng.parsing.html import add_html
from lunheng.parsing.metadata import apply_metadata, split_front_matter
from lunheng.parsing.tables import markdown_table
from lunheng.types import Document, Limits

if TYPE_CHECKING:
    from markdown_it.token import Token

_INLINE = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|[*_`~]{1,3}(?=\S)|(?<=\S)[*_`~]{1,3}")
_TRAILING_ID = re.compile(r"\s*\{#[^}]*\}\s*$")


class MarkdownParser:
    """Reads md (CommonMark, tables, strikethrough)."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        text, _, warnings = decode(data, str(source))
        builder = DocumentBuilder(source, "md", data)
        for warning in warnings:
            builder.warn(warning)
        front, body = split_front_matter(clean_text(text), builder)
        add_markdown(body, builder, limits)
        return apply_metadata(builder.build(), front)


def add_markdown(text: str, builder: DocumentBuilder, limits: Limits) -> None:
    """Add the elements of a Markdown text to ``builder``."""
    from markdown_it import MarkdownIt

    body = clean_text(text)
    reader = MarkdownIt("commonmark", {"maxNesting": limits.max_nesting}).enable(["table", "strikethrough"])
    _walk(reader.parse(body), body.split("\n"), builder, limits)


def _walk(tokens: list[Token], lines: list[str], builder: DocumentBuilder, limits: Limits) -> None:
    """Add one element for each block at the top level."""
    i = 0
    while i < len(tokens):
        token = tokens[i]
        end = _closing(tokens, i)
        raw = "\n".join(lines[slice(*token.map)]) if token.map else ""
        if token.type == "heading_open":
            builder.heading(_plain(tokens[i + 1].content), int(token.tag[1]))
        elif token.type == "table_open":
            builder.add("table", markdown_table(_table_rows(tokens[i:end])))
        elif token.type in ("bullet_list_open", "ordered_list_open"):
            builder.add("list", raw)
        elif token.type in ("fence", "code_block"):
            builder.add("code", token.content)
        elif token.type == "html_block":
            add_html(token.content, builder, limits.max_nesting)
        elif token.type == "blockquote_open":
            _walk(tokens[i + 1 : end], lines, builder, limits)
        elif token.type == "paragraph_open":
            builder.add("paragraph", "\n".join(line.strip() for line in tokens[i + 1].content.split("\n")))
        i = end + 1


def _closing(tokens: list[Token], i: int) -> int:
    """The position of the token that closes ``tokens[i]`` (itself, when nothing is nested)."""
    depth = 0
    for j in range(i, len(tokens)):
        depth += tokens[j].nesting
        if depth <= 0:
            return j
    return len(tokens) - 1


def _table_rows(tokens: list[Token]) -> list[list[str]]:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append(token.content.replace("\\|", "|"))
    return rows


def _plain(text: str) -> str:
    """A heading without its marks, so that paths and section titles read well."""
    return _INLINE.sub(lambda m: m.group(1) or "", _TRAILING_ID.sub("", text))
