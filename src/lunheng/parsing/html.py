"""HTML: the visible main content as headings, paragraphs, lists, tables and code.

Called by ``dispatch`` for html, and by the parsers of formats that hold HTML: Markdown, mail, e-books, notebooks. Scripts,
styles, comments and navigation are left out; text that a reader would not see is kept as hidden elements,
since instructions to a model ride there. Nesting is capped before the tree is built: a library
that builds 200,000 nested elements does not come back.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.encoding import decode
from lunheng.parsing.figures import FigureReader
from lunheng.parsing.html_visibility import Visibility, hiding_selectors
from lunheng.parsing.html_walk import Walker
from lunheng.types import Document, Limits

_CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([\w-]+)", re.I)
_OPAQUE = re.compile(r"<(script|style|noscript|template|svg|iframe)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.I | re.S)
_TAG = re.compile(r"<(/?)([a-zA-Z][\w:-]*)(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_TAG_BEGIN = re.compile(r"</?[a-zA-Z]")
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_IMPLIED_END = frozenset(
    ["p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "optgroup", "html", "head", "body"]
)

_SPACE_AROUND = re.compile(r"\s*[|\-–—_·]\s*")
_MATH_SCRIPT = re.compile(
    r"<script\b[^>]{0,200}type=[\"']math/tex[^>]{0,100}>([^<]*(?:<(?!/?script)[^<]*){0,50})</script\s*>", re.I | re.S
)
_STATED_DATE = re.compile(r"\"(datePublished|dateModified)\"\s*:\s*\"([^\"]{8,40})\"")
_DATA_IMAGE = re.compile(r"data:image/[\w.+-]+(?:;[\w=.-]+)*;base64,", re.I)
_MAIN = ("main", "[role=main]", "article", "#mw-content-text", "#content", ".post-content", ".article-content")


class HtmlParser:
    """Reads html and xhtml."""

    def parse(self, source: Path, limits: Limits) -> Document:
        from selectolax.lexbor import LexborHTMLParser

        data = read_bytes(source, limits)
        text, warnings = decode_html(data, str(source))
        builder = DocumentBuilder(source, "html", data)
        for warning in warnings:
            builder.warn(warning)
        selectors = hiding_selectors(text)
        _read_stated_dates(text, builder)
        text, dropped = cap_nesting(text, limits.max_nesting)
        if dropped:
            builder.warn(f"{dropped} elements nested deeper than {limits.max_nesting} were flattened")
        tree = LexborHTMLParser(text)
        _read_head(tree, builder)
        if tree.body is not None:
            content, marked = _main_content(tree.body)
            figures = FigureReader("off", limits)
            picture_of = (lambda src: figures.read(data_in(src)).jpeg) if limits.describe_figures else None
            Walker(builder, Visibility(tree, selectors), not marked, picture_of).walk(content)
            for warning in figures.warnings:
                builder.warn(warning)
        return builder.build()


def data_in(address: str) -> bytes:
    """What a ``data:`` address holds itself (RFC 2397, base64); nothing for any other, since nothing is fetched."""
    found = _DATA_IMAGE.match(address)
    if found is None:
        return b""
    try:
        return base64.b64decode(unquote(address[found.end() :]))
    except ValueError:
        return b""


def add_html(
    content: str, builder: DocumentBuilder, max_nesting: int, picture_of: Callable[[str], bytes] | None = None
) -> None:
    """Add the elements of an HTML fragment to ``builder``; ``picture_of`` as ``Walker`` takes it."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(cap_nesting(content, max_nesting)[0])
    if tree.body is not None:
        Walker(builder, Visibility(tree, hiding_selectors(content)), picture_of=picture_of).walk(tree.body)


def cap_nesting(text: str, depth_limit: int) -> tuple[str, int]:
    """Take out scripts, styles and comments, and every tag deeper than ``depth_limit``: (text, tags taken out)."""
    text = _OPAQUE.sub("", _MATH_SCRIPT.sub(lambda m: f"<span>${escape(m.group(1).strip())}$</span>", text))
    depth = dropped = 0

    def keep(match: re.Match[str]) -> str:
        nonlocal depth, dropped
        name = match.group(2).lower()
        if name in _VOID or match.group(0).endswith("/>"):
            return match.group(0)
        if match.group(1):
            deep = depth > depth_limit
            depth = max(0, depth - 1) if name not in _IMPLIED_END else depth
            return "" if deep and name not in _IMPLIED_END else match.group(0)
        if name in _IMPLIED_END:
            # These may be left open: they do not count, but below the limit they go too.
            return match.group(0) if depth <= depth_limit else ""
        depth += 1
        if depth > depth_limit:
            dropped += 1
            return " "
        return match.group(0)

    parts: list[str] = []
    at = 0
    # A tag that never ends holds all that follows, for a browser too; to look for the end of each such would take
    # the square of the page's length.
    while (begin := _TAG_BEGIN.search(text, at)) and (tag := _TAG.match(text, begin.start())):
        parts += (text[at : tag.start()], keep(tag))
        at = tag.end()
    return "".join([*parts, text[at:]]), dropped


def decode_html(data: bytes, name: str) -> tuple[str, list[str]]:
    """Give (text, warnings): by the page's declaration where that holds, else by its bytes."""
    declared = _CHARSET.search(data[:4096])
    if declared and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        encoding = declared.group(1).decode("ascii").lower()
        # Pages that declare gb2312 hold characters of its superset.
        encoding = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs"}.get(encoding, encoding)
        try:
            return data.decode(encoding), []
        except (UnicodeDecodeError, LookupError):
            pass  # a wrong declaration: the bytes decide, below
    text, _, warnings = decode(data, name)
    return text, warnings


def _read_head(tree: Any, builder: DocumentBuilder) -> None:
    title = tree.css_first("title")
    builder.title = title.text() if title is not None else ""
    heads = [" ".join(h.text().split()) for h in tree.css("h1")]
    if len(heads) == 1 and heads[0] and heads[0] in (part.strip() for part in _SPACE_AROUND.split(builder.title)):
        builder.title = heads[0]  # without the name of the site
    for meta in tree.css("meta[content]"):
        attributes = meta.attributes
        name = (attributes.get("name") or attributes.get("property") or "").lower()
        content = (attributes.get("content") or "").strip()
        if name in ("author", "dc.creator") and content:
            builder.author = content
        elif name in ("article:published_time", "date", "dc.date", "dcterms.created"):
            builder.created_at = _moment(content) or builder.created_at
        elif name in ("article:modified_time", "last-modified", "dcterms.modified"):
            builder.last_modified = _moment(content) or builder.last_modified


def _read_stated_dates(page: str, builder: DocumentBuilder) -> None:
    """The dates of schema.org (JSON-LD), which many pages give nowhere else."""
    for name, value in _STATED_DATE.findall(page[:500_000]):
        if name == "datePublished":
            builder.created_at = builder.created_at or _moment(value)
        else:
            builder.last_modified = builder.last_modified or _moment(value)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _main_content(body: Any) -> tuple[Any, bool]:
    """(the one element where most of the text stands, else the body; whether the page marks it)."""
    whole = len(body.text())
    for selector in _MAIN:
        found = body.css(selector)
        if len(found) == 1 and len(found[0].text()) > 0.4 * whole:
            return found[0], True
    return body, False
