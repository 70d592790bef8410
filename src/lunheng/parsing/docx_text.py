"""One Word paragraph to text: what a reader sees of its runs, and what hangs on them.

Called by the docx parser. Inserted text is kept, deleted text and field codes are not; formulas become LaTeX between
dollar signs, references to notes become ``[^1]``; text that is set hidden, or white on white, is told apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lunheng.parsing.docx_numbering import W
from lunheng.parsing.omml import is_math, latex

R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_SKIPPED = frozenset(
    f"{W}{name}" for name in ("pPr", "rPr", "del", "moveFrom", "sdtPr", "sdtEndPr", "instrText", "delText", "rt")
)
_SYMBOLS = {"F0A8": "☐", "F06F": "☐", "F0FE": "☒", "F0FC": "✓", "F052": "☑", "F0B7": "•", "F0E0": "→"}
_LINK_FIELD = re.compile(r'HYPERLINK\s+(?:(\\l)\s+)?"([^"]*)"', re.I)
_OFF = ("0", "false", "none", "off")


@dataclass(slots=True)
class Inline:
    """What a paragraph holds. ``notes`` and ``comments`` are ids, ``drawings`` XML elements."""

    parts: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    """("footnote" or "endnote", id)."""
    comments: list[str] = field(default_factory=list)
    drawings: list[Any] = field(default_factory=list)
    formulas: list[str] = field(default_factory=list)
    breaks: int = 0
    """Page breaks that Word remembers before the first text."""
    later_breaks: int = 0
    fields: list[list[Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def only_formula(self) -> str:
        """The LaTeX of a paragraph that is formulas alone, else ""."""
        rest = self.text
        for formula in self.formulas:
            rest = rest.replace(f"${formula}$", "", 1)
        return "\n".join(self.formulas) if self.formulas and not rest.strip(" \t\n.,;，；。") else ""


class InlineReader:
    """Reads the paragraphs of one part of a document."""

    def __init__(self, targets: Mapping[str, str], note_marks: dict[tuple[str, str], str]) -> None:
        self._targets = targets
        """Addresses of external links, by relationship id."""
        self._note_marks = note_marks

    def read(self, paragraph: Any) -> Inline:
        """The content of a ``w:p``."""
        found = Inline()
        white_hides = paragraph.find(f"{W}pPr/{W}shd") is None and next(paragraph.iterancestors(f"{W}tc"), None) is None
        self._children(paragraph, found, white_hides)
        return found

    def _children(self, node: Any, found: Inline, white_hides: bool) -> None:
        for child in node.iterchildren():
            tag = child.tag
            if not isinstance(tag, str) or tag in _SKIPPED:
                continue
            if tag == f"{W}r":
                self._run(child, found, white_hides)
            elif tag == f"{W}hyperlink":
                begin = len(found.parts)
                self._children(child, found, white_hides)
                anchor = child.get(f"{W}anchor")
                target = self._targets.get(child.get(f"{R}id") or "", "") + (f"#{anchor}" if anchor else "")
                _link(found, begin, target)
            elif tag == f"{W}fldSimple":
                begin = len(found.parts)
                self._children(child, found, white_hides)
                _link(found, begin, _field_target(child.get(f"{W}instr") or ""))
            elif is_math(tag):
                for formula in _formulas(child):
                    found.formulas.append(formula)
                    found.parts.append(f"${formula}$")
            elif tag == f"{MC}AlternateContent":
                choice = child.find(f"{MC}Choice")
                self._children(choice if choice is not None else child, found, white_hides)
            elif tag == f"{W}ruby":
                base = child.find(f"{W}rubyBase")
                if base is not None:
                    self._children(base, found, white_hides)
            else:
                self._children(child, found, white_hides)

    def _run(self, run: Any, found: Inline, white_hides: bool) -> None:
        into = found.hidden if _is_hidden(run, white_hides) else found.parts
        for node in run.iterchildren():
            tag = node.tag
            if tag == f"{W}t":
                into.append(node.text or "")
            elif tag == f"{W}tab":
                into.append("\t")
            elif tag in (f"{W}br", f"{W}cr"):
                into.append("\n" if node.get(f"{W}type") in (None, "textWrapping") else "")
            elif tag == f"{W}noBreakHyphen":
                into.append("-")
            elif tag == f"{W}sym":
                into.append(_SYMBOLS.get((node.get(f"{W}char") or "").upper(), ""))
            elif tag == f"{W}lastRenderedPageBreak":
                if found.text.strip():
                    found.later_breaks += 1
                else:
                    found.breaks += 1
            elif tag in (f"{W}footnoteReference", f"{W}endnoteReference"):
                kind = "footnote" if tag == f"{W}footnoteReference" else "endnote"
                note = (kind, node.get(f"{W}id") or "")
                into.append(f"[^{self._mark(note)}]")
                found.notes.append(note)
            elif tag == f"{W}commentReference":
                found.comments.append(node.get(f"{W}id") or "")
            elif tag in (f"{W}drawing", f"{W}pict", f"{W}object"):
                found.drawings.append(node)
            elif tag == f"{W}fldChar":
                _field(node.get(f"{W}fldCharType") or "", found)
            elif tag == f"{W}instrText" and found.fields:
                found.fields[-1][0] += node.text or ""
            elif tag in (f"{MC}AlternateContent", f"{W}ruby"):
                holder = node.find(f"{MC}Choice" if tag != f"{W}ruby" else f"{W}rubyBase")
                if holder is not None and tag == f"{W}ruby":
                    self._children(holder, found, white_hides)
                elif holder is not None:
                    found.drawings.extend(holder.iterchildren(f"{W}drawing", f"{W}pict"))

    def _mark(self, note: tuple[str, str]) -> str:
        """Notes are numbered in the order of their references; endnotes in small Roman numerals, as Word does."""
        if note not in self._note_marks:
            from lunheng.parsing.docx_numbering import spell

            before = sum(kind == note[0] for kind, _ in self._note_marks)
            self._note_marks[note] = spell(before + 1, "decimal" if note[0] == "footnote" else "lowerRoman")
        return self._note_marks[note]


def _formulas(node: Any) -> list[str]:
    from lunheng.parsing.omml import M

    inner = list(node.iterchildren(f"{M}oMath")) if node.tag == f"{M}oMathPara" else [node]
    return [formula for formula in (latex(one) for one in inner) if formula]


def _link(found: Inline, begin: int, target: str) -> None:
    words = " ".join("".join(found.parts[begin:]).split())
    if words and target:
        found.links.append((words, target))


def _field(kind: str, found: Inline) -> None:
    """Complex fields: begin, code, separate, result, end; only a result is text, a link's code its target."""
    if kind == "begin":
        found.fields.append(["", len(found.parts)])
    elif kind == "separate" and found.fields:
        found.fields[-1][1] = len(found.parts)
    elif kind == "end" and found.fields:
        code, begin = found.fields.pop()
        _link(found, begin, _field_target(code))


def _field_target(code: str) -> str:
    match = _LINK_FIELD.search(code)
    return ("#" if match.group(1) else "") + match.group(2) if match else ""


def _is_hidden(run: Any, white_hides: bool) -> bool:
    properties = run.find(f"{W}rPr")
    if properties is None:
        return False
    vanish = properties.find(f"{W}vanish")
    if vanish is not None and vanish.get(f"{W}val") not in _OFF:
        return True
    colour = properties.find(f"{W}color")
    return (
        white_hides
        and colour is not None
        and (colour.get(f"{W}val") or "").upper() in ("FFFFFF", "FEFEFE")
        and properties.find(f"{W}shd") is None
        and properties.find(f"{W}highlight") is None
    )


def is_bold(paragraph: Any) -> bool:
    """Whether every run that has text is set bold in the run itself."""
    runs = [r for r in paragraph.iter(f"{W}r") if any((t.text or "").strip() for t in r.iterchildren(f"{W}t"))]

    def bold(run: Any) -> bool:
        mark = run.find(f"{W}rPr/{W}b")
        return mark is not None and mark.get(f"{W}val") not in _OFF

    return bool(runs) and all(bold(run) for run in runs)


def font_size(paragraph: Any) -> float:
    """Points of the first run that has text; 0 where it does not say."""
    for run in paragraph.iter(f"{W}r"):
        size = run.find(f"{W}rPr/{W}sz")
        if size is not None and any((t.text or "").strip() for t in run.iterchildren(f"{W}t")):
            value = size.get(f"{W}val") or ""
            return int(value) / 2 if value.isdecimal() and len(value) < 6 else 0.0
    return 0.0
