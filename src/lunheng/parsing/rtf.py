"""Rich Text Format: headings by style or outline level, lists, tables, notes, in any code page.

Called by ``dispatch`` for rtf and by the Outlook parser. An own reader (RTF 1.9.1), since the libraries give
plain text: no headings, no cells, no notes, and Chinese in code page 936 only where it is declared once and
for all, while Word declares it with each font.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.office import meaningful_title
from lunheng.parsing.rtf_layout import Paragraph, RtfLayout
from lunheng.types import Document, ElementRole, Limits

_TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([\r\n\x00]+)|([^\\{}\r\n\x00]+)|\\"
)
_CHARSETS = {
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    134: "gb18030",
    136: "big5hkscs",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
}
_CODE_PAGES = {936: "gb18030", 950: "big5hkscs", 65001: "utf-8", 10000: "mac_roman", 54936: "gb18030"}
_CHARACTERS = {
    "tab": "\t",
    "line": "\n",
    "lbr": "\n",
    "emdash": "—",
    "endash": "–",
    "bullet": "•",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "emspace": "\u2003",
    "enspace": "\u2002",
    "qmspace": "\u2005",
    "nestcell": "\n",
    "zwj": "\u200d",
    "zwnj": "\u200c",
}
_SKIPPED = re.compile(
    r"(?:colortbl|pict|header[lrf]?|footer[lrf]?|filetbl|revtbl|sn|sv|tc|xe|a?ftnsepc?|private|nonshppict"
    r"|list(?:override)?table|pntxt[ab])$"
)
"""Destinations without text of the document; of those behind an ``\\*`` all but ``_KEPT`` are skipped anyway."""
_KEPT = frozenset({"shpinst", "shptxt", "fldinst", "annotation", "footnote", "do", "atnauthor", "pn", "result"})
"""Destinations behind an ``\\*`` that hold text all the same."""
_NOTES: dict[str, ElementRole] = {
    "footnote": "footnote",
    "annotation": "comment",
    "shptxt": "body",
    "dptxbxtext": "body",
}
_INFO = frozenset({"title", "author", "creatim", "revtim"})
_DATE_PARTS = frozenset({"yr", "mo", "dy", "hr", "min"})


@dataclass
class _State:
    """What a group inherits and what ends with it."""

    destination: str = ""
    encoding: str | None = None
    skip_after_unicode: int = 1
    hidden: bool = False
    deleted: bool = False
    paragraph: Paragraph = field(default_factory=Paragraph)


class RtfParser:
    """Reads rtf."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        builder = DocumentBuilder(source, "rtf", data)
        add_rtf(data, builder)
        return builder.build()


def add_rtf(data: bytes, builder: DocumentBuilder) -> None:
    """Add the elements of an RTF text, and its properties, to ``builder``."""
    _Reader(data.decode("latin-1"), builder).run()


class _Reader:
    """Goes over the tokens once, with a stack of groups."""

    def __init__(self, text: str, builder: DocumentBuilder) -> None:
        self._text = text
        self._builder = builder
        self._layout = RtfLayout(builder)
        self._state = _State()
        self._stack: list[_State] = []
        self._starred = False
        self._default = "cp1252"
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._bytes = bytearray()
        self._to_skip = 0
        self._captured = ""
        self._date: dict[str, int] = {}

    def run(self) -> None:
        position, size = 0, len(self._text)
        while position < size:
            match = _TOKEN.match(self._text, position)
            if match is None:  # cannot be: the last alternatives take any character
                break
            position = match.end()
            word, number, code, symbol, brace, _, literal = match.groups()
            if code is not None:
                if self._to_skip:
                    self._to_skip -= 1
                else:
                    self._bytes.append(int(code, 16))
            elif literal is not None:
                skipped = min(self._to_skip, len(literal))
                self._to_skip -= skipped
                self._bytes += literal[skipped:].encode("latin-1")
            elif word is not None:
                if word == "bin" and number:
                    position += max(0, int(number))
                elif word == "u" and number:
                    self._unicode(int(number))
                else:
                    self._flush()
                    self._word(word, int(number) if number else None)
            elif brace == "{":
                self._flush()
                self._stack.append(self._state)
                self._state = replace(self._state, paragraph=self._state.paragraph)
                self._starred = False
            elif brace == "}":
                self._flush()
                self._close()
            elif symbol is not None:
                self._flush()
                self._symbol(symbol)
        self._flush()
        self._layout.finish()

    def _flush(self) -> None:
        self._to_skip = 0
        if self._bytes:
            encoding = self._state.encoding or self._default
            try:
                text = bytes(self._bytes).decode(encoding)
            except UnicodeDecodeError:
                # Text in Western letters may stand in a Chinese font, and the other way about.
                text = bytes(self._bytes).decode(self._default, "replace")
                if self._state.encoding and "\ufffd" in text:
                    text = bytes(self._bytes).decode(self._state.encoding, "replace")
            self._bytes.clear()
            self._put(text)

    def _put(self, text: str) -> None:
        destination = self._state.destination
        if destination in ("skip", "info"):
            return
        if destination in ("fonttbl", "stylesheet", "fldinst", "listtext", "atnauthor", *_INFO):
            self._captured += text
        elif not self._state.deleted:
            self._layout.text(text, self._state.paragraph, self._state.hidden)

    def _unicode(self, number: int) -> None:
        to_skip = self._to_skip
        self._flush()
        if not to_skip:
            self._put(chr(number % 65536 if number < 0 else min(number, 0x10FFFF)))
            self._to_skip = self._state.skip_after_unicode
        else:
            self._to_skip = to_skip - 1

    def _symbol(self, symbol: str) -> None:
        if symbol == "*":
            self._starred = True
        elif symbol == "~":
            self._put("\u00a0")
        elif symbol == "_":
            self._put("-")
        elif symbol in "\\{}":
            self._put(symbol)
        elif symbol in "\r\n":
            self._end_paragraph()

    def _word(self, word: str, number: int | None) -> None:
        state, starred, self._starred = self._state, self._starred, False
        if state.destination == "skip":
            return
        if _SKIPPED.match(word) or (starred and word not in _KEPT):
            state.destination = "skip"
        elif word in _NOTES:
            state.destination, state.hidden, state.paragraph = word, False, Paragraph()
            self._layout.begin_note(_NOTES[word])
        elif word in ("fonttbl", "stylesheet", "info", "fldinst", "listtext", "pntext", "atnauthor", *_INFO):
            state.destination = "listtext" if word == "pntext" else word
            self._captured = ""
        elif word == "fldrslt":
            state.destination = "fldrslt"
        elif word in _DATE_PARTS and state.destination in _INFO:
            self._date[word] = number or 0
        elif state.destination == "stylesheet" or word in ("pard", "s", "outlinelevel", "ilvl", "ls", "intbl", "li"):
            self._paragraph_word(word, number)
        elif word in _CHARACTERS:
            self._put(_CHARACTERS[word])
        elif word in ("par", "sect", "page", "column"):
            self._end_paragraph()
        elif word in ("cell", "row", "trowd", "cellx", "clmgf", "clmrg", "clvmgf", "clvmrg"):
            self._layout.table_word(word, state.paragraph)
        else:
            self._character_word(word, number)

    def _paragraph_word(self, word: str, number: int | None) -> None:
        paragraph = self._state.paragraph
        if word == "pard":
            self._state.paragraph = Paragraph()
        elif word == "s":
            self._state.paragraph = replace(paragraph, style=number or 0)
        elif word == "outlinelevel":
            self._state.paragraph = replace(paragraph, outline=number if number is not None and number < 9 else None)
        elif word == "ilvl":
            self._state.paragraph = replace(paragraph, depth=max(0, min(number or 0, 20)))
        elif word == "ls":
            self._state.paragraph = replace(paragraph, in_list=bool(number))
        elif word == "intbl":
            self._state.paragraph = replace(paragraph, in_table=True)
        elif word == "li":
            self._state.paragraph = replace(paragraph, indent=max(0, number or 0))

    def _character_word(self, word: str, number: int | None) -> None:
        state = self._state
        if word == "f":
            self._font = number or 0
            if state.destination != "fonttbl":
                state.encoding = self._fonts.get(self._font)
        elif word == "fcharset" and state.destination == "fonttbl":
            if encoding := _CHARSETS.get(number or 0):
                self._fonts[self._font] = state.encoding = encoding
        elif word == "ansicpg":
            self._default = _code_page(number)
        elif word == "mac":
            self._default = "mac_roman"
        elif word == "uc":
            state.skip_after_unicode = max(0, number if number is not None else 1)
        elif word == "v":
            state.hidden = number != 0
        elif word == "deleted":
            state.deleted = number != 0
        elif word == "plain":
            state.hidden = state.deleted = False
            state.encoding = None

    def _end_paragraph(self) -> None:
        if self._state.destination not in ("skip", "info", "stylesheet", "fonttbl", "fldinst"):
            self._layout.end_paragraph(self._state.paragraph)

    def _close(self) -> None:
        if not self._stack:
            return  # one brace too many: damage that costs nothing
        ended, self._state = self._state, self._stack.pop()
        if ended.destination == "stylesheet" and self._state.destination == "stylesheet":
            self._layout.add_style(ended.paragraph.style, self._captured, ended.paragraph.outline)
            self._captured = ""
        if ended.destination == self._state.destination:
            # A paragraph's properties outlast the groups inside it, and end with a group that closed it.
            return
        if ended.destination == "listtext":
            self._layout.list_mark(self._captured)
        elif ended.destination == "fldinst":
            self._layout.begin_link(self._captured)
        elif ended.destination == "fldrslt":
            self._layout.end_link()
        elif ended.destination == "atnauthor":
            self._layout.comment_author(self._captured)
        elif ended.destination in _NOTES:
            self._layout.end_note(ended.paragraph)
        elif ended.destination == "title":
            # LibreOffice writes a question mark for each character that the code page lacks.
            self._builder.title = meaningful_title(self._captured) if self._captured.strip("? ") else ""
        elif ended.destination == "author":
            self._builder.author = self._captured.strip() or None
        elif ended.destination in ("creatim", "revtim"):
            self._take_date(ended.destination)

    def _take_date(self, name: str) -> None:
        parts, self._date = self._date, {}
        try:
            moment = datetime(parts["yr"], parts["mo"], parts["dy"], parts.get("hr", 0), parts.get("min", 0))
        except (KeyError, ValueError, OverflowError):
            return  # not a date: the file gives none
        if name == "creatim":
            self._builder.created_at = moment
        else:
            self._builder.last_modified = moment


def _code_page(number: int | None) -> str:
    encoding = _CODE_PAGES.get(number or 0, f"cp{number or 1252}")
    try:
        codecs.lookup(encoding)
    except LookupError:
        return "cp1252"
    return encoding
