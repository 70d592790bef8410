"""Puts together what the RTF reader finds: paragraphs, headings, lists, tables, notes, links.

Called by the RTF parser only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.tables import markdown_table
from lunheng.types import ElementRole

_HEADING = re.compile(r"(?:heading|标题)\s*(\d)", re.I)
_LINK = re.compile(r'\s*HYPERLINK\s+"([^"]+)"')
_TYPED_MARK = re.compile(r"([•·●▪◦‣]|\d{1,3}[.)、])\t\s*")
_INDENT_STEP = 360
"""Twips: what programs indent a level of a list by, where they do not say its level."""
_CELL_LIMIT = 1000


@dataclass(frozen=True)
class Paragraph:
    """The properties of a paragraph that tell what it is."""

    style: int = 0
    outline: int | None = None
    depth: int = 0
    in_list: bool = False
    in_table: bool = False
    indent: int = 0


@dataclass
class _Flow:
    """A run of text under way: the document's, or a note's inside it."""

    role: ElementRole = "body"
    text: str = ""
    hidden: str = ""
    author: str = ""


class RtfLayout:
    """Collects text and turns it into elements when a paragraph, a row or a note ends."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder
        self._styles: dict[int, tuple[str, int | None]] = {}
        self._flow = _Flow()
        self._outer: list[_Flow] = []
        self._notes: list[tuple[ElementRole, str]] = []
        self._table_notes: list[tuple[ElementRole, str]] = []
        self._note_count = 0
        self._list: list[str] = []
        self._mark: str | None = None
        self._links: list[tuple[str, str]] = []
        self._link: tuple[int, str] | None = None
        self._author = ""
        self._cell = ""
        self._row: list[str] = []
        self._rows: list[list[str]] = []
        self._merges: list[str] = []
        self._merge = ""

    def add_style(self, number: int, name: str, outline: int | None) -> None:
        """Learn what a style of the style sheet is called."""
        self._styles[number] = (name.strip().rstrip(";"), outline)

    def text(self, text: str, paragraph: Paragraph, hidden: bool) -> None:
        if hidden:
            self._flow.hidden += text
        else:
            self._flow.text += text

    def list_mark(self, text: str) -> None:
        self._mark = text.strip()

    def begin_link(self, instruction: str) -> None:
        """A field begins whose result is the words of a link."""
        if match := _LINK.match(instruction):
            self._link = (len(self._flow.text), match.group(1))

    def end_link(self) -> None:
        if self._link is not None:
            words = _joined(self._flow.text[self._link[0] :]).strip()
            self._links += [(words, self._link[1])] if words else []
            self._link = None

    def comment_author(self, name: str) -> None:
        self._author = name.strip()

    def begin_note(self, role: ElementRole) -> None:
        """Text that stands apart begins; a footnote leaves its number where it is called."""
        self._outer.append(self._flow)
        if role == "footnote":
            self._note_count += 1
            self._flow.text += f"[^{self._note_count}]"
        self._flow = _Flow(role)
        if role == "footnote":
            self._flow.author = f"[^{self._note_count}]:"
        elif role == "comment" and self._author:
            self._flow.author, self._author = f"{self._author}:", ""

    def end_note(self, paragraph: Paragraph) -> None:
        note = self._flow
        if self._outer:
            self._flow = self._outer.pop()
        text = _joined(note.text).strip()
        if text:
            self._notes.append((note.role, f"{note.author} {text}".strip()))

    def end_paragraph(self, paragraph: Paragraph) -> None:
        if self._outer:
            self._flow.text += "\n"
            return
        if paragraph.in_table:
            self._cell += self._taken() + "\n"
            return
        self._end_table()
        hidden = self._flow.hidden
        text = _joined(self._flow.text).strip("\n")
        links, self._links, self._link = self._links, [], None
        self._flow = _Flow()
        level = self._level(paragraph)
        if text.strip() and level is not None:
            self._end_list()
            self._builder.heading(text.replace("\t", " "), level)
        elif text.strip():
            self._body(text, paragraph, links)
        self._mark = None
        if hidden.strip():
            self._end_list()
            self._builder.add("paragraph", _joined(hidden), hidden=True)
            self._builder.warn("text hidden from the reader was found and marked as hidden")
        self._add_notes(self._notes)
        self._notes = []

    def table_word(self, word: str, paragraph: Paragraph) -> None:
        if self._outer:
            self._flow.text += "\n" if word in ("cell", "row") else ""
        elif word == "trowd":
            self._merges, self._merge = [], ""
        elif word == "cellx":
            self._merges.append(self._merge)
            self._merge = ""
        elif word in ("clmrg", "clvmrg"):
            self._merge = word
        elif word == "cell":
            self._row.append((self._cell + self._taken()).strip())
            self._cell = ""
        elif word == "row":
            self._end_row()

    def finish(self) -> None:
        while self._outer:  # a file cut short inside a note
            self.end_note(Paragraph())
        if self._cell or self._row:
            self._row.append((self._cell + self._taken()).strip())
            self._end_row()
        self.end_paragraph(Paragraph())
        self._end_table()
        self._end_list()

    def _taken(self) -> str:
        text, self._flow.text = _joined(self._flow.text), ""
        self._links, self._link, self._mark = [], None, None
        return text

    def _level(self, paragraph: Paragraph) -> int | None:
        name, outline = self._styles.get(paragraph.style, ("", None))
        if paragraph.outline is not None:
            return paragraph.outline + 1
        if match := _HEADING.match(name):
            return max(1, int(match.group(1)))
        if name.lower() in ("title", "标题"):
            return 1
        return outline + 1 if outline is not None else None

    def _body(self, text: str, paragraph: Paragraph, links: list[tuple[str, str]]) -> None:
        typed = _TYPED_MARK.match(text)
        if paragraph.in_list or self._mark or typed:
            mark = self._mark or (typed.group(1) if typed else "")
            depth = paragraph.depth or (max(0, paragraph.indent // _INDENT_STEP - 1) if typed else 0)
            body = text[typed.end() :] if typed and not self._mark else text
            shown = mark if mark and mark[0].isalnum() and mark[0] != "o" else "-"
            self._list.append(f"{'  ' * min(depth, 20)}{shown} {' '.join(body.split())}")
        else:
            self._end_list()
            self._builder.add("paragraph", text, links=links)

    def _add_notes(self, notes: list[tuple[ElementRole, str]]) -> None:
        if notes:
            self._end_list()
        for role, text in notes:
            self._builder.add("paragraph", text, role=role)

    def _end_list(self) -> None:
        if self._list:
            self._builder.add("list", "\n".join(self._list))
            self._list = []

    def _end_row(self) -> None:
        self._end_list()
        above = self._rows[-1] if self._rows else []
        for at, merge in enumerate(self._merges[: len(self._row)][:_CELL_LIMIT]):
            if merge == "clmrg" and at:
                self._row[at] = self._row[at] or self._row[at - 1]
            elif merge == "clvmrg" and at < len(above):
                self._row[at] = self._row[at] or above[at]
        self._rows.append(self._row)
        self._row = []
        self._table_notes += self._notes
        self._notes = []

    def _end_table(self) -> None:
        if self._rows:
            self._builder.add("table", markdown_table(self._rows))
            self._rows = []
            self._add_notes(self._table_notes)
            self._table_notes = []


def _joined(text: str) -> str:
    """Pairs of surrogates become the character that they stand for; half a pair becomes nothing."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
