"""Word documents: headings by style, paragraphs, lists with levels, tables, text boxes left in order.

Called by ``dispatch``. Walks the body's XML through python-docx, since its paragraph and table
lists lose the order between the two.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lunheng.errors import ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.office import read_core_properties
from lunheng.parsing.tables import markdown_table
from lunheng.parsing.zipscan import check_zip
from lunheng.types import Document, Limits

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_HEADING_STYLE = re.compile(r"(?:heading|标题)\s*(\d)$", re.I)
_CAPTION_STYLE = re.compile(r"caption|题注", re.I)
_CODE_STYLE = re.compile(r"code|source|preformatted|代码", re.I)
_LIST_STYLE = re.compile(r"list\s*(bullet|number|paragraph)?\s*(\d)?", re.I)


class DocxParser:
    """Reads docx."""

    def parse(self, source: Path, limits: Limits) -> Document:
        import docx
        from docx.opc.exceptions import OpcError

        data = read_bytes(source, limits)
        check_zip(source, limits)
        builder = DocumentBuilder(source, "docx", data)
        try:
            word = docx.Document(str(source))
        except (OpcError, KeyError, ValueError, SyntaxError) as error:
            raise ParseError(f"{source}: a damaged Word document ({error}); open and save it again in Word") from error
        read_core_properties(word.core_properties, builder)
        _Body(word, builder).walk(word.element.body)
        return builder.build()


class _Body:
    """The walk over one document's body."""

    def __init__(self, word: Any, builder: DocumentBuilder) -> None:
        self._builder = builder
        self._styles = {s.style_id: s for s in word.styles}
        self._numbering = _numbering_formats(word)
        self._list: list[str] = []
        self._code: list[str] = []
        self._caption: str | None = None

    def walk(self, body: Any) -> None:
        self._blocks(body)
        self._flush()

    def _blocks(self, parent: Any) -> None:
        for block in parent.iterchildren():
            if block.tag == f"{_W}p":
                self._paragraph(block)
            elif block.tag == f"{_W}tbl":
                self._flush()
                self._builder.add("table", markdown_table(table_rows(block)), caption=self._caption)
                self._caption = None
            elif block.tag in (f"{_W}sdt", f"{_W}ins", f"{_W}smartTag", f"{_W}customXml"):
                content = block.find(f"{_W}sdtContent")
                self._blocks(content if content is not None else block)

    def _flush(self) -> None:
        if self._list:
            self._builder.add("list", "\n".join(self._list))
            self._list = []
        if self._code:
            self._builder.add("code", "\n".join(self._code))
            self._code = []

    def _paragraph(self, paragraph: Any) -> None:
        text = paragraph_text(paragraph)
        name, level = self._style(paragraph)
        if not text.strip():
            return
        if level is not None:
            self._flush()
            self._builder.heading(text, level)
            return
        if (depth := self._list_depth(paragraph, name)) is not None:
            mark = self._numbering.get((_numbering_id(paragraph), depth), "-")
            if self._code:
                self._flush()
            self._list.append(f"{'  ' * depth}{mark} {' '.join(text.split())}")
            return
        if name and _CODE_STYLE.search(name):
            if self._list:
                self._flush()
            self._code.append(text)
            return
        self._flush()
        self._builder.add("paragraph", text)
        self._caption = " ".join(text.split()) if name and _CAPTION_STYLE.search(name) else None

    def _style(self, paragraph: Any) -> tuple[str | None, int | None]:
        """The style's name, and the heading level that it, a style that it is based on, or the paragraph gives."""
        properties = paragraph.find(f"{_W}pPr")
        if properties is None:
            return None, None
        outline = properties.find(f"{_W}outlineLvl")
        if outline is not None and int(outline.get(f"{_W}val", "9")) < 9:
            return None, int(outline.get(f"{_W}val")) + 1
        reference = properties.find(f"{_W}pStyle")
        style = self._styles.get(reference.get(f"{_W}val")) if reference is not None else None
        name = style.name if style is not None else None
        for _ in range(10):  # base styles; a damaged file could make a ring of them
            if style is None:
                break
            if (style.name or "").lower() == "title":
                return name, 1
            if match := _HEADING_STYLE.match(style.name or ""):
                return name, int(match.group(1)) or 1
            level = style.element.find(f"{_W}pPr/{_W}outlineLvl")
            if level is not None and int(level.get(f"{_W}val", "9")) < 9:
                return name, int(level.get(f"{_W}val")) + 1
            style = style.base_style
        return name, None

    def _list_depth(self, paragraph: Any, style_name: str | None) -> int | None:
        level = paragraph.find(f"{_W}pPr/{_W}numPr/{_W}ilvl")
        number = paragraph.find(f"{_W}pPr/{_W}numPr/{_W}numId")
        if number is not None and number.get(f"{_W}val") != "0":
            return int(level.get(f"{_W}val", "0")) if level is not None else 0
        if (
            style_name
            and (match := _LIST_STYLE.match(style_name))
            and (match.group(1) or "").lower() in ("bullet", "number")
        ):
            return int(match.group(2) or 1) - 1
        return None


def paragraph_text(paragraph: Any) -> str:
    """The text of a ``w:p``: inserted runs and link texts in, deleted runs and field codes out."""
    parts: list[str] = []
    for node in paragraph.iter():
        tag = node.tag
        if tag == f"{_W}t":
            parts.append(node.text or "")
        elif tag == f"{_W}tab":
            # The tab stops of the paragraph's properties have the same tag.
            parts.append("\t" if node.getparent().tag == f"{_W}r" else "")
        elif tag in (f"{_W}br", f"{_W}cr"):
            parts.append("\n")
        elif tag == f"{_W}noBreakHyphen":
            parts.append("-")
    return "".join(parts)


def table_rows(table: Any) -> list[list[str]]:
    """The rows of a ``w:tbl``; a merged cell's text stands in every place that it covers."""
    rows: list[list[str]] = []
    for row in table.iterchildren(f"{_W}tr"):
        cells: list[str] = []
        skipped = row.find(f"{_W}trPr/{_W}gridBefore")
        cells.extend([""] * (int(skipped.get(f"{_W}val", "0")) if skipped is not None else 0))
        for cell in row.iter(f"{_W}tc"):
            if next(cell.iterancestors(f"{_W}tr")) is not row:
                continue  # of a table inside the cell, whose text is taken with it
            text = "\n".join(paragraph_text(p) for p in cell.iter(f"{_W}p"))
            merge = cell.find(f"{_W}tcPr/{_W}vMerge")
            if merge is not None and merge.get(f"{_W}val", "continue") == "continue" and rows:
                above = rows[-1]
                text = above[len(cells)] if len(cells) < len(above) else text
            span = cell.find(f"{_W}tcPr/{_W}gridSpan")
            width = min(int(span.get(f"{_W}val", "1")), 200) if span is not None else 1
            cells.extend([text] * max(width, 1))
        rows.append(cells)
    return rows


def _numbering_id(paragraph: Any) -> str | None:
    number = paragraph.find(f"{_W}pPr/{_W}numPr/{_W}numId")
    return number.get(f"{_W}val") if number is not None else None


def _numbering_formats(word: Any) -> dict[tuple[str | None, int], str]:
    """The mark of each numbered level: "1." for ordered lists, "-" for bullets."""
    try:
        root = word.part.numbering_part.element
    except (KeyError, NotImplementedError):
        return {}
    abstract: dict[str, dict[int, str]] = {}
    for definition in root.iterchildren(f"{_W}abstractNum"):
        levels = abstract.setdefault(definition.get(f"{_W}abstractNumId"), {})
        for level in definition.iterchildren(f"{_W}lvl"):
            form = level.find(f"{_W}numFmt")
            bullet = form is None or form.get(f"{_W}val") in ("bullet", "none")
            levels[int(level.get(f"{_W}ilvl", "0"))] = "-" if bullet else "1."
    marks: dict[tuple[str | None, int], str] = {}
    for number in root.iterchildren(f"{_W}num"):
        reference = number.find(f"{_W}abstractNumId")
        for depth, mark in abstract.get(reference.get(f"{_W}val") if reference is not None else "", {}).items():
            marks[number.get(f"{_W}numId"), depth] = mark
    return marks
