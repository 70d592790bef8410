"""The words of LaTeX: macros of style gone, accents and symbols as characters, formulas as they are.

Called by the TeX parser only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

_NO_TEXT = frozenset(
    """
    label index vspace hspace includegraphics bibliographystyle bibliography input include pagestyle thispagestyle
    setlength addtolength setcounter addtocounter usepackage noindent documentclass newcommand renewcommand
    providecommand newenvironment hypersetup def glossary vskip hskip smallskip medskip bigskip phantom hphantom
    vphantom thanks selectlanguage raggedright raggedleft centering arraybackslash linewidth textwidth columnwidth
    """.split()  # noqa: SIM905
)
_REFERENCES = frozenset(["ref", "eqref", "pageref", "autoref", "cref", "Cref", "nameref"])
_BREAKS = frozenset(["\\", "newline", "linebreak", "and"])


class TexInline:
    """Turns nodes into text; the links and footnotes that it meets are kept until they are taken."""

    def __init__(self) -> None:
        self._links: list[tuple[str, str]] = []
        self._notes: list[str] = []
        self._count = 0

    def taken(self) -> tuple[list[tuple[str, str]], list[str]]:
        """The links and footnotes since the last call."""
        links, notes, self._links, self._notes = self._links, self._notes, [], []
        return links, notes

    def text(self, nodes: Iterable[Any]) -> str:
        """The words of ``nodes``, which may be plain strings too; a line end that is meant is a NUL."""
        parts: list[str] = []
        for node in without_definitions(nodes):
            if isinstance(node, str):
                parts.append(node)
            elif node is not None:
                parts.append(self._node(node))
        return "".join(parts)

    def _node(self, node: Any) -> str:
        kind = type(node).__name__
        if kind == "LatexCharsNode":
            return str(node.chars)
        if kind in ("LatexGroupNode", "LatexEnvironmentNode"):
            return self.text(node.nodelist or ())
        if kind == "LatexMathNode":
            return str(node.latex_verbatim())
        if kind == "LatexMacroNode":
            return self._macro(node)
        if kind == "LatexSpecialsNode":
            return {"~": "\u00a0", "&": " ", "\n\n": "\0"}.get(node.specials_chars) or _symbol(node)
        return ""  # a comment

    def _macro(self, node: Any) -> str:
        name, given = node.macroname, arguments(node)
        after = node.macro_post_space if not given else ""
        if name in _NO_TEXT:
            return ""
        if name in _BREAKS:
            return "\0"
        if name in ("footnote", "footnotetext") and given:
            self._count += 1
            self._notes.append(f"[^{self._count}]: {self.text(given[-1:])}")
            return f"[^{self._count}]" if name == "footnote" else ""
        if name.startswith(("cite", "parencite", "textcite")):
            return f"[{self.text(given[-1:])}]"
        if name in _REFERENCES:
            return self.text(given[-1:])
        if name == "href" and len(given) > 1:
            words = self.text(given[1:])
            self._links.append((words, given[0].latex_verbatim().strip("{}")))
            return words
        if name == "url" and given:
            return str(given[0].latex_verbatim()).strip("{}")
        words = self.text(given[-1:]) if not _is_accent(name) else ""
        if words.strip():
            return words + after
        return _symbol(node) + (" " if after and not _symbol(node).isspace() else "")


def without_definitions(nodes: Iterable[Any]) -> Iterator[Any]:
    """The nodes without ``\\def\\name{...}``, which is three of them."""
    waiting: list[str] = []
    for node in nodes:
        kind = type(node).__name__
        if kind == "LatexMacroNode" and node.macroname in ("def", "let", "gdef", "edef"):
            waiting = ["LatexMacroNode", "LatexMacroNode" if node.macroname == "let" else "LatexGroupNode"]
        elif waiting and kind == waiting[0]:
            waiting.pop(0)
        elif waiting and kind in ("LatexCharsNode", "LatexCommentNode"):
            continue  # its parameters
        else:
            waiting = []
            yield node


def name_of(node: Any) -> str:
    """The name of a macro or an environment, "" for another node."""
    return str(getattr(node, "macroname", None) or getattr(node, "environmentname", None) or "")


def arguments(node: Any) -> list[Any]:
    """The arguments that are there."""
    parsed = getattr(node, "nodeargd", None)
    found = [a for a in (parsed.argnlist or ()) if a is not None] if parsed is not None else []
    return [a for a in found if type(a).__name__ != "LatexCharsNode" or a.chars != "*"]


@cache
def latex_context() -> Any:
    """What pylatexenc knows of macros, and the tables and footnotes that it does not."""
    from pylatexenc.latexwalker import get_default_latex_context_db
    from pylatexenc.macrospec import EnvironmentSpec, MacroSpec

    context = get_default_latex_context_db()
    context.add_context_category(
        "lunheng",
        prepend=True,
        environments=[
            EnvironmentSpec("longtable", "[{"),
            EnvironmentSpec("tabularx", "{[{"),
            EnvironmentSpec("tabulary", "{{"),
            EnvironmentSpec("xltabular", "[{{"),
            EnvironmentSpec("minipage", "[[[{"),
            EnvironmentSpec("wrapfigure", "[{[{"),
            EnvironmentSpec("multicols", "{"),
        ],
        macros=[
            MacroSpec("multirow", "[{[{[{"),
            MacroSpec("multicolumn", "{{{"),
            MacroSpec("href", "{{"),
            MacroSpec("url", "{"),
            MacroSpec("footnotetext", "[{"),
            MacroSpec("caption", "*[{"),
            MacroSpec("noalign", "{"),
            MacroSpec("cmidrule", "[{"),
            MacroSpec("cline", "{"),
            MacroSpec("textcolor", "[{{"),
            MacroSpec("parbox", "[[[{{"),
            MacroSpec("part", "*[{"),
            MacroSpec("author", "[{"),
            MacroSpec("title", "[{"),
            MacroSpec("date", "{"),
            *(MacroSpec(name, "*[[{") for name in ("cite", "citep", "citet", "parencite", "textcite", "autocite")),
            *(MacroSpec(name, "{") for name in ("autoref", "cref", "Cref", "nameref", "eqref", "pageref")),
        ],
    )
    return context


def _is_accent(name: str) -> bool:
    return len(name) == 1 and name in "'`\"^~=.cHuvdbkrt"


def _symbol(node: Any) -> str:
    """The character that a macro stands for, by pylatexenc's tables."""
    from pylatexenc.latex2text import LatexNodes2Text

    if name_of(node).endswith("TeX"):
        return name_of(node)
    try:
        return str(LatexNodes2Text(math_mode="verbatim", keep_comments=False).node_to_text(node))
    except (IndexError, AttributeError, TypeError, ValueError):
        return ""  # a macro without the arguments that its symbol needs
