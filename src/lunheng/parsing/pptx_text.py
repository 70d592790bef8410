"""The text of a PowerPoint shape: paragraphs with their bullets and levels, links, formulas.

Called by the pptx parser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lunheng.parsing.docx_numbering import spell
from lunheng.parsing.omml import is_math, latex

A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_NUMBERS = {
    "arabic": "decimal",
    "alphaLc": "lowerLetter",
    "alphaUc": "upperLetter",
    "romanLc": "lowerRoman",
    "romanUc": "upperRoman",
    "circleNum": "decimalEnclosedCircle",
    "ea1Chs": "chineseCounting",
    "ea1Cht": "chineseCounting",
    "ea1Jpn": "chineseCounting",
}
_ENDS = {"Period": "{}.", "ParenR": "{})", "ParenBoth": "({})", "Plain": "{}", "Minus": "{} -"}


@dataclass(slots=True)
class Paragraph:
    """One paragraph. ``mark`` is "" where it has no bullet, "-" or its number where it has."""

    text: str
    level: int = 0
    mark: str = ""
    links: list[tuple[str, str]] = field(default_factory=list)
    formula: str = ""
    """LaTeX, where it is a formula alone."""


def paragraphs(body: Any, targets: Mapping[str, str], bulleted: bool) -> list[Paragraph]:
    """The paragraphs that have text of a ``txBody``; ``bulleted``: they have bullets unless they say otherwise."""
    found: list[Paragraph] = []
    counts: dict[int, int] = {}
    for node in body.iterchildren(f"{A}p"):
        paragraph = _read(node, targets)
        properties = node.find(f"{A}pPr")
        level = properties.get("lvl", "0") if properties is not None else "0"
        paragraph.level = min(int(level), 8) if level.isdecimal() and len(level) < 3 else 0
        numbered = properties.find(f"{A}buAutoNum") if properties is not None else None
        for deeper in [depth for depth in counts if depth > paragraph.level]:
            del counts[deeper]
        if not paragraph.text.strip():
            continue
        if numbered is not None:
            start = numbered.get("startAt", "1")
            first = int(start) if start.isdecimal() and len(start) < 6 else 1
            counts[paragraph.level] = counts.get(paragraph.level, first - 1) + 1
            paragraph.mark = _number(counts[paragraph.level], numbered.get("type") or "arabicPeriod")
        else:
            counts.pop(paragraph.level, None)
            none = properties is not None and properties.find(f"{A}buNone") is not None
            own = properties is not None and any(properties.find(f"{A}{n}") is not None for n in ("buChar", "buBlip"))
            paragraph.mark = "-" if own or (bulleted and not none) else ""
        found.append(paragraph)
    return found


def _read(node: Any, targets: Mapping[str, str]) -> Paragraph:
    parts: list[str] = []
    found = Paragraph("")
    formulas: list[str] = []
    for child in node.iterchildren():
        if child.tag == f"{A}r":
            text = child.findtext(f"{A}t") or ""
            parts.append(text)
            link = child.find(f"{A}rPr/{A}hlinkClick")
            target = targets.get(link.get(f"{R}id") or "") if link is not None else None
            if target and text.strip():
                found.links.append((" ".join(text.split()), target))
        elif child.tag == f"{A}br":
            parts.append("\n")
        elif child.tag == f"{A}fld":
            parts.append("" if child.get("type") == "slidenum" else child.findtext(f"{A}t") or "")
        elif isinstance(child.tag, str):
            for math in child.iter():
                if is_math(math.tag) and not is_math(math.getparent().tag):
                    formulas.append(latex(math))
                    parts.append(f"${formulas[-1]}$")
    found.text = "".join(parts).replace("\v", "\n").strip()
    if len(formulas) == 1 and found.text == f"${formulas[0]}$":
        found.formula = formulas[0]
    return found


def _number(count: int, kind: str) -> str:
    for ending, form in _ENDS.items():
        if kind.endswith(ending):
            base = kind[: -len(ending)]
            if base.startswith("ea1") and ending == "Period":
                form = "{}、"
            return form.format(spell(count, _NUMBERS.get(base, "decimal")))
    return f"{spell(count, _NUMBERS.get(kind, 'decimal'))}."
