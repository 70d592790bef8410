"""HTML: the visible main content as headings, paragraphs, lists, tables and code.

Called by ``dispatch`` for html and by the Markdown parser for raw HTML blocks. Scripts, styles,
navigation and forms are left out; text that a reader would not see is kept as hidden elements,
since instructions to a model ride there. Nesting is capped before the tree is built: a library
that builds 200,000 nested elements does not come back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.encoding import decode
from lunheng.parsing.tables import markdown_table
from lunheng.types import Document, ElementKind, Limits

_CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([\w-]+)", re.I)
_OPAQUE = re.compile(r"<(script|style|noscript|template|svg|iframe)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.I | re.S)
_TAG = re.compile(r"<(/?)([a-zA-Z][\w:-]*)(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_IMPLIED_END = frozenset(
    ["p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "optgroup", "html", "head", "body"]
)

_HEADINGS = {f"h{n}": n for n in range(1, 7)}
_SKIPPED = frozenset(
    [
        "script",
        "style",
        "noscript",
        "template",
        "svg",
        "iframe",
        "nav",
        "footer",
        "aside",
        "form",
        "button",
        "select",
        "input",
        "textarea",
        "dialog",
        "canvas",
        "object",
        "head",
        "link",
        "meta",
        "audio",
        "video",
        "map",
        "-comment",
        "_comment",
        "!doctype",
    ]
)
_INLINE = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "ins",
        "kbd",
        "label",
        "mark",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "ruby",
        "rb",
        "rt",
        "rp",
        "wbr",
        "nobr",
    ]
)
_BOILERPLATE_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "menu", "menubar", "complementary"})
_BOILERPLATE_NAME = re.compile(
    r"(?:^|[\s_-])(?:navbar|nav|navigation|menu|sidebar|breadcrumbs?|cookie|advert|ads|share|social|pagination|toc|navbox"
    r"|mw-editsection|reflist|noprint|catlinks|printfooter|mw-jump-link|copyright)(?:$|[\s_-])",
    re.I,
)
_HIDDEN_STYLE = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|font-size\s*:\s*0(?:\D|$)|opacity\s*:\s*0(?:\.0+)?(?:\s*[;!]|$)"
    r"|text-indent\s*:\s*-\d{3,}|(?:left|top)\s*:\s*-\d{4,}",
    re.I,
)
_COLOUR = re.compile(r"(?:^|;)\s*(color|background(?:-color)?)\s*:\s*([^;!]+)", re.I)
_WHITES = frozenset({"white", "#fff", "#ffffff", "rgb(255,255,255)"})
_SPACE = re.compile(r"[ \t\r\n\f]+")
MAX_SPAN = 1000


class HtmlParser:
    """Reads html and xhtml."""

    def parse(self, source: Path, limits: Limits) -> Document:
        from selectolax.lexbor import LexborHTMLParser

        data = read_bytes(source, limits)
        text, warnings = decode_html(data, str(source))
        builder = DocumentBuilder(source, "html", data)
        for warning in warnings:
            builder.warn(warning)
        text, dropped = cap_nesting(text, limits.max_nesting)
        if dropped:
            builder.warn(f"{dropped} elements nested deeper than {limits.max_nesting} were flattened")
        tree = LexborHTMLParser(text)
        _read_head(tree, builder)
        if tree.body is not None:
            _Walker(builder).walk(_main_content(tree.body))
        return builder.build()


def add_html(content: str, builder: DocumentBuilder, max_nesting: int) -> None:
    """Add the elements of an HTML fragment to ``builder``."""
    from selectolax.lexbor import LexborHTMLParser

    body = LexborHTMLParser(cap_nesting(content, max_nesting)[0]).body
    if body is not None:
        _Walker(builder).walk(body)


def cap_nesting(text: str, depth_limit: int) -> tuple[str, int]:
    """Take out scripts, styles and comments, and every tag deeper than ``depth_limit``: (text, tags taken out)."""
    text = _OPAQUE.sub("", text)
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

    return _TAG.sub(keep, text), dropped


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


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _main_content(body: Any) -> Any:
    """The one ``main`` or ``article`` where most of the text stands, else the body."""
    whole = len(body.text())
    for selector in ("main", "[role=main]", "article"):
        found = body.css(selector)
        if len(found) == 1 and len(found[0].text()) > 0.4 * whole:
            return found[0]
    return body


def _is_hidden(attributes: dict[str, str | None]) -> bool:
    if "hidden" in attributes:
        return True
    style = attributes.get("style") or ""
    if not style:
        return False
    if _HIDDEN_STYLE.search(style):
        return True
    colours = {k.lower()[:10]: v.strip().lower().replace(" ", "") for k, v in _COLOUR.findall(style)}
    ink, paper = colours.get("color"), colours.get("background", "white")
    return ink is not None and (ink == paper or (ink in _WHITES and paper in _WHITES))


def _is_boilerplate(tag: str, attributes: dict[str, str | None]) -> bool:
    if tag in _SKIPPED or (attributes.get("role") or "") in _BOILERPLATE_ROLES:
        return True
    name = f"{attributes.get('class') or ''} {attributes.get('id') or ''}"
    return tag not in ("html", "body", "main", "article") and bool(_BOILERPLATE_NAME.search(name))


class _Walker:
    """Goes through the tree once, gathering inline text until a block ends."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder
        self._inline: list[str] = []
        self._hidden = False

    def walk(self, node: Any) -> None:
        self._children(node)
        self._flush()

    def _flush(self, kind: ElementKind = "paragraph") -> None:
        text = inline_text("".join(self._inline))
        self._inline.clear()
        if text:
            self._builder.add(kind, text, hidden=self._hidden)

    def _children(self, node: Any) -> None:
        for child in node.iter(include_text=True):
            self._node(child)

    def _node(self, node: Any) -> None:
        tag = node.tag
        if node.is_text_node:
            self._inline.append(node.text_content or "")
            return
        attributes = node.attributes
        if _is_boilerplate(tag, attributes) or (tag == "header" and node.css_first("h1,h2") is None):
            return
        if not self._hidden and _is_hidden(attributes):
            self._flush()
            self._hidden = True
            self._block(tag, node)
            self._flush()
            self._hidden = False
            self._builder.warn("text hidden from the reader was found and marked as hidden")
        elif tag == "br":
            self._inline.append("\0")
        elif tag in _INLINE:
            self._children(node)
        elif tag == "img":
            return
        else:
            self._flush()
            self._block(tag, node)
            self._flush()

    def _block(self, tag: str, node: Any) -> None:
        if tag in _HEADINGS:
            text = inline_text(_visible_text(node)).replace("\n", " ")
            self._builder.heading(text, _HEADINGS[tag], hidden=self._hidden)
        elif tag in ("ul", "ol"):
            lines = list(_list_lines(node, 0))
            self._builder.add("list", "\n".join(lines), hidden=self._hidden)
        elif tag == "pre":
            self._builder.add("code", node.text(), hidden=self._hidden)
        elif tag == "table" and _is_data_table(node):
            caption = node.css_first("caption")
            self._builder.add(
                "table",
                markdown_table(table_grid(node)),
                caption=inline_text(_visible_text(caption)) if caption is not None else None,
                hidden=self._hidden,
            )
        elif tag == "figure" and node.css_first("table,pre,p,ul,ol") is None:
            caption = node.css_first("figcaption")
            text = inline_text(_visible_text(caption)) if caption is not None else ""
            alt = next((i.attributes.get("alt") or "" for i in node.css("img")), "")
            self._builder.add("figure", text or alt, caption=text or alt or None, hidden=self._hidden)
        else:
            self._children(node)


def inline_text(raw: str) -> str:
    """Collapse white space as a browser does; ``<br>`` (NUL here) becomes a line break."""
    lines = (_SPACE.sub(" ", line).strip() for line in raw.split("\0"))
    return "\n".join(lines).strip()


def _visible_text(node: Any) -> str:
    parts: list[str] = []

    def gather(node: Any) -> None:
        for child in node.iter(include_text=True):
            if child.is_text_node:
                parts.append(child.text_content or "")
            elif child.tag == "br":
                parts.append("\0")
            elif not _is_boilerplate(child.tag, child.attributes) and not _is_hidden(child.attributes):
                inline = child.tag in _INLINE
                parts.append("" if inline else "\0")
                gather(child)
                parts.append("" if inline else "\0")

    gather(node)
    return "".join(parts)


def _list_lines(node: Any, depth: int) -> Iterator[str]:
    number = int(start) if (start := node.attributes.get("start") or "1").isdecimal() else 1
    for item in node.iter():
        if item.tag in ("ul", "ol"):  # a list right inside a list: not valid, common
            yield from _list_lines(item, depth + 1)
        if item.tag != "li" or _is_hidden(item.attributes):
            continue
        nested = [child for child in item.iter() if child.tag in ("ul", "ol")]
        own: list[str] = []
        for child in item.iter(include_text=True):
            if child.is_text_node:
                own.append(child.text_content or "")
            elif child.tag not in ("ul", "ol") and not _is_hidden(child.attributes):
                own.append("" if child.tag in _INLINE else "\0")
                own.append(_visible_text(child) if not _is_boilerplate(child.tag, child.attributes) else "")
        text = " ".join(inline_text("".join(own)).split("\n"))
        mark = f"{number}." if node.tag == "ol" else "-"
        if text:
            yield f"{'  ' * depth}{mark} {text}"
        number += 1
        for child in nested:
            yield from _list_lines(child, depth + 1)


def _is_data_table(node: Any) -> bool:
    """Not a table that only lays out the page: those hold tables, headings or a single cell."""
    return node.css_first("table table, h1, h2, h3") is None and len(node.css("td,th")) > 1


def table_grid(node: Any) -> list[list[str]]:
    """The rows of a table with each spanned cell's text repeated in every place that it covers."""
    grid: list[list[str]] = []
    pending: dict[int, tuple[int, str]] = {}
    for row in node.css("tr"):
        cells: list[str] = []

        def fill(cells: list[str] = cells) -> None:
            while len(cells) in pending:
                left, text = pending[len(cells)]
                if left > 1:
                    pending[len(cells)] = (left - 1, text)
                else:
                    del pending[len(cells)]
                cells.append(text)

        for cell in row.iter():
            if cell.tag not in ("td", "th"):
                continue
            fill()
            text = inline_text(_visible_text(cell))
            for _ in range(_span(cell, "colspan")):
                if (rows := _span(cell, "rowspan")) > 1:
                    pending[len(cells)] = (rows - 1, text)
                cells.append(text)
        fill()
        grid.append(cells)
    return grid


def _span(cell: Any, name: str) -> int:
    value = (cell.attributes.get(name) or "").strip()
    return max(1, min(int(value), MAX_SPAN)) if value.isdecimal() else 1
