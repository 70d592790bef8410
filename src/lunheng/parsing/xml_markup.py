"""XML: books and articles (DocBook, JATS, TEI, FictionBook) as text with headings, data as records.

Called by ``dispatch`` for xml, docbook, jats, tei and fb2. The dialects call the same things by few names, and
one walk knows them all; XML without any of them is read like JSON, as ``key: value`` lines.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from lunheng.errors import ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.detect import detect
from lunheng.parsing.encoding import decode
from lunheng.parsing.json_text import Budget, add_value
from lunheng.parsing.tables import markdown_table
from lunheng.parsing.xml_head import read_head
from lunheng.parsing.xml_tables import table_grid
from lunheng.parsing.xml_tree import attribute, declared_encoding, name_of, parse_xml, without_html_entities
from lunheng.types import Document, ElementKind, ElementRole, Limits

_SECTIONS = frozenset(
    ["chapter", "section", "sec", "part", "appendix", "preface", "app", "ack", "glossary", "bibliography", "reference"]
    + ["refentry", "refsection", "simplesect", "topic", "div", "ref-list", "notes"]
    + [f"{name}{n}" for name in ("sect", "refsect", "div") for n in range(1, 8)]
)
_TITLES = frozenset(["title", "head", "article-title", "book-title", "subtitle", "bridgehead", "refname", "h"])
_PARAGRAPHS = frozenset(
    """
    p para simpara formalpara ab lg stanza ref mixed-citation citation biblioentry text-author attrib byline
    author-comment verse-group boxed-text bibliomixed paragraphstylerange
    """.split()  # noqa: SIM905  a list of words is read as one
)
_LINES = frozenset(["l", "v", "verse-line", "line", "br", "lb", "sbr"])
_LISTS = frozenset(["itemizedlist", "orderedlist", "list", "ul", "ol", "simplelist", "variablelist", "dl", "def-list"])
_ITEMS = frozenset(["listitem", "list-item", "item", "li", "member", "varlistentry", "def-item", "dlentry"])
_TABLES = frozenset(["table", "informaltable", "table-wrap", "tgroup"])
_CODE = frozenset(["programlisting", "screen", "literallayout", "preformat", "pre", "eg", "codeblock", "synopsis"])
_NOTES = frozenset(["footnote", "fn", "endnote"])
_FIGURES = frozenset(["figure", "fig", "mediaobject", "informalfigure"])
_FORMULAS = frozenset(["disp-formula", "equation", "informalequation", "tex-math"])
_SKIPPED = frozenset(
    """
    binary style script stylesheet colspec col colgroup graphic media imagedata label indexterm object-id anchor
    fig-count history permissions front article-meta journal-meta description teiheader info bookinfo articleinfo
    chapterinfo sectioninfo docinfo toc journal-title-group processing-meta titleabbrev
    """.split()  # noqa: SIM905
)
_BLOCKS = (
    _SECTIONS | _TITLES | _PARAGRAPHS | _LISTS | _TABLES | _CODE | _NOTES | _FIGURES | _FORMULAS | {"body", "stanza"}
)
_PROSE = frozenset(["p", "para", "simpara", "ab", "lg", "programlisting", "listitem", "paragraphstylerange"])
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_PREFIX = re.compile(r"[<\s]([a-zA-Z][\w.-]*):[\w.-]+(?=[\s=>/])")
_WEB = ("http://", "https://", "mailto:", "ftp://")


class XmlParser:
    """Reads xml, docbook, jats, tei and fb2."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        builder = DocumentBuilder(source, detect(source).format, data)
        root = _read_tree(data, source, builder)
        names = Counter(name_of(node).lower() for node in root.iter())
        if any(names[name] for name in _PROSE):
            abstract = read_head(root, builder)
            walker = _Walker(builder, limits.max_cells)
            for block in abstract:
                walker.block(block)
            walker.children(root)
            walker.flush()
        else:
            builder.title = source.stem
            add_value(builder, _data(root), Budget(source, limits))
        return builder.build()


def _read_tree(data: bytes, source: Path, builder: DocumentBuilder) -> Any:
    text = re.sub(r"^\s*<\?xml.*?\?>", "", without_html_entities(_decoded(data, source, builder)), count=1, flags=re.S)
    try:
        return parse_xml(text.encode("utf-8", "ignore"), source)
    except ParseError as error:
        spaces = " ".join(
            f'xmlns:{p}="urn:{p}"' for p in sorted(set(_PREFIX.findall(text))) if p not in ("xml", "xmlns")
        )
        fragment = f"<fragment {spaces}>{text}</fragment>".encode("utf-8", "ignore")
        try:  # a part of a document, as converters write it
            return parse_xml(fragment, source)
        except ParseError:
            if "<!ENTITY" in text[:10_000]:
                raise error from None
            builder.warn("the XML is damaged; what could be read was kept")
            return parse_xml(text.encode("utf-8", "ignore"), source, recover=True)


def _decoded(data: bytes, source: Path, builder: DocumentBuilder) -> str:
    declared = declared_encoding(data)
    if declared:
        try:
            return data.decode({"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs"}.get(declared, declared))
        except (UnicodeDecodeError, LookupError):
            pass  # a wrong declaration: the bytes decide, below
    text, _, warnings = decode(data, str(source))
    for warning in warnings:
        builder.warn(warning)
    return text


def _data(node: Any) -> Any:
    """An element as JSON would hold it: attributes and children by name, repeated ones as a list."""
    found: dict[str, Any] = {key.rpartition("}")[2]: value for key, value in node.attrib.items()}
    for child in node:
        if name := name_of(child):
            value = _data(child)
            if name not in found:
                found[name] = value
            elif isinstance(found[name], list):
                found[name].append(value)
            else:
                found[name] = [found[name], value]
    text = " ".join(_TAG.sub(" ", node.text or "").split())
    if not found:
        return text
    return {**found, "text": text} if text else found


class _Walker:
    """Goes through the tree once, gathering inline text until a block ends."""

    def __init__(self, builder: DocumentBuilder, max_cells: int) -> None:
        self._builder = builder
        self._max_cells = max_cells
        self._inline: list[str] = []
        self._links: list[tuple[str, str]] = []
        self._notes: list[tuple[int, Any]] = []
        self._note_count = 0
        self._role: ElementRole = "body"
        self._depth = 1

    def flush(self, kind: ElementKind = "paragraph") -> None:
        text = _squeezed("".join(self._inline))
        links, notes, self._inline, self._links, self._notes = self._links, self._notes, [], [], []
        if text:
            self._builder.add(kind, text, role=self._role, links=links)
        for number, note in notes:
            self._inline.append(f"[^{number}]: ")
            self._in_role("footnote", note)

    def children(self, node: Any) -> None:
        self._inline.append(node.text or "")
        for child in node:
            if name_of(child):
                self._node(child)
            self._inline.append(child.tail or "")

    def block(self, node: Any) -> None:
        name = name_of(node).lower()
        self.flush()
        if name in _TITLES:
            deeper = name in ("subtitle", "bridgehead")
            self._builder.heading(_words(node), self._depth + deeper)
        elif name in _SECTIONS:
            self._depth += 1
            self.children(node)
            self.flush()
            self._depth -= 1
        elif name in _LISTS:
            self._builder.add("list", "\n".join(_list_lines(node, 0)), role=self._role)
        elif name in _TABLES:
            self._table(node)
        elif name in _CODE:
            self._builder.add("code", "".join(node.itertext()).strip("\n"), role=self._role)
        elif name in _FIGURES:
            words = _words(node)
            self._builder.add("figure", words, caption=words or None)
        elif name in _FORMULAS:
            tex = next((n for n in node.iter() if name_of(n) in ("tex-math", "alt", "mathphrase")), node)
            self._builder.add("formula", _words(tex))
        elif name == "body" and attribute(node, "name") in ("notes", "comments"):  # FictionBook's notes
            self._in_role("footnote", node)
        else:
            self.children(node)
        self.flush()

    def _in_role(self, role: ElementRole, node: Any) -> None:
        before, self._role = self._role, role
        only = [child for child in node if name_of(child)]
        # A note of one paragraph is that paragraph, behind its mark.
        self.children(only[0] if len(only) == 1 and name_of(only[0]).lower() in _PARAGRAPHS else node)
        self.flush()
        self._role = before

    def _node(self, node: Any) -> None:
        name = name_of(node).lower()
        if name in _SKIPPED:
            return
        if name in _NOTES and any(part.strip() for part in self._inline):
            self._note_count += 1
            self._notes.append((self._note_count, node))
            self._inline.append(f"[^{self._note_count}]")
        elif name in _LINES:
            self._inline.append("\0")
            self.children(node)
        elif name in _BLOCKS or _holds_blocks(node):
            self.block(node)
        else:
            start = len(self._inline)
            self.children(node)
            target = next((t for key in ("href", "url", "target") if (t := attribute(node, key))), "")
            words = _squeezed("".join(self._inline[start:]))
            if words and target.startswith(_WEB):
                self._links.append((words, target))

    def _table(self, node: Any) -> None:
        parts = [n for n in node if name_of(n).lower() in ("title", "caption", "head", "label")]
        caption = " ".join(filter(None, map(_words, parts)))
        table = markdown_table(table_grid(node, self._max_cells))
        self._builder.add("table", table, caption=caption or None, role=self._role)
        for foot in (n for n in node if name_of(n) == "table-wrap-foot"):
            self.children(foot)


def _holds_blocks(node: Any) -> bool:
    return any(name_of(inner).lower() in _BLOCKS for inner in node.iterdescendants())


def _squeezed(text: str) -> str:
    """White space as in prose; a line of verse (NUL here) keeps its end."""
    lines = (" ".join(line.split()) for line in text.split("\0"))
    return "\n".join(line for line in lines if line)


def _words(node: Any) -> str:
    """The text of an element without its notes, its blocks apart from one another."""
    parts: list[str] = []

    def gather(node: Any) -> None:
        parts.append(node.text or "")
        for child in node:
            name = name_of(child).lower()
            if name and name not in _NOTES and name not in (_SKIPPED - {"label"}):
                apart = name in _BLOCKS or name in ("caption", "label", "term", "def")
                parts.append(" " if apart else "")
                gather(child)
                parts.append(" " if apart else "")
            parts.append(child.tail or "")

    gather(node)
    return " ".join("".join(parts).split())


def _list_lines(node: Any, depth: int) -> list[str]:
    ordered = name_of(node).lower() in ("orderedlist", "ol") or "order" in (attribute(node, "list-type") or "")
    lines = []
    number = 0
    for item in node:
        if name_of(item).lower() not in _ITEMS:
            continue
        number += 1
        nested = [n for n in item.iterdescendants() if name_of(n).lower() in _LISTS]
        outer = [n for n in nested if not any(a in nested for a in n.iterancestors())]
        text = _item_text(item, outer)
        if text:
            lines.append(f"{'  ' * depth}{f'{number}.' if ordered else '-'} {text}")
        for inner in outer:
            lines.extend(_list_lines(inner, depth + 1))
    return lines


def _item_text(item: Any, without: list[Any]) -> str:
    parts: list[str] = []

    def gather(node: Any) -> None:
        parts.append(node.text or "")
        for child in node:
            name = name_of(child).lower()
            if name and child not in without and (name not in _SKIPPED):
                gather(child)
                if name in ("term", "title", "head"):
                    parts.append(": ")
                elif name in _PARAGRAPHS:
                    parts.append(" ")
            parts.append(child.tail or "")

    gather(item)
    return " ".join("".join(parts).split()).replace(" :", ":")
