"""LaTeX: sections, paragraphs, lists, tables, formulas as they are, footnotes.

Called by ``dispatch`` for tex. pylatexenc reads the syntax; no macro is expanded and no file is included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lunheng.parsing.builder import DocumentBuilder, clean_text, read_bytes
from lunheng.parsing.encoding import decode
from lunheng.parsing.tables import markdown_table
from lunheng.parsing.tex_inline import TexInline, arguments, latex_context, name_of, without_definitions
from lunheng.parsing.wrapped import unwrapped
from lunheng.types import Document, Limits

_LEVELS = {
    "part": 1,
    "chapter": 2,
    "section": 3,
    "subsection": 4,
    "subsubsection": 5,
    "paragraph": 6,
    "subparagraph": 7,
}
_LISTS = {"itemize": "-", "enumerate": "1.", "description": "-", "compactitem": "-", "inparaenum": "1."}
_TABLES = frozenset(
    ["tabular", "tabular*", "tabularx", "longtable", "tabu", "longtabu", "tabulary", "array", "xltabular"]
)
_CODE = frozenset(["verbatim", "verbatim*", "lstlisting", "minted", "Verbatim", "alltt", "algorithmic"])
_FORMULAS = frozenset(
    f"{name}{star}"
    for name in ("equation", "align", "gather", "multline", "eqnarray", "displaymath", "math", "flalign", "alignat")
    for star in ("", "*")
)
_SKIPPED = frozenset(["comment", "filecontents", "filecontents*", "tikzpicture", "CCSXML"])
_RULES = frozenset(
    """
    hline toprule midrule bottomrule cline cmidrule noalign addlinespace centering endlastfoot endfoot label
    specialrule arraystretch raggedright raggedleft strut
    """.split()  # noqa: SIM905
)


class TexParser:
    """Reads tex."""

    def parse(self, source: Path, limits: Limits) -> Document:
        from pylatexenc.latexwalker import LatexWalker

        data = read_bytes(source, limits)
        text, _, warnings = decode(data, str(source))
        builder = DocumentBuilder(source, "tex", data)
        for warning in warnings:
            builder.warn(warning)
        reader = LatexWalker(clean_text(text), latex_context=latex_context(), tolerant_parsing=True)
        nodes, _, _ = reader.get_latex_nodes()
        walker = _Walker(builder, nodes)
        walker.walk(walker.body())
        walker.flush()
        return builder.build()


class _Walker:
    """Goes over the nodes once, gathering a paragraph's until a blank line or a block."""

    def __init__(self, builder: DocumentBuilder, nodes: list[Any]) -> None:
        self._builder = builder
        self._nodes = nodes
        self._inline: list[Any] = []
        self._words = TexInline()
        levels = {_LEVELS[n] for node in _all(nodes) if (n := name_of(node).rstrip("*")) in _LEVELS}
        self._top = min(levels, default=1) - 1
        """An article begins with sections, a book with chapters: the highest that occurs becomes the first level below
        the title, or the first of all where there is no title."""

    def body(self) -> list[Any]:
        """The document's nodes; title, author and date are taken from what stands before."""
        document = next((n for n in self._nodes if name_of(n) == "document"), None)
        for node in _all(self._nodes):
            if name_of(node) in ("input", "include", "subfile") and arguments(node):
                file = arguments(node)[-1].latex_verbatim().strip("{}")
                self._builder.warn(f"it includes {file}, which is not read with it; add that file too")
            elif name_of(node) in ("title", "author") and (given := arguments(node)):
                words = unwrapped(self._words.text(given[-1:]))
                if name_of(node) == "title":
                    self._builder.title = words.replace("\n", " ")
                else:
                    self._builder.author = ", ".join(words.split("\n")) or None
        if self._builder.title:
            self._builder.heading(self._builder.title, 1)
            self._top -= 1
        return list(document.nodelist or []) if document is not None else self._nodes

    def walk(self, nodes: Iterable[Any]) -> None:
        for node in without_definitions(nodes):
            self._node(node)

    def flush(self) -> None:
        text = unwrapped(self._words.text(self._inline))
        self._inline = []
        links, notes = self._words.taken()
        self._builder.add("paragraph", text, links=links)
        for note in notes:
            self._builder.add("paragraph", unwrapped(note), role="footnote")

    def _node(self, node: Any) -> None:
        kind, name = type(node).__name__, name_of(node)
        if kind == "LatexCharsNode":
            parts = re.split(r"\n[ \t]*\n\s*", node.chars)
            for i, part in enumerate(parts):
                if i:
                    self.flush()
                self._inline.append(part)
        elif kind == "LatexSpecialsNode" and node.specials_chars == "\n\n":
            self.flush()
        elif kind == "LatexEnvironmentNode":
            self._environment(name, node)
        elif kind == "LatexMathNode" and node.displaytype == "display":
            self.flush()
            self._builder.add("formula", node.latex_verbatim())
        elif kind == "LatexMacroNode" and name.rstrip("*") in _LEVELS:
            self.flush()
            heading = unwrapped(self._words.text(arguments(node)[-1:]))
            self._builder.heading(heading, max(1, _LEVELS[name.rstrip("*")] - self._top))
        elif kind == "LatexMacroNode" and name in ("title", "author", "date", "caption") and arguments(node):
            self.flush()
            if name == "caption":
                self._builder.add("paragraph", unwrapped(self._words.text(arguments(node)[-1:])))
        elif kind == "LatexMacroNode" and name in ("par", "newpage", "clearpage", "maketitle", "tableofcontents"):
            self.flush()
        elif kind == "LatexGroupNode":
            blocks = any(type(n).__name__ == "LatexEnvironmentNode" for n in node.nodelist or ())
            self.walk(node.nodelist or ()) if blocks else self._inline.append(node)
        else:
            self._inline.append(node)

    def _environment(self, name: str, node: Any) -> None:
        nodes = list(node.nodelist or [])
        self.flush()
        if name in _CODE:
            self._builder.add("code", _verbatim(node))
        elif name in _FORMULAS:
            self._builder.add("formula", node.latex_verbatim())
        elif name in _LISTS:
            self._builder.add("list", "\n".join(self._list_lines(name, nodes, 0)))
            self.flush()
        elif name in _TABLES:
            self._table(nodes, None)
        elif name.rstrip("*") in ("table", "figure", "wrapfigure", "sidewaystable", "wraptable"):
            captions = [n for n in _all(nodes) if name_of(n) == "caption" and arguments(n)]
            caption = " ".join(unwrapped(self._words.text(arguments(n)[-1:])) for n in captions) or None
            tables = [n for n in _all(nodes) if name_of(n) in _TABLES]
            for table in tables:
                self._table(list(table.nodelist or []), caption)
            if not tables and caption:
                self._builder.add("figure", caption, caption=caption)
        elif name == "thebibliography":
            self._builder.add("list", "\n".join(self._list_lines(name, nodes, 0)))
        elif name not in _SKIPPED:
            self.walk(nodes)
        self.flush()

    def _list_lines(self, name: str, nodes: list[Any], depth: int) -> Iterator[str]:
        number, own, inner = 0, list[Any](), list[Any]()

        def item() -> Iterator[str]:
            text = unwrapped(self._words.text(own)).replace("\n", " ")
            mark = f"{number}." if _LISTS.get(name, "-") == "1." else "-"
            if text:
                yield f"{'  ' * depth}{mark} {text}"
            for child in inner:
                yield from self._list_lines(name_of(child), list(child.nodelist or []), depth + 1)

        for node in nodes:
            if name_of(node) in ("item", "bibitem"):
                yield from item()
                label = [a for a in arguments(node)[:1] if name_of(node) == "item"]
                number, own, inner = number + 1, [*label, ": "] if label else [], []
            elif type(node).__name__ == "LatexEnvironmentNode" and name_of(node) in _LISTS:
                inner.append(node)
            else:
                own.append(node)
        yield from item()

    def _table(self, nodes: list[Any], caption: str | None) -> None:
        rows: list[list[str]] = []
        cells: list[list[Any]] = [[]]
        filled: dict[tuple[int, int], str] = {}
        first_header: int | None = None

        def end_row() -> None:
            row: list[str] = []
            for cell in cells:
                text = unwrapped(self._words.text(cell))
                span = next((n for n in cell if name_of(n) in ("multicolumn", "multirow")), None)
                count = _count(span) if span is not None else 1
                if span is not None and name_of(span) == "multirow":
                    filled.update(((len(rows) + r, len(row)), text) for r in range(1, count))
                    count = 1
                row.extend([text or filled.get((len(rows), len(row)), "")] * count)
            if any(row):
                rows.append(row)
            cells[:] = [[]]

        for node in nodes:
            name = name_of(node)
            if type(node).__name__ == "LatexSpecialsNode" and node.specials_chars == "&":
                cells.append([])
            elif name in ("\\", "tabularnewline", "cr"):
                end_row()
            elif name == "caption":
                caption = caption or unwrapped(self._words.text(arguments(node)[-1:]))
            elif name == "endfirsthead":
                first_header = len(rows)
            elif name == "endhead" and first_header is not None:
                rows[first_header:] = []  # the header of the pages that follow says the same again
            elif name not in _RULES:
                cells[-1].append(node)
        end_row()
        self._builder.add("table", markdown_table(rows), caption=caption)


def _count(span: Any) -> int:
    given = arguments(span)
    number = "".join(c for c in given[0].latex_verbatim() if c.isdecimal()) if given else ""
    return max(1, min(int(number), 200)) if number else 1


def _verbatim(node: Any) -> str:
    text = re.sub(r"^\\begin\{[^}]*\}(?:\[[^\]]*\])?(?:\{[^}]*\})?", "", node.latex_verbatim())
    return re.sub(r"\\end\{[^}]*\}$", "", text).strip("\n")


def _all(nodes: Iterable[Any]) -> Iterator[Any]:
    """The nodes and all nodes in them."""
    for node in nodes:
        if node is not None:
            yield node
            yield from _all(getattr(node, "nodelist", None) or ())
