"""Source code as a row of units that are not to be cut: functions, methods, statements, with what encloses them.

Called by the code chunker. The grammars are tree-sitter's, one wheel a language (34 MB together, where the
pack of all languages is 192 MB). A tree is never trusted to be whole: units cover every character from the
first to the last, so code with syntax errors is cut around them and loses nothing.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "java": ("tree_sitter_java", "language"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "csharp": ("tree_sitter_c_sharp", "language"),
    "sql": ("tree_sitter_sql", "language"),
    "shell": ("tree_sitter_bash", "language"),
}
LANGUAGE_OF = {
    **dict.fromkeys(("py", "pyi", "ipynb"), "python"),
    **dict.fromkeys(("js", "jsx", "mjs"), "javascript"),
    **dict.fromkeys(("c", "h"), "c"),
    **dict.fromkeys(("cc", "cpp", "cxx", "hpp"), "cpp"),
    **dict.fromkeys(("sh", "bash", "zsh"), "shell"),
    **{"ts": "typescript", "tsx": "tsx", "java": "java", "go": "go", "rs": "rust", "cs": "csharp", "sql": "sql"},
}
"""The grammar of a source type."""
MOST_CHARACTERS = 2_000_000
"""Longer code is not read as a tree: it is data more often than a program."""
MOST_DEPTH = 40
_CPP_ONLY = re.compile(r"^\s*(?:class|namespace|template|using|public:)\b|::", re.M)
_IMPORTS = frozenset(
    [
        "import_statement",
        "import_from_statement",
        "future_import_statement",
        "import_declaration",
        "package_declaration",
        "package_clause",
        "use_declaration",
        "extern_crate_declaration",
        "preproc_include",
        "using_declaration",
        "using_directive",
    ]
)
_LEADING = frozenset(
    ["comment", "line_comment", "block_comment", "marginalia", "attribute_item", "decorator", "attribute_list"]
)
"""What belongs to the code right below it."""
_DEFINES = re.compile(r"class|struct|enum|interface|trait|impl|mod|namespace|function|method|constructor|record|object")
"""Nodes whose signature says where their parts belong; of a loop or a condition it does not."""
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of code. Units follow one another without a gap, save white space."""

    start: int
    end: int
    context: tuple[str, ...] = ()
    """The signatures of the classes and functions around it, outermost first."""
    opens: tuple[str, ...] | None = None
    """The context of what follows, where this unit is the head of a class or function."""
    inside_function: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """What a tree says of a stretch of code."""

    units: list[Unit]
    imports: list[str]
    imports_end: int
    """Where the last import ends."""
    broken: bool
    """Whether there are syntax errors."""


def language_of(source_type: str, text: str) -> str | None:
    """The language of a source file; a ``.h`` file is C++ where it reads so."""
    found = LANGUAGE_OF.get(source_type)
    return "cpp" if source_type == "h" and _CPP_ONLY.search(text) else found


@lru_cache(maxsize=len(GRAMMARS))
def _grammar(language: str) -> object:
    from tree_sitter import Language

    module, function = GRAMMARS[language]
    return Language(getattr(importlib.import_module(module), function)())


def _parser(language: str) -> Parser:
    from tree_sitter import Parser

    return Parser(_grammar(language))  # type: ignore[arg-type]


def read_code(text: str, start: int, end: int, language: str, fits: Callable[[int, int], bool]) -> Code:
    """The units of ``text[start:end]``; what does not fit (by ``fits``, given offsets) is taken apart.

    Raises:
        ImportError: the grammar is not installed.
    """
    data = text[start:end].encode("utf-8", "replace")
    root = _parser(language).parse(data).root_node
    reader = _Reader(text, start, end, fits)
    imports = list(_find_imports(root))
    lines = [_SPACE.sub(" ", text[reader.at(n.start_byte) : reader.at(n.end_byte)]).strip() for n in imports]
    units = list(reader.units(list(root.children), start, end, (), 0, False))
    last = reader.at(imports[-1].end_byte) if imports else start
    return Code(units, lines, last, root.has_error)


def _find_imports(node: Node) -> Iterator[Node]:
    for child in node.children:
        if child.type in _IMPORTS:
            yield child
        elif child.type.startswith("preproc_if"):
            yield from _find_imports(child)


class _Reader:
    """Turns nodes into units, and bytes into characters."""

    def __init__(self, text: str, start: int, end: int, fits: Callable[[int, int], bool]) -> None:
        self._text = text
        self._start = start
        self._fits = fits
        self._bytes: NDArray[np.int64] | None = None
        piece = text[start:end]
        if not piece.isascii():
            points = np.frombuffer(piece.encode("utf-32-le", "replace"), dtype=np.uint32)
            widths = 1 + (points > 0x7F).astype(np.int64) + (points > 0x7FF) + (points > 0xFFFF)
            self._bytes = np.concatenate([[0], np.cumsum(widths)])

    def at(self, byte: int) -> int:
        """The character at ``byte``, in the whole text."""
        if self._bytes is None:
            return self._start + byte
        return self._start + int(np.searchsorted(self._bytes, byte))

    def units(
        self, nodes: list[Node], start: int, end: int, context: tuple[str, ...], depth: int, inside: bool
    ) -> Iterator[Unit]:
        """The units that cover ``start:end``, of which ``nodes`` are the parts."""
        groups = self._groups(nodes, start, end)
        for number, (node, first) in enumerate(groups):
            last = groups[number + 1][1] if number + 1 < len(groups) else end
            if first < last:
                yield from self._unit(node, first, last, context, depth, inside)

    def _groups(self, nodes: list[Node], start: int, end: int) -> list[tuple[Node, int]]:
        """Each node that stands by itself and where it begins, with the comments and decorators above it."""
        groups: list[tuple[Node, int]] = []
        leading: tuple[Node, int] | None = None  # a comment or decorator that waits for what it stands above
        previous_end = start
        for node in nodes:
            first, last = self.at(node.start_byte), self.at(node.end_byte)
            if not start <= first < last <= end:
                continue
            gap = self._text[previous_end:first]
            previous_end = last
            if leading is not None and gap.count("\n") > 1:
                groups.append(leading)  # a comment apart, such as a licence
                leading = None
            elif leading is None and groups and (not node.is_named or "\n" not in gap):
                continue  # a brace, a comment at the end of a line: belongs to what stands before it
            if node.type in _LEADING:
                leading = leading or (node, first)
                continue
            groups.append((node, leading[1] if leading else first))
            leading = None
        if leading is not None:
            groups.append(leading)
        if groups:
            groups[0] = (groups[0][0], start)
        return groups

    def _unit(
        self, node: Node, start: int, end: int, context: tuple[str, ...], depth: int, inside: bool
    ) -> Iterator[Unit]:
        if self._fits(start, end) or depth > MOST_DEPTH or not node.children:
            yield Unit(start, end, context, None, inside)
            return
        holder = _with_body(node)
        body = holder.child_by_field_name("body") if holder is not None else None
        if holder is None or body is None or not body.children:
            yield from self.units(list(node.children), start, end, context, depth + 1, inside)
            return
        signature = self._signature(holder, body)
        within = (*context, signature) if signature and _DEFINES.search(holder.type) else context
        parts = [child for child in body.children if child.is_named]
        if parts and parts[0].type == "expression_statement" and _is_string(parts[0]):
            parts = parts[1:]  # a docstring stays with its head
        head_end = self._head_end(body, parts, end)
        if not start < head_end < end:
            yield from self.units(list(node.children), start, end, context, depth + 1, inside)
            return
        yield Unit(start, head_end, context, within, inside)
        is_function = "function" in holder.type or "method" in holder.type or inside
        yield from self.units(parts, head_end, end, within, depth + 1, is_function)

    def _head_end(self, body: Node, parts: list[Node], end: int) -> int:
        """Where the head (signature, docstring) ends: at the line of the first part, with the brace before it."""
        if not parts:
            return end
        first = self.at(parts[0].start_byte)
        line = self._text.rfind("\n", self.at(body.start_byte), first)
        return line + 1 if line >= 0 else first

    def _signature(self, holder: Node, body: Node) -> str:
        start, end = self.at(holder.start_byte), self.at(body.start_byte)
        return _SPACE.sub(" ", self._text[start:end]).strip()


def _with_body(node: Node, depth: int = 0) -> Node | None:
    """``node``, or the largest thing in it (a decorated, exported or assigned one), that has a body."""
    if node.child_by_field_name("body") is not None:
        return node
    if depth == 4 or not node.named_children:
        return None
    largest = max(node.named_children, key=lambda child: child.end_byte - child.start_byte)
    if 2 * (largest.end_byte - largest.start_byte) < node.end_byte - node.start_byte:
        return None
    return _with_body(largest, depth + 1)


def _is_string(node: Node) -> bool:
    return bool(node.named_children) and node.named_children[0].type == "string"
