"""OpenDocument text and presentations: headings, lists with levels, tables with spans, notes.

Called by ``dispatch`` for odt, odp and their flat XML forms (OpenDocument 1.3, part 3). The walk is over the
XML itself; names are compared without namespaces, which do not clash in what is read here.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from lunheng.errors import EncryptedError, LimitError, ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.odf_styles import Styles
from lunheng.parsing.office import meaningful_title
from lunheng.parsing.tables import markdown_table
from lunheng.parsing.xml_tree import attribute, name_of, parse_xml
from lunheng.parsing.zipscan import check_zip
from lunheng.types import BBox, Document, ElementRole, Limits

MAX_REPEAT = 1000
_POINTS = {"cm": 72 / 2.54, "mm": 72 / 25.4, "in": 72.0, "pt": 1.0, "pc": 12.0, "px": 0.75}
_LENGTH = re.compile(r"(-?[\d.]+)\s*(cm|mm|in|pt|pc|px)$")
_CAPTION = re.compile(r"caption|^(?:table|illustration|drawing|figure|tabelle|表|图)$", re.I)
_CODE = re.compile(r"preformatted|source|code", re.I)
_NO_TEXT = frozenset(
    {"tracked-changes", "table-of-content", "sequence-decls", "forms", "variable-decls", "shape-events"}
)
_LIFTED = frozenset({"note", "annotation", "frame", "custom-shape"})
"""What stands inside a paragraph in the file and beside it in the document."""


class OdtParser:
    """Reads odt and fodt."""

    def parse(self, source: Path, limits: Limits) -> Document:
        builder, content, styles = _open(source, limits, "odt")
        walker = _Walker(builder, styles, limits.max_cells)
        for body in (n for n in content.iter() if name_of(n) == "body"):
            for text in body:
                walker.blocks(text)
        walker.flush()
        return builder.build()


class OdpParser:
    """Reads odp and fodp: one section a slide; the slide number is the page."""

    def parse(self, source: Path, limits: Limits) -> Document:
        builder, content, styles = _open(source, limits, "odp")
        slides = [n for n in content.iter() if name_of(n) == "page" and name_of(n.getparent()) == "presentation"]
        if len(slides) > limits.max_pages:
            raise LimitError(
                f"{source}: {len(slides):,} slides, over the limit of {limits.max_pages:,}; split the file"
            )
        for number, slide in enumerate(slides, 1):
            _add_slide(slide, number, builder, styles, limits.max_cells)
        return builder.build()


def _open(source: Path, limits: Limits, kind: str) -> tuple[DocumentBuilder, Any, Styles]:
    data = read_bytes(source, limits)
    builder = DocumentBuilder(source, kind, data)
    if data.startswith(b"PK"):
        check_zip(source, limits)
        parts = _read_parts(source, builder)
        if b"encryption-data" in parts.get("META-INF/manifest.xml", b""):
            raise EncryptedError(f"{source}: the document is locked with a password; save it without one")
        if "content.xml" not in parts:
            raise ParseError(f"{source}: a damaged OpenDocument file (no content.xml); open and save it again")
        content = parse_xml(parts["content.xml"], source)
        others = [parse_xml(parts[name], source, recover=True) for name in ("styles.xml", "meta.xml") if name in parts]
    else:
        content, others = parse_xml(data, source), []
    for part in (content, *others):
        _read_metadata(part, builder)
    return builder, content, Styles((content, *others))


def _read_parts(source: Path, builder: DocumentBuilder) -> dict[str, bytes]:
    """The files in the container that are there and whole; what beside the content is damaged costs a warning."""
    parts: dict[str, bytes] = {}
    with zipfile.ZipFile(source) as archive:
        for name in ("content.xml", "styles.xml", "meta.xml", "META-INF/manifest.xml"):
            try:
                parts[name] = archive.read(name)
            except KeyError:
                continue
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError) as error:
                if name == "content.xml":
                    raise ParseError(
                        f"{source}: a damaged OpenDocument file ({error}); open and save it again"
                    ) from error
                builder.warn(f"its part {name} is damaged and was left out")
    return parts


def _read_metadata(root: Any, builder: DocumentBuilder) -> None:
    meta = next((n for n in root.iter() if name_of(n) == "meta" and len(n)), None)
    if meta is None:
        return
    found = {name_of(n): " ".join("".join(n.itertext()).split()) for n in meta}
    builder.title = meaningful_title(found.get("title")) or builder.title
    builder.author = found.get("initial-creator") or found.get("creator") or builder.author
    builder.created_at = _moment(found.get("creation-date", "")) or builder.created_at
    builder.last_modified = _moment(found.get("date", "")) or builder.last_modified
    if keywords := [" ".join("".join(n.itertext()).split()) for n in meta if name_of(n) == "keyword"]:
        builder.extra["keywords"] = keywords


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text[:26]) if text else None
    except ValueError:
        return None


def _add_slide(slide: Any, number: int, builder: DocumentBuilder, styles: Styles, max_cells: int) -> None:
    hidden = styles.is_hidden_slide(attribute(slide, "style-name"))
    if hidden:
        builder.warn(f"slide {number} is hidden in the presentation and was marked as hidden")
    shapes = [(n, _box(n)) for n in slide if name_of(n) not in ("notes", "forms")]
    title = next((n for n, _ in shapes if attribute(n, "class") == "title"), None)
    words = (
        " ".join("".join(plain_text(p) for p in title.iter() if name_of(p) in ("p", "h")).split())
        if title is not None
        else ""
    )
    builder.heading(words or f"#{number}", 1, page=number, hidden=hidden)
    shapes.sort(key=lambda shape: (int((shape[1] or (0, 0, 0, 0))[1] / 12), (shape[1] or (0, 0, 0, 0))[0]))
    for shape, box in shapes:
        if shape is not title:
            walker = _Walker(builder, styles, max_cells, page=number, bbox=box, hidden=hidden)
            walker.blocks([shape])
            walker.flush()
    for notes in (n for n in slide if name_of(n) == "notes"):
        walker = _Walker(builder, styles, max_cells, page=number, hidden=hidden, role="speaker_notes")
        for frame in (n for n in notes if attribute(n, "class") in ("notes", None)):
            walker.blocks([frame])
        walker.flush()


def _box(shape: Any) -> BBox | None:
    sizes = [_LENGTH.match(attribute(shape, name) or "") for name in ("x", "y", "width", "height")]
    left, top, width, height = (float(m.group(1)) * _POINTS[m.group(2)] if m else None for m in sizes)
    if left is None or top is None or width is None or height is None:
        return None
    return (round(left, 1), round(top, 1), round(left + max(width, 0), 1), round(top + max(height, 0), 1))


class _Walker:
    """Goes over blocks once; list items and lines of code are gathered until their run ends."""

    def __init__(
        self,
        builder: DocumentBuilder,
        styles: Styles,
        max_cells: int,
        *,
        page: int | None = None,
        bbox: BBox | None = None,
        hidden: bool = False,
        role: ElementRole = "body",
    ) -> None:
        self._builder = builder
        self._styles = styles
        self._max_cells = max_cells
        self._place: dict[str, Any] = {"page": page, "bbox": bbox, "hidden": hidden}
        self._role: ElementRole = role
        self._list: list[str] = []
        self._code: list[str] = []
        self._caption: str | None = None

    def blocks(self, nodes: Iterable[Any]) -> None:
        for node in nodes:
            name = name_of(node)
            if name in ("p", "h"):
                self._paragraph(node, name == "h")
            elif name == "list":
                self._add_list(node, 0, attribute(node, "style-name"))
            elif name == "table":
                self._add_table(node)
            elif name == "annotation":
                self._lifted(node)
            elif name in ("image", "object", "plugin"):
                continue
            elif name in ("title", "desc"):
                if name_of(node.getparent()) == "frame":
                    self._add("figure", "".join(node.itertext()))
            elif name and name not in _NO_TEXT:
                self.blocks(node)

    def flush(self) -> None:
        if self._list:
            self._builder.add("list", "\n".join(self._list), role=self._role, **self._place)
            self._list = []
        if self._code:
            self._builder.add("code", "\n".join(self._code), role=self._role, **self._place)
            self._code = []

    def _add(self, kind: Any, text: str, **more: Any) -> None:
        self.flush()
        self._builder.add(kind, text, role=more.pop("role", self._role), **self._place, **more)

    def _paragraph(self, node: Any, is_heading: bool) -> None:
        text, style = plain_text(node), self._styles.name(attribute(node, "style-name"))
        level = self._styles.heading_level(node, is_heading)
        if not text.strip():
            pass
        elif level is not None:
            self.flush()
            self._builder.heading(text, level, page=self._place["page"], hidden=self._place["hidden"])
        elif _CODE.search(style):
            if self._list:
                self.flush()
            self._code.append(text)
        else:
            self._add("paragraph", text, links=links_of(node))
            self._caption = " ".join(text.split()) if _CAPTION.search(style) else None
        for inner in _outermost(node, _LIFTED):
            self._lifted(inner)

    def _lifted(self, node: Any) -> None:
        """A note, a comment, or a frame that a paragraph holds."""
        name = name_of(node)
        if name == "note":
            mark = "".join("".join(n.itertext()) for n in node if name_of(n) == "note-citation").strip()
            words = " ".join(plain_text(p) for body in node if name_of(body) == "note-body" for p in _paragraphs(body))
            self._add("paragraph", f"[^{mark}]: {words}" if mark else words, role="footnote")
        elif name == "annotation":
            author = next(("".join(n.itertext()) for n in node if name_of(n) == "creator"), "")
            words = "\n".join(plain_text(p) for p in _paragraphs(node))
            self._add("paragraph", f"{author}: {words}" if author and words else words, role="comment")
        else:
            self.blocks(node)

    def _add_list(self, node: Any, depth: int, style: str | None) -> None:
        if self._code:
            self.flush()
        number = 0
        for item in node:
            if name_of(item) not in ("list-item", "list-header"):
                continue
            number += name_of(item) == "list-item"
            first = True
            for block in item:
                if name_of(block) == "list":
                    self._add_list(block, depth + 1, attribute(block, "style-name") or style)
                    continue
                is_paragraph = name_of(block) in ("p", "h")
                text = " ".join(plain_text(block).split()) if is_paragraph else ""
                if is_paragraph and self._styles.heading_level(block, name_of(block) == "h") is not None:
                    self._paragraph(block, name_of(block) == "h")
                elif text:
                    mark = f"{number}." if self._styles.is_numbered(style, depth + 1) else "-"
                    self._list.append(f"{'  ' * depth}{mark if first else ' ' * len(mark)} {text}")
                    first = False
                    for inner in _outermost(block, _LIFTED):
                        self._lifted(inner)
                elif not is_paragraph:
                    self.blocks([block])
        if depth == 0:
            self.flush()

    def _add_table(self, node: Any) -> None:
        table = markdown_table(table_rows(node, self._max_cells))
        self._add("table", table, caption=self._caption)
        self._caption = None
        for note in _outermost(node, frozenset({"note", "annotation"})):
            self._lifted(note)


def plain_text(node: Any) -> str:
    """The text of a paragraph as shown; a note leaves its mark, ``[^1]``."""
    parts: list[str] = []

    def gather(node: Any) -> None:
        parts.append(_collapsed(node.text))
        for child in node:
            name = name_of(child)
            if name == "s":
                count = attribute(child, "c") or "1"
                parts.append(" " * (min(int(count), MAX_REPEAT) if count.isdecimal() else 1))
            elif name == "tab":
                parts.append("\t")
            elif name == "line-break":
                parts.append("\n")
            elif name == "note":
                parts.extend(f"[^{''.join(n.itertext()).strip()}]" for n in child if name_of(n) == "note-citation")
            elif name == "ruby":
                parts.extend("".join(n.itertext()) for n in child if name_of(n) == "ruby-base")
            elif name and name not in _LIFTED and name not in _NO_TEXT:
                gather(child)
            parts.append(_collapsed(child.tail))

    gather(node)
    return "".join(parts)


def _collapsed(text: str | None) -> str:
    return re.sub(r"[ \t\r\n]+", " ", text) if text else ""


def links_of(node: Any) -> list[tuple[str, str]]:
    """The links of a paragraph."""
    found = ((plain_text(n), attribute(n, "href")) for n in node.iter() if name_of(n) == "a")
    return [(words.strip(), target) for words, target in found if target and words.strip()]


def _outermost(node: Any, names: frozenset[str]) -> list[Any]:
    found: list[Any] = []
    for child in node:
        if name_of(child) in names:
            found.append(child)
        else:
            found.extend(_outermost(child, names))
    return found


def _paragraphs(node: Any) -> list[Any]:
    return _outermost(node, frozenset({"p", "h"}))


def table_rows(table: Any, max_cells: int) -> list[list[str]]:
    """The rows of a table; a spanned cell's text stands in every place that it covers.

    Raises:
        LimitError: if these are more than ``max_cells``.
    """
    count = 0
    rows: list[list[str]] = []
    pending: dict[tuple[int, int], str] = {}
    for row in _outermost(table, frozenset({"table-row"})):
        cells: list[str] = []
        for cell in row:
            if name_of(cell) not in ("table-cell", "covered-table-cell"):
                continue
            repeat = _count(cell, "number-columns-repeated")
            if name_of(cell) == "covered-table-cell":
                cells.extend(pending.get((len(rows), len(cells) + i), "") for i in range(repeat))
                continue
            text = "\n".join(plain_text(p) for p in _paragraphs(cell))
            down, across = _count(cell, "number-rows-spanned"), _count(cell, "number-columns-spanned")
            count = _checked(count + (down * across if down * across > 1 else 0) + (repeat if text else 0), max_cells)
            for r in range(down if down * across > 1 else 0):
                for c in range(across):
                    pending[len(rows) + r, len(cells) + c] = text
            cells.extend([text] * (repeat if text or repeat < MAX_REPEAT else 1))
        repeat = _count(row, "number-rows-repeated") if any(cells) else 1
        count = _checked(count + repeat * len(cells), max_cells)
        rows.extend([cells] * repeat)
    return rows


def _checked(count: int, max_cells: int) -> int:
    if count > max_cells:
        raise LimitError(f"a table of over {max_cells:,} cells; split it or raise parsing.max_cells")
    return count


def _count(node: Any, name: str) -> int:
    value = attribute(node, name) or "1"
    return max(1, min(int(value), MAX_REPEAT)) if value.isdecimal() else 1
