"""reStructuredText, also with Sphinx's roles and directives, which docutils does not know.

Called by ``dispatch`` for rst. docutils reads the syntax; nothing is included from other files, and none of its
transforms runs. What an unknown directive holds is read as the text that it is.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lunheng.parsing.builder import DocumentBuilder, clean_text, read_bytes
from lunheng.parsing.encoding import decode
from lunheng.parsing.tables import markdown_table
from lunheng.parsing.wrapped import unwrapped
from lunheng.types import Document, ElementRole, Limits

_ROLE = re.compile(r"(?::[\w.+-]+)+:`([^`]*)`|`([^`]*)`(?::[\w.+-]+)+:")
_TARGET = re.compile(r"\s*<[^<>]*>$")
_DIRECTIVE = re.compile(r"\.\.\s+([\w:.+-]+)::[ \t]*(.*)")
_OPTION = re.compile(r"\s+:[\w-]+:")
_NO_TEXT = frozenset(
    """
    toctree include raw index only meta contents highlight currentmodule tabularcolumns image figure role
    default-role sectnum module literalinclude csv-table
    """.split()  # noqa: SIM905
)
"""Directives, unknown or not read, whose content is no text of the document."""
_CODE = frozenset(
    ["code-block", "sourcecode", "prompt", "doctest", "testcode", "ipython", "productionlist", "parsed-literal"]
)
_BLOCKS_IN_CELLS = frozenset({"paragraph", "list_item", "line", "literal_block"})
MAX_NESTING = 20


class RstParser:
    """Reads rst."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        text, _, warnings = decode(data, str(source))
        builder = DocumentBuilder(source, "rst", data)
        for warning in warnings:
            builder.warn(warning)
        _Walker(builder).walk(_parse(clean_text(text)))
        return builder.build()


def _parse(text: str) -> Any:
    from docutils.frontend import get_default_settings
    from docutils.parsers.rst import Parser
    from docutils.utils import new_document

    settings = get_default_settings(Parser)
    settings.report_level, settings.halt_level, settings.warning_stream = 5, 6, None
    settings.file_insertion_enabled = settings.raw_enabled = False
    settings.syntax_highlight, settings.line_length_limit = "none", 1 << 40
    document = new_document("document", settings)
    Parser().parse(text, document)
    return document


class _Walker:
    """Goes through the document tree once."""

    def __init__(self, builder: DocumentBuilder, depth: int = 0, nesting: int = 0) -> None:
        self._builder = builder
        self._depth = depth
        self._nesting = nesting
        self._role: ElementRole = "body"

    def walk(self, node: Any) -> None:
        for child in node.children:
            self._block(child)

    def _block(self, node: Any) -> None:
        name = node.tagname
        if name == "section":
            self._depth += 1
            self.walk(node)
            self._depth -= 1
        elif name == "title" and node.parent.tagname == "section":
            self._builder.heading(_text(node), self._depth)
        elif name in ("paragraph", "title", "rubric", "attribution", "caption", "subtitle"):
            self._builder.add("paragraph", _text(node), role=self._role, links=list(_links(node)))
        elif name in ("bullet_list", "enumerated_list", "definition_list", "field_list", "option_list"):
            self._add_list(node)
        elif name in ("literal_block", "doctest_block"):
            self._builder.add("code", node.astext(), role=self._role)
        elif name == "math_block":
            self._builder.add("formula", node.astext())
        elif name == "table":
            self._add_table(node)
        elif name == "line_block":
            self._builder.add("paragraph", "\n".join(_text(line) for line in node.findall() if line.tagname == "line"))
        elif name == "image":
            self._builder.add("figure", node.get("alt", ""), caption=node.get("alt"))
        elif name == "figure":
            words = " ".join(_text(n) for n in node.children if n.tagname in ("caption", "legend"))
            self._builder.add("figure", words, caption=words or None)
        elif name in ("footnote", "citation"):
            label = "".join(n.astext() for n in node.children if n.tagname == "label")
            words = " ".join(_text(n) for n in node.children if n.tagname != "label")
            mark = f"[^{label}]:" if name == "footnote" else f"[{label}]"
            self._builder.add("paragraph", f"{mark} {words}" if label else words, role="footnote")
        elif name == "system_message":
            self._unknown(node)
        elif name not in ("comment", "substitution_definition", "target", "pending", "transition", "raw", "meta"):
            self.walk(node)

    def _add_list(self, node: Any) -> None:
        if node.tagname == "field_list" and not self._builder.elements[1:] and self._take_fields(node):
            return
        self._builder.add("list", "\n".join(_list_lines(node, 0)), role=self._role)
        for inner in node.findall(lambda n: n.tagname in ("literal_block", "doctest_block", "table")):
            self._block(inner)

    def _take_fields(self, node: Any) -> bool:
        """Author and the like stand in fields at the start."""
        fields = {f.children[0].astext().lower(): " ".join(f.children[1].astext().split()) for f in node.children}
        known = fields.keys() & {"author", "authors", "date", "version", "status", "copyright", "orphan"}
        self._builder.author = fields.get("author") or fields.get("authors") or self._builder.author
        self._builder.extra.update({key: fields[key] for key in known - {"author", "authors", "orphan"}})
        return len(known) == len(fields)

    def _add_table(self, node: Any) -> None:
        caption = next((_text(n) for n in node.children if n.tagname == "title"), None)
        grid: list[list[str]] = []
        covered: dict[tuple[int, int], str] = {}
        for row in node.findall(lambda n: n.tagname == "row"):
            cells: list[str] = []
            for entry in (n for n in row.children if n.tagname == "entry"):
                while (len(grid), len(cells)) in covered:
                    cells.append(covered[len(grid), len(cells)])
                text = "\n".join(_text(n) for n in entry.children)
                across, down = int(entry.get("morecols", 0)) + 1, int(entry.get("morerows", 0)) + 1
                covered.update(((len(grid) + r, len(cells) + c), text) for r in range(1, down) for c in range(across))
                cells.extend([text] * across)
            while (len(grid), len(cells)) in covered:
                cells.append(covered[len(grid), len(cells)])
            grid.append(cells)
        self._builder.add("table", markdown_table(grid), caption=caption)

    def _unknown(self, message: Any) -> None:
        """What stands in a directive that docutils does not know."""
        source = next((n.astext() for n in message.children if n.tagname == "literal_block"), "")
        match = _DIRECTIVE.match(source)
        if match is None or self._nesting >= MAX_NESTING:
            return
        name, argument = match.group(1), match.group(2).strip()
        lines = source.split("\n")[1:]
        while lines and (_OPTION.match(lines[0]) or not lines[0].strip()):
            lines.pop(0)
        content = textwrap.dedent("\n".join(lines))
        if name in ("include", "literalinclude"):
            self._builder.warn(f"it includes {argument}, which is not read with it; add that file too")
        if name in _NO_TEXT:
            return
        if name in _CODE:
            self._builder.add("code", content)
            return
        if argument:
            version = name.startswith("version") or name == "deprecated"
            self._builder.add("paragraph", _without_roles(f"{name}: {argument}" if version else argument))
        if content.strip():
            _Walker(self._builder, self._depth, self._nesting + 1).walk(_parse(content))


def _text(node: Any) -> str:
    """The words of a node in one line; of a role that is not known, the words in it."""
    return unwrapped(_without_roles("".join(_pieces(node))))


def _pieces(node: Any) -> Iterator[str]:
    if node.tagname == "footnote_reference":
        yield f"[^{node.astext()}]"
    elif node.tagname == "citation_reference":
        yield f"[{node.astext()}]"
    elif node.tagname == "#text":
        yield node.astext()
    elif node.tagname != "image":
        for child in node.children:
            yield from _pieces(child)
            if child.tagname in _BLOCKS_IN_CELLS:
                yield "\0"


def _without_roles(text: str) -> str:
    return _ROLE.sub(lambda m: _TARGET.sub("", m.group(1) or m.group(2) or "").lstrip("~!"), text)


def _links(node: Any) -> Iterator[tuple[str, str]]:
    for reference in node.findall(lambda n: n.tagname == "reference"):
        if reference.get("refuri") and reference.astext().strip():
            yield _text(reference), str(reference["refuri"])


def _list_lines(node: Any, depth: int) -> Iterator[str]:
    nested = ("bullet_list", "enumerated_list", "definition_list", "field_list")
    start = int(node.get("start", 1)) if node.tagname == "enumerated_list" else 1
    for number, item in enumerate(node.children, start):
        parts, inner = [], []
        bodies = [
            b
            for n in item.children
            for b in (n.children if n.tagname in ("definition", "field_body", "description") else [n])
        ]
        for child in bodies:
            if child.tagname in nested:
                inner.append(child)
            elif child.tagname not in ("system_message", "literal_block", "doctest_block", "table", "comment"):
                parts.append(_text(child) + (":" if child.tagname in ("term", "field_name", "option_group") else ""))
        mark = f"{number}." if node.tagname == "enumerated_list" else "-"
        if text := " ".join(filter(None, parts)):
            yield f"{'  ' * depth}{mark} {unwrapped(text)}"
        for child in inner:
            yield from _list_lines(child, depth + 1)
