"""Markdown: headings, paragraphs, lists, tables, code, footnotes, formulas, links, with front matter.

Called by ``dispatch`` for md. The text of each block is kept as the author wrote it (inline marks
included: they are cheap to read and a citation then quotes the file), only headings lose their
marks; raw HTML blocks go through the HTML parser's visible-text rules.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lunheng.parsing.builder import DocumentBuilder, clean_text, read_bytes
from lunheng.parsing.encoding import decode
from lunheng.parsing.html import add_html
from lunheng.parsing.metadata import apply_metadata, split_front_matter
from lunheng.parsing.tables import markdown_table
from lunheng.parsing.text_tables import TextTable, find_tables
from lunheng.types import Document, ElementKind, Limits

if TYPE_CHECKING:
    from markdown_it.token import Token

_INLINE = re.compile(r"!?\[([^\]]{0,500})\]\([^)]{0,2000}\)|[*_`~]{1,3}(?=\S)|(?<=\S)[*_`~]{1,3}")
_TRAILING_ID = re.compile(r"\s*\{#[^}]*\}\s*$")
MAX_OPEN_BRACKETS = 1_000
_NOTE = re.compile(r" {0,3}\[\^([^\]\s]+)\]:[ \t]*(.*)$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.S)
_MATH = re.compile(r"\$\$(.+)\$\$|\\\[(.+)\\\]|(\\begin\{(?:equation|align|gather)\*?\}.+)", re.S)
_FRONT_TOML = re.compile(r"\A\+\+\+[ \t]*\n(.*?\n)?\+\+\+[ \t]*(?:\n|\Z)", re.S)


class MarkdownParser:
    """Reads md (CommonMark, tables, strikethrough, footnotes, formulas, drawn tables)."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        text, _, warnings = decode(data, str(source))
        builder = DocumentBuilder(source, "md", data)
        for warning in warnings:
            builder.warn(warning)
        front, body = _front_matter(clean_text(text), builder)
        add_markdown(body, builder, limits)
        return apply_metadata(builder.build(), front)


def add_markdown(body: str, builder: DocumentBuilder, limits: Limits) -> None:
    """Add the elements of a Markdown text to ``builder``."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"maxNesting": limits.max_nesting}).enable(["table", "strikethrough"])
    lines = body.split("\n")
    # Set apart first: to CommonMark a note is the definition of a link, and a drawn table is a heading or code.
    apart = _set_apart(lines)
    text = "\n".join(lines)
    if text.count("[") - text.count("]") > MAX_OPEN_BRACKETS:
        # Each opening bracket makes the reader look at all that follows: 20,000 take seconds, ten times as many minutes.
        builder.warn(f"over {MAX_OPEN_BRACKETS:,} opening brackets are never closed: links were not looked for")
        reader.disable(["link", "image"])
    _Blocks(lines, builder, limits, apart).walk(reader.parse(text))


def _front_matter(text: str, builder: DocumentBuilder) -> tuple[dict[str, Any], str]:
    """YAML between ``---`` or TOML between ``+++``."""
    match = _FRONT_TOML.match(text)
    if match is None:
        return split_front_matter(text, builder)
    import tomllib

    try:
        found = tomllib.loads(match.group(1) or "")
    except tomllib.TOMLDecodeError as error:
        builder.warn(f"front matter is not valid TOML ({error}) and was left out")
        return {}, text[match.end() :]
    return {key: _json_value(value) for key, value in found.items()}, text[match.end() :]


def _json_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json_value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_json_value(inner) for inner in value]
    return value if isinstance(value, (str, int, float, bool)) else value.isoformat()


Apart = list[tuple[int, "str | TextTable"]]


def _set_apart(lines: list[str]) -> Apart:
    """Take notes and drawn tables out of ``lines`` (which become empty there): (line, note or table)."""
    outside = _outside_code(lines)
    apart: Apart = []
    at = 0
    while at < len(lines):
        match = _NOTE.match(lines[at]) if outside[at] and "[^" in lines[at] else None
        if match is None:
            at += 1
            continue
        first, words = at, [match.group(2).strip()]
        lines[at] = ""
        at += 1
        while at < len(lines) and (lines[at].startswith(("    ", "\t")) or (lines[at].strip() and words[-1:] != [""])):
            if _NOTE.match(lines[at]) or not lines[at].strip():
                break
            words.append(lines[at].strip())
            lines[at] = ""
            at += 1
        apart.append((first, f"[^{match.group(1)}]: {' '.join(filter(None, words))}"))
    if any("--" in line or "==" in line for line in lines):
        for table in find_tables([line if out else "" for line, out in zip(lines, outside, strict=True)], bars=False):
            lines[table.start : table.end] = [""] * (table.end - table.start)
            apart.append((table.start, table))
    return sorted(apart, key=lambda entry: entry[0])


def _outside_code(lines: list[str]) -> list[bool]:
    """For each line, whether it stands outside of fenced code."""
    outside: list[bool] = []
    fence = ""
    for line in lines:
        match = _FENCE.match(line)
        if fence:
            outside.append(False)
            if match and match.group(1).startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        else:
            outside.append(match is None)
            fence = match.group(1) if match else ""
    return outside


class _Blocks:
    """The walk over the blocks of one text."""

    def __init__(self, lines: list[str], builder: DocumentBuilder, limits: Limits, apart: Apart) -> None:
        self._lines = lines
        self._builder = builder
        self._limits = limits
        self._apart = apart

    def walk(self, tokens: list[Token]) -> None:
        self._walk(tokens)
        self._add_apart(len(self._lines))

    def _add_apart(self, line: int) -> None:
        """Add what was set apart before ``line``."""
        while self._apart and self._apart[0][0] < line:
            found = self._apart.pop(0)[1]
            if isinstance(found, str):
                self._builder.add("paragraph", found, role="footnote")
                continue
            if found.caption:
                self._builder.add("paragraph", found.caption)
            table = markdown_table(found.rows, found.header)
            self._builder.add("table", table, caption=found.caption or self._builder.caption_above())

    def _walk(self, tokens: list[Token]) -> None:
        """Add one element for each block at the top level."""
        i = 0
        while i < len(tokens):
            token = tokens[i]
            end = _closing(tokens, i)
            if token.map:
                self._add_apart(token.map[0] + 1)
            self._block(tokens[i : end + 1])
            i = end + 1

    def _block(self, tokens: list[Token]) -> None:
        token = tokens[0]
        raw = "\n".join(self._lines[slice(*token.map)]) if token.map else ""
        links = [link for t in tokens for link in _links(t)]
        if token.type == "heading_open":
            self._builder.heading(_plain(tokens[1].content), int(token.tag[1]), links=links)
        elif token.type == "table_open":
            caption = self._builder.caption_above()
            self._builder.add("table", markdown_table(_table_rows(tokens)), caption=caption, links=links)
        elif token.type in ("bullet_list_open", "ordered_list_open"):
            self._builder.add("list", _COMMENT.sub("", raw), links=links)
        elif token.type in ("fence", "code_block"):
            kind: ElementKind = "formula" if token.info.strip() in ("math", "latex", "katex") else "code"
            self._builder.add(kind, token.content)
        elif token.type == "html_block":
            add_html(token.content, self._builder, self._limits.max_nesting)
        elif token.type == "blockquote_open":
            self._walk(tokens[1:-1])
        elif token.type == "paragraph_open":
            self._paragraph(tokens[1], links)

    def _paragraph(self, inline: Token, links: list[tuple[str, str]]) -> None:
        text = _COMMENT.sub("", "\n".join(line.strip() for line in inline.content.split("\n"))).strip()
        children = [
            c for c in inline.children or [] if c.type != "softbreak" and (c.type != "text" or c.content.strip())
        ]
        if math := _MATH.fullmatch(text):
            self._builder.add("formula", next(group for group in math.groups() if group))
        elif children and all(child.type == "image" for child in children):
            for child in children:  # a picture alone is a figure, by its alternative text or its title
                title = child.attrs.get("title")
                caption = child.content.strip() or (str(title) if title else "")
                self._builder.add("figure", caption, caption=caption)
        else:
            self._builder.add("paragraph", text, links=links)


def _links(token: Token) -> list[tuple[str, str]]:
    """(words, target) of each link in an inline token."""
    found: list[tuple[str, str]] = []
    target, words = "", ""
    for child in token.children or ():
        if child.type == "link_open":
            target, words = str(child.attrs.get("href") or ""), ""
        elif child.type == "link_close":
            if target and words.strip():
                found.append((" ".join(words.split()), target))
            target = ""
        elif target:
            words += " " if child.type == "softbreak" else child.content
    return found


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
