"""Word documents: headings, paragraphs, lists as numbered, tables, notes, comments, text boxes, formulas, figures.

Called by ``dispatch``. Walks the body's XML through python-docx, since its paragraph and table lists lose the order
between the two. Running headers and footers, tables of contents and deleted text are left out. Page numbers are those
that Word remembered when it last drew the document; a document that Word never drew has none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lunheng.errors import ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.captions import caption_kind, owner_of
from lunheng.parsing.charts import chart_table
from lunheng.parsing.docx_numbering import Numbering, W
from lunheng.parsing.docx_styles import Styles
from lunheng.parsing.docx_text import MC, Inline, InlineReader, R, font_size, is_bold
from lunheng.parsing.figures import FigureFound, FigureReader
from lunheng.parsing.numbering import heading_level, is_strong_heading
from lunheng.parsing.office import UNTOLD_PICTURE, external_targets, read_core_properties, safe_xml
from lunheng.parsing.tables import markdown_table
from lunheng.parsing.zipscan import check_zip
from lunheng.types import Document, ElementKind, ElementRole, Limits

WP = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
DGM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
V = "{urn:schemas-microsoft-com:vml}"
MAX_SPAN = 1_000
_ARTICLE = re.compile(r"第.{1,8}[编卷部篇章节条款]$|(?:Article|Section|§)\s*\d", re.I)
_WRAPPERS = frozenset(f"{W}{name}" for name in ("sdt", "ins", "moveTo", "smartTag", "customXml", "sdtContent"))


class DocxParser:
    """Reads docx. ``ocr`` is the setting parsing.ocr, for pictures."""

    def __init__(self, ocr: str = "auto") -> None:
        self._ocr = ocr

    def parse(self, source: Path, limits: Limits) -> Document:
        import docx
        from docx.opc.exceptions import OpcError

        data = read_bytes(source, limits)
        check_zip(source, limits)
        builder = DocumentBuilder(source, "docx", data)
        try:
            word = docx.Document(str(source))
            read_core_properties(word.core_properties, builder)
        except (OpcError, KeyError, ValueError, SyntaxError) as error:
            raise ParseError(f"{source}: a damaged Word document ({error}); open and save it again in Word") from error
        figures = FigureReader(self._ocr, limits)
        _Body(word, builder, figures).walk(word.element.body)
        for warning in figures.warnings:
            builder.warn(warning)
        return builder.build()


@dataclass(slots=True)
class _Block:
    """An element to be: captions are bound to their neighbours before it goes to the builder."""

    kind: ElementKind
    text: str
    level: int = 0
    page: int | None = None
    caption: str | None = None
    is_caption: bool = False
    hidden: bool = False
    role: ElementRole = "body"
    links: tuple[tuple[str, str], ...] = ()
    ocr_confidence: float | None = None
    """Of the text in a picture; None where nothing was recognised."""
    picture: bytes = b""
    paragraph: Any = None
    """The XML of a plain paragraph, which may turn out to be a heading."""


class _Body:
    """The walk over one document's body."""

    def __init__(self, word: Any, builder: DocumentBuilder, figures: FigureReader) -> None:
        self._builder = builder
        self._figures = figures
        self._part = word.part
        self._styles = Styles(word)
        self._numbering = Numbering(_numbering_root(word))
        self._note_marks: dict[tuple[str, str], str] = {}
        self._reader = InlineReader(external_targets(word.part), self._note_marks)
        self._notes = {kind: _notes(word.part, kind) for kind in ("footnote", "endnote")}
        self._comments = _notes(word.part, "comment")
        self._blocks_found: list[_Block] = []
        self._open: _Block | None = None
        """The list or code that goes on while paragraphs of its kind follow."""
        self._after: list[_Block] = []
        """Notes and comments that wait for the list to end."""
        self._drawn = any(True for _ in word.element.body.iter(f"{W}lastRenderedPageBreak"))
        self._page = 1

    def walk(self, body: Any) -> None:
        self._blocks(body)
        self._end()
        blocks = _with_captions(self._blocks_found)
        if not any(b.kind == "heading" for b in blocks):
            blocks = _with_unstyled_headings(blocks)
        for b in blocks:
            if b.kind == "heading":
                self._builder.heading(b.text, b.level, page=b.page, links=b.links)
            else:
                self._builder.add(
                    b.kind,
                    b.text,
                    level=b.level,
                    page=b.page,
                    caption=b.caption,
                    hidden=b.hidden,
                    role=b.role,
                    links=b.links,
                    is_ocr=b.ocr_confidence is not None,
                    ocr_confidence=b.ocr_confidence,
                    picture=b.picture,
                )
        if any(b.hidden for b in blocks):
            self._builder.warn("text hidden from the reader was found and marked as hidden")

    def _blocks(self, parent: Any) -> None:
        for block in parent.iterchildren():
            if block.tag == f"{W}p":
                self._paragraph(block)
            elif block.tag == f"{W}tbl":
                self._table(block)
            elif block.tag in _WRAPPERS and not _is_contents(block):
                self._blocks(block)
            elif block.tag == f"{MC}AlternateContent" and (choice := block.find(f"{MC}Choice")) is not None:
                self._blocks(choice)

    # -- what is found -------------------------------------------------------------------------------

    def _add(self, block: _Block) -> None:
        self._end()
        self._put(block)

    def _put(self, block: _Block) -> None:
        if block.text.strip():
            block.page = self._page if self._drawn else None
            self._blocks_found.append(block)

    def _extend(self, kind: ElementKind, line: str, links: list[tuple[str, str]]) -> None:
        """Add a line to the list or code that is open, or begin one."""
        if self._open is None or self._open.kind != kind:
            self._end()
            self._open = _Block(kind, line)
            self._put(self._open)
        else:
            self._open.text += f"\n{line}"
        self._open.links += tuple(links)

    def _end(self) -> None:
        self._open = None
        after, self._after = self._after, []
        for block in after:
            self._put(block)

    def _paragraph(self, paragraph: Any) -> None:
        inline = self._reader.read(paragraph)
        self._page += inline.breaks
        style = self._styles.of(paragraph)
        text = inline.text.strip("\n") if style.code else inline.text.strip()
        if style.contents:
            return
        if text:
            mark = self._mark(paragraph, style.list_id, style.list_depth, style.style_id)
            self._text(paragraph, text, inline, style, mark)
        self._hang_on(inline)
        self._page += inline.later_breaks

    def _mark(self, paragraph: Any, list_id: str | None, depth: int | None, style_id: str) -> str | None:
        """What numbers a paragraph, counted on; None where it is in no list."""
        if list_id is None or list_id == "0":
            return None
        if depth is None:
            depth = self._numbering.depth_of_style(list_id, style_id)
        return self._numbering.mark(list_id, depth)

    def _text(self, paragraph: Any, text: str, inline: Inline, style: Any, mark: str | None) -> None:
        links = tuple(inline.links)
        numbered = f"{mark} {text}" if mark and mark != "-" else text
        if style.heading:
            self._add(_Block("heading", numbered, style.heading, links=links))
        elif formula := inline.only_formula:
            self._add(_Block("formula", formula))
        elif style.code:
            self._extend("code", text, inline.links)
        elif mark is not None and not (mark and _ARTICLE.match(mark)):
            depth = max(style.list_depth or 0, style.named_depth)
            self._extend("list", f"{'  ' * depth}{mark} {' '.join(text.split())}".rstrip(), inline.links)
        elif style.named_list:
            self._extend("list", f"{'  ' * style.named_depth}- {' '.join(text.split())}", inline.links)
        else:
            self._add(_Block("paragraph", numbered, is_caption=style.caption, links=links, paragraph=paragraph))

    def _hang_on(self, inline: Inline) -> None:
        """Add what hangs on a paragraph: hidden text, pictures, text boxes, notes, comments."""
        if hidden := "".join(inline.hidden).strip():
            self._after.append(_Block("paragraph", hidden, hidden=True))
        for note in inline.notes:
            if (found := self._notes[note[0]].get(note[1])) is not None:
                note_text, links = self._note_text(*found)
                if note_text:
                    line = f"[^{self._note_marks[note]}]: {note_text}"
                    self._after.append(_Block("paragraph", line, role="footnote", links=links))
        for name in inline.comments:
            if (found := self._comments.get(name)) is not None:
                text, links = self._note_text(*found)
                author = (found[0].get(f"{W}author") or "").strip()
                if text:
                    line = f"{author}: {text}" if author else text
                    self._after.append(_Block("paragraph", line, role="comment", links=links))
        for drawing in inline.drawings:
            self._drawing(drawing)
        if self._open is None:
            self._end()

    def _note_text(self, node: Any, part: Any) -> tuple[str, tuple[tuple[str, str], ...]]:
        reader = InlineReader(external_targets(part), self._note_marks)
        paragraphs = [reader.read(p) for p in node.iter(f"{W}p")]
        lines = [" ".join(p.text.split()) for p in paragraphs]
        return "\n".join(filter(None, lines)), tuple(link for p in paragraphs for link in p.links)

    # -- tables --------------------------------------------------------------------------------------

    def _table(self, table: Any) -> None:
        cells = [cell for row in _rows(table) for cell in _cells(row)]
        if len(cells) == 1:  # a frame around text, not a table
            self._end()
            self._blocks(cells[0])
            return
        self._end()
        inlines: list[Inline] = []
        rows = self._grid(table, inlines)
        caption = table.find(f"{W}tblPr/{W}tblCaption")
        title = (caption.get(f"{W}val") or "").strip() if caption is not None else ""
        links = tuple(link for inline in inlines for link in inline.links)
        self._put(_Block("table", markdown_table(rows), caption=title or None, links=links))
        for inline in inlines:
            self._page += inline.breaks + inline.later_breaks
            inline.drawings = [d for d in inline.drawings if _is_box(d)]
            self._hang_on(inline)

    def _grid(self, table: Any, inlines: list[Inline]) -> list[list[str]]:
        """The rows of a ``w:tbl``; a merged cell's text stands in every place that it covers."""
        rows: list[list[str]] = []
        begun: set[int] = set()
        for row in _rows(table):
            cells: list[str] = [""] * _integer(row, "trPr/gridBefore", 0)
            for cell in _cells(row):
                width = max(_integer(cell, "tcPr/gridSpan", 1), 1)
                begun.add(len(cells))
                merge = cell.find(f"{W}tcPr/{W}vMerge")
                if merge is not None and merge.get(f"{W}val", "continue") == "continue" and rows:
                    above = rows[-1]
                    cells.extend(above[len(cells) : len(cells) + width] + [""] * (len(cells) + width - len(above)))
                    continue
                cells.extend([self._cell(cell, inlines)] * width)
            rows.append(cells)
        # A column in which no cell begins is a trace of how the table was drawn.
        return [[text for at, text in enumerate(cells) if at in begun] for cells in rows]

    def _cell(self, cell: Any, inlines: list[Inline]) -> str:
        lines: list[str] = []
        for block in _paragraphs_and_tables(cell):
            if block.tag == f"{W}tbl":
                lines.extend("; ".join(filter(None, row)) for row in self._grid(block, inlines))
                continue
            inline = self._reader.read(block)
            style = self._styles.of(block)
            mark = self._mark(block, style.list_id, style.list_depth, style.style_id)
            pictures = [name for d in inline.drawings if not _is_box(d) and (name := _description(d))]
            text = " ".join(filter(None, [mark, inline.text.strip(), *pictures]))
            inlines.append(inline)
            lines.append(text if text != "-" else "")
        return "\n".join(filter(None, lines))

    # -- pictures, boxes, charts -----------------------------------------------------------------------

    def _drawing(self, drawing: Any) -> None:
        for box in drawing.iter(f"{W}txbxContent"):
            if next(box.iterancestors(f"{MC}Fallback"), None) is None:
                self._end()
                self._blocks(box)
        for chart in drawing.iter(f"{C}chart"):
            if (root := self._related_xml(chart.get(f"{R}id"))) is not None:
                title, rows = chart_table(root)
                self._add(_Block("table", markdown_table(rows), caption=title or _description(drawing) or None))
        for diagram in drawing.iter(f"{DGM}relIds"):
            if (root := self._related_xml(diagram.get(f"{R}dm"))) is not None:
                points = (" ".join("".join(t.text or "" for t in p.iter(f"{A}t")).split()) for p in root.iter(f"{A}p"))
                self._add(_Block("list", "\n".join(f"- {point}" for point in points if point)))
        picture = next(drawing.iter(f"{A}blip", f"{V}imagedata"), None)
        if picture is None:
            return
        found = self._figures.read(blob) if (blob := self._blob(picture)) else FigureFound()
        text = "\n".join(part for part in (_description(drawing), found.text) if part)
        if text:
            self._add(_Block("figure", text, ocr_confidence=found.confidence, picture=found.jpeg))
        else:
            self._end()
            # A picture that says nothing of itself is a place for a caption, or for a description.
            page = self._page if self._drawn else None
            self._blocks_found.append(_Block("figure", "", page=page, picture=found.jpeg))

    def _blob(self, picture: Any) -> bytes:
        """The bytes of a picture that is kept in the file; none for one that is only linked."""
        related = self._part.rels.get(picture.get(f"{R}embed") or picture.get(f"{R}id") or "")
        return b"" if related is None or related.is_external else bytes(related.target_part.blob)

    def _related_xml(self, relationship: str | None) -> Any | None:
        related = self._part.rels.get(relationship or "")
        if related is None or related.is_external:
            return None
        return safe_xml(related.target_part.blob)


def _with_captions(blocks: list[_Block]) -> list[_Block]:
    """Bind captions to their tables and figures; a figure is its caption, so that is not said twice."""
    kinds = [b.kind for b in blocks]
    taken: set[int] = set()
    drop: set[int] = set()
    for at, block in enumerate(blocks):
        if block.kind != "paragraph" or block.role != "body" or block.hidden:
            continue
        kind = caption_kind(block.text)
        if kind is None and not block.is_caption:
            continue
        owner = owner_of(at, kind, kinds, taken)
        if owner is None:
            continue
        taken.add(owner)
        caption = " ".join(block.text.split())
        blocks[owner].caption = caption
        if blocks[owner].kind == "figure":
            said = blocks[owner].text
            blocks[owner].text = f"{caption}\n{said}" if said and said not in caption else caption
            blocks[owner].page = block.page
            drop.add(at)
    return [b for at, b in enumerate(blocks) if at not in drop and (b.text.strip() or b.picture)]


def _with_unstyled_headings(blocks: list[_Block]) -> list[_Block]:
    """Where no style says what a heading is: short numbered or bold lines that stand alone are."""
    plain = [b for b in blocks if b.paragraph is not None and b.role == "body" and not b.hidden]
    if len(plain) < 3:
        return blocks
    sizes = [size for b in plain for size in [font_size(b.paragraph)] * max(len(b.text) // 20, 1) if size]
    usual = max(set(sizes), key=sizes.count) if sizes else 0.0
    found: list[_Block] = []
    for block in blocks:
        level = _unstyled_level(block, usual) if block.paragraph is not None and not block.is_caption else None
        heading = level is not None and caption_kind(block.text) is None
        found.append(replace(block, kind="heading", level=level or 1) if heading else block)
    # All bold, or all numbered: then it tells nothing.
    return found if 2 * sum(b.kind == "heading" for b in found) <= len(blocks) else blocks


def _unstyled_level(block: _Block, usual: float) -> int | None:
    text = block.text.strip()
    if "\n" in text or block.hidden or block.role != "body":
        return None
    large = bool(usual) and font_size(block.paragraph) >= usual * 1.15
    marked = large or is_bold(block.paragraph)
    level = heading_level(text)
    if level is not None and (marked or is_strong_heading(text)):
        return level
    width = sum(2 if "\u2e80" <= c <= "\uffef" else 1 for c in text)
    if marked and width <= 60 and not re.search(r"[。！？；，、：:;,.!?]$", text):
        return 1 if large else 3
    return None


def _rows(table: Any) -> list[Any]:
    rows = [r for r in table.iter(f"{W}tr") if next(r.iterancestors(f"{W}tbl")) is table]
    return [r for r in rows if r.find(f"{W}trPr/{W}del") is None]


def _cells(row: Any) -> list[Any]:
    return [c for c in row.iter(f"{W}tc") if next(c.iterancestors(f"{W}tr")) is row]


def _paragraphs_and_tables(cell: Any) -> list[Any]:
    found: list[Any] = []
    for child in cell.iterchildren():
        if child.tag in (f"{W}p", f"{W}tbl"):
            found.append(child)
        elif child.tag in _WRAPPERS:
            found.extend(_paragraphs_and_tables(child))
    return found


def _integer(node: Any, path: str, default: int) -> int:
    child = node.find("/".join(f"{W}{step}" for step in path.split("/")))
    value = child.get(f"{W}val", "") if child is not None else ""
    return min(int(value), MAX_SPAN) if value.isdecimal() and len(value) < 9 else default


def _is_contents(block: Any) -> bool:
    gallery = block.find(f"{W}sdtPr/{W}docPartObj/{W}docPartGallery")
    return gallery is not None and gallery.get(f"{W}val") == "Table of Contents"


def _is_box(drawing: Any) -> bool:
    return any(True for _ in drawing.iter(f"{W}txbxContent"))


def _description(drawing: Any) -> str:
    """The alternative text of a picture; names that Word gives by itself (图片 3) say nothing."""
    for properties in drawing.iter(f"{WP}docPr"):
        for key in ("descr", "title"):
            text = " ".join((properties.get(key) or "").split())
            if text and not UNTOLD_PICTURE.match(text):
                return text
    for shape in drawing.iter(f"{V}shape", f"{V}imagedata"):
        text = " ".join((shape.get("alt") or "").split())
        if text and not UNTOLD_PICTURE.match(text):
            return text
    return ""


def _numbering_root(word: Any) -> Any | None:
    try:
        return word.part.numbering_part.element
    except (KeyError, NotImplementedError):
        return None


def _notes(part: Any, kind: str) -> dict[str, tuple[Any, Any]]:
    """The notes or comments of a document by id, each with the part that it stands in."""
    for relationship in part.rels.values():
        if relationship.reltype.endswith(f"/{kind}s") and not relationship.is_external:
            root = safe_xml(relationship.target_part.blob)
            if root is None:
                return {}
            return {
                node.get(f"{W}id") or "": (node, relationship.target_part)
                for node in root.iterchildren(f"{W}{kind}")
                if node.get(f"{W}type") in (None, "normal")
            }
    return {}
