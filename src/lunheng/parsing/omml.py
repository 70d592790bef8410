"""Formulas of Office documents (OMML, ECMA-376 part 1, 22.1) as LaTeX.

Called by the docx and pptx parsers. Letters and symbols stay the characters that they are; italic letters of the
mathematical alphabets become plain ones, so that a search finds them.
"""

from __future__ import annotations

import unicodedata
from typing import Any

M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_NARY = {"∫": r"\int", "∬": r"\iint", "∭": r"\iiint", "∮": r"\oint", "∑": r"\sum", "∏": r"\prod", "⋃": r"\bigcup"}
_ACCENTS = {
    "\u0302": r"\hat",
    "\u0303": r"\tilde",
    "\u0304": r"\bar",
    "\u0305": r"\overline",
    "\u0307": r"\dot",
    "\u0308": r"\ddot",
    "\u20d7": r"\vec",
    "\u0301": r"\acute",
    "\u0300": r"\grave",
}
_FUNCTIONS = frozenset(
    ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "log", "ln")
) | {"exp", "lim", "max", "min", "sup", "inf", "det", "gcd"}
_DELIMITERS = {"{": r"\{", "}": r"\}", "‖": r"\|", "⟨": r"\langle ", "⟩": r"\rangle ", "": "."}


def is_math(tag: object) -> bool:
    """Whether a tag begins a formula."""
    return tag in (f"{M}oMath", f"{M}oMathPara")


def latex(node: Any) -> str:
    """The formula below ``node`` as LaTeX, without dollar signs."""
    return " ".join(_children(node).split())


def _children(node: Any) -> str:
    return "".join(_latex(child) for child in node.iterchildren() if isinstance(child.tag, str))


def _latex(node: Any) -> str:
    name = node.tag.rpartition("}")[2]
    if node.tag == f"{M}r":
        return "".join(unicodedata.normalize("NFKC", t.text or "") for t in node.iterchildren(f"{M}t"))
    if name == "t" and not node.tag.startswith(M):
        return node.text or ""
    if name.endswith("Pr") or name in ("del", "moveFrom"):
        return ""
    maker = _MAKERS.get(name) if node.tag.startswith(M) else None
    return maker(node) if maker else _children(node)


def _part(node: Any, name: str) -> str:
    child = node.find(f"{M}{name}")
    return _children(child).strip() if child is not None else ""


def _property(node: Any, name: str, default: str) -> str:
    child = node.find(f"{M}{node.tag.rpartition('}')[2]}Pr/{M}{name}")
    value = child.get(f"{M}val") if child is not None else None
    return default if value is None else str(value)


def _group(text: str) -> str:
    return f"{{{text}}}"


def _base(text: str) -> str:
    return text if len(text) == 1 else _group(text)


def _fraction(node: Any) -> str:
    top, bottom = _part(node, "num"), _part(node, "den")
    kind = _property(node, "type", "bar")
    if kind == "lin":
        return f"{top}/{bottom}"
    return rf"\binom{{{top}}}{{{bottom}}}" if kind == "noBar" else rf"\frac{{{top}}}{{{bottom}}}"


def _scripts(node: Any) -> str:
    sub, sup = _part(node, "sub"), _part(node, "sup")
    marks = (f"_{_base(sub)}" if sub else "") + (f"^{_base(sup)}" if sup else "")
    base = _part(node, "e")
    return f"{{}}{marks}{base}" if node.tag == f"{M}sPre" else f"{_base(base)}{marks}"


def _root(node: Any) -> str:
    degree = _part(node, "deg")
    return rf"\sqrt[{degree}]{{{_part(node, 'e')}}}" if degree else rf"\sqrt{{{_part(node, 'e')}}}"


def _nary(node: Any) -> str:
    sign = _property(node, "chr", "∫")
    sub, sup = _part(node, "sub"), _part(node, "sup")
    limits = (f"_{_group(sub)}" if sub else "") + (f"^{_group(sup)}" if sup else "")
    return f"{_NARY.get(sign, sign)}{limits} {_part(node, 'e')}"


def _delimited(node: Any) -> str:
    left, right = _property(node, "begChr", "("), _property(node, "endChr", ")")
    inner = _property(node, "sepChr", "|").join(_children(e).strip() for e in node.iterchildren(f"{M}e"))
    if left == "{" and not right:
        return rf"\left\{{{inner}\right."
    return f"{_DELIMITERS.get(left, left)}{inner}{_DELIMITERS.get(right, right) if right else ''}"


def _function(node: Any) -> str:
    name = _part(node, "fName")
    return f"{chr(92) + name if name in _FUNCTIONS else name} {_part(node, 'e')}"


def _limit_below(node: Any) -> str:
    base = _part(node, "e")
    base = chr(92) + base if base in _FUNCTIONS else base
    return f"{base}_{_group(_part(node, 'lim'))}"


def _limit_above(node: Any) -> str:
    return rf"\overset{{{_part(node, 'lim')}}}{{{_part(node, 'e')}}}"


def _accent(node: Any) -> str:
    return f"{_ACCENTS.get(_property(node, 'chr', chr(0x302)), chr(92) + 'hat')}{_group(_part(node, 'e'))}"


def _bar(node: Any) -> str:
    mark = r"\overline" if _property(node, "pos", "bot") == "top" else r"\underline"
    return f"{mark}{_group(_part(node, 'e'))}"


def _matrix(node: Any) -> str:
    rows = (" & ".join(_children(e).strip() for e in row.iterchildren(f"{M}e")) for row in node.iterchildren(f"{M}mr"))
    return rf"\begin{{matrix}}{(chr(92) * 2 + ' ').join(rows)}\end{{matrix}}"


def _equations(node: Any) -> str:
    rows = (_children(e).strip() for e in node.iterchildren(f"{M}e"))
    return rf"\begin{{aligned}}{(chr(92) * 2 + ' ').join(rows)}\end{{aligned}}"


_MAKERS = {
    "f": _fraction,
    "sSup": _scripts,
    "sSub": _scripts,
    "sSubSup": _scripts,
    "sPre": _scripts,
    "rad": _root,
    "nary": _nary,
    "d": _delimited,
    "func": _function,
    "limLow": _limit_below,
    "limUpp": _limit_above,
    "acc": _accent,
    "bar": _bar,
    "m": _matrix,
    "eqArr": _equations,
}
