"""E-books (EPUB 2 and 3): the chapters in the order of the spine, each through the HTML parser.

Called by ``dispatch`` for epub. The table of contents is not repeated as text; it names the chapters that
have no heading of their own. Standard: EPUB 3.3 (W3C), OPF 2.0.1.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lunheng.errors import EncryptedError, LimitError, ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.figures import FigureReader
from lunheng.parsing.html import add_html, data_in, decode_html
from lunheng.parsing.xml_tree import attribute, name_of, parse_xml
from lunheng.parsing.zipscan import check_zip
from lunheng.types import Document, Limits

_HTML_TYPES = frozenset({"application/xhtml+xml", "text/html", "text/x-oeb1-document", "application/html+xml"})
_EMPTY_TAG = re.compile(r"<([a-zA-Z][\w:-]*)((?:[^<>\"']|\"[^\"]*\"|'[^']*')*)/>")
_NO_END = frozenset({"br", "hr", "img", "input", "link", "meta", "area", "base", "col", "source", "track", "wbr"})
_FONT_MANGLING = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")

Labels = list[tuple[int, str]]
"""(level, words) of entries in the table of contents, in order."""


class EpubParser:
    """Reads epub."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        check_zip(source, limits)
        builder = DocumentBuilder(source, "epub", data)
        with zipfile.ZipFile(source) as archive:
            book = _Book(archive, source)
            book.read_metadata(builder)
            labels = book.contents()
            chapters = list(book.chapters())
            if len(chapters) > limits.max_pages:
                raise LimitError(
                    f"{source}: {len(chapters):,} chapters, over the limit of {limits.max_pages:,} (parsing.max_pages)"
                )
            figures = FigureReader("off", limits)
            for path in chapters:
                _add_chapter(book, path, labels.get(path, []), builder, limits, figures)
            for warning in figures.warnings:
                builder.warn(warning)
        return builder.build()


def _add_chapter(
    book: _Book, path: str, labels: Labels, builder: DocumentBuilder, limits: Limits, figures: FigureReader
) -> None:
    content = book.read(path)
    if content is None:
        builder.warn(f"chapter {path} is missing or damaged and was left out")
        return
    chapter = DocumentBuilder(book.source, "epub", b"")
    html = _closed_tags(decode_html(content, path)[0])
    picture_of = (lambda src: figures.read(book.picture(src, path)).jpeg) if limits.describe_figures else None
    add_html(html, chapter, limits.max_nesting, picture_of)
    for warning in chapter.warnings:
        builder.warn(f"chapter {path}: {warning}")
    if labels and chapter.elements and not any(e.kind == "heading" for e in chapter.elements):
        _add_named(chapter, labels, builder)
    else:
        builder.graft(chapter.elements, 0, chapter.pictures)


def _add_named(chapter: DocumentBuilder, labels: Labels, builder: DocumentBuilder) -> None:
    """Add a chapter in which no heading is marked: what the table of contents calls its parts are its headings."""
    levels = {label: level for level, label in labels}
    texts = [" ".join(element.text.split()) for element in chapter.elements]
    pictures = {p.element: p for p in chapter.pictures}
    if not levels.keys() & set(texts):
        builder.heading(labels[0][1], labels[0][0])
    for at, (element, text) in enumerate(zip(chapter.elements, texts, strict=True)):
        level = levels.pop(text, None) if element.kind == "paragraph" else None
        if level is not None:
            builder.heading(text, level)
        else:
            builder.graft([element], 0, [replace(pictures[at], element=0)] if at in pictures else ())


def _closed_tags(text: str) -> str:
    """``<title/>`` is an empty element in XHTML and an open one in HTML, where it would swallow the page."""

    def closed(match: re.Match[str]) -> str:
        name, rest = match.group(1), match.group(2)
        return match.group(0) if name.lower() in _NO_END else f"<{name}{rest}></{name}>"

    return _EMPTY_TAG.sub(closed, text)


class _Book:
    """The package document, and the files that it names."""

    def __init__(self, archive: zipfile.ZipFile, source: Path) -> None:
        self.source = source
        self._archive = archive
        self._names = {name.lower(): name for name in archive.namelist()}
        container = self.read("META-INF/container.xml")
        root_file = ""
        if container is not None:
            files = (n for n in parse_xml(container, source).iter() if name_of(n) == "rootfile")
            root_file = next((attribute(n, "full-path") or "" for n in files), "")
        package = self.read(root_file) if root_file else None
        if package is None:
            raise ParseError(f"{source}: not a whole e-book (its package document is missing); fetch it again")
        self._base = posixpath.dirname(root_file)
        self._package = parse_xml(package, source, recover=True)
        self._items = {
            attribute(n, "id") or "": n for n in self._package.iter() if name_of(n) == "item" and attribute(n, "href")
        }
        self._check_rights()

    def read(self, path: str) -> bytes | None:
        """A file of the archive; None where it is missing or damaged."""
        name = self._names.get(path.lower())
        try:
            return self._archive.read(name) if name is not None else None
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, zlib.error):
            return None

    def picture(self, reference: str, chapter: str) -> bytes:
        """A picture that a chapter names, or holds itself; nothing where it is not in the archive."""
        if reference.startswith("data:"):
            return data_in(reference)
        return self.read(self._resolve(reference, posixpath.dirname(chapter))) or b""

    def chapters(self) -> Iterator[str]:
        """Paths of the chapters in the order of the spine, without the table of contents."""
        for reference in self._package.iter():
            item = self._items.get(attribute(reference, "idref") or "") if name_of(reference) == "itemref" else None
            if item is None or "nav" in (attribute(item, "properties") or "").split():
                continue
            kind = attribute(item, "media-type") or ""
            if kind in _HTML_TYPES or not kind:
                yield self._resolve(attribute(item, "href") or "")

    def read_metadata(self, builder: DocumentBuilder) -> None:
        """Title, authors and dates, and what else a reader may filter on."""
        found: dict[str, list[str]] = {}
        for node in self._package.iter():
            text = " ".join("".join(node.itertext()).split()) if name_of(node) else ""
            if name_of(node) in ("title", "creator", "date", "publisher", "identifier", "subject", "description"):
                found.setdefault(name_of(node), []).extend([text] if text else [])
            elif name_of(node) == "meta" and attribute(node, "property") == "dcterms:modified":
                builder.last_modified = _moment(text) or builder.last_modified
        builder.title = next(iter(found.get("title", ())), "")
        builder.author = ", ".join(dict.fromkeys(found.get("creator", ()))) or None
        builder.created_at = next((m for d in found.get("date", ()) if (m := _moment(d))), None)
        for key in ("publisher", "identifier", "description"):
            if found.get(key):
                builder.extra[key] = found[key][0]
        if found.get("subject"):
            builder.extra["subjects"] = found["subject"]

    def contents(self) -> dict[str, Labels]:
        """What each file's parts are called in the table of contents: from the navigation document, else from the NCX."""
        for item in self._items.values():
            if "nav" in (attribute(item, "properties") or "").split():
                path = self._resolve(attribute(item, "href") or "")
                return self._labels(path, "a", "href", ("ol",), lambda node: "".join(node.itertext()))
        for item in self._items.values():
            if attribute(item, "media-type") == "application/x-dtbncx+xml":
                path = self._resolve(attribute(item, "href") or "")
                return self._labels(path, "content", "src", ("navPoint",), _ncx_label)
        return {}

    def _labels(self, path: str, tag: str, link: str, levels: tuple[str, ...], label: Any) -> dict[str, Labels]:
        data = self.read(path)
        labels: dict[str, Labels] = {}
        if data is None:
            return labels
        try:
            root = parse_xml(data, self.source, recover=True)
        except ParseError:
            return labels  # only names for chapters without headings are lost
        for node in root.iter():
            if name_of(node) == tag and (target := attribute(node, link)):
                depth = sum(name_of(above) in levels for above in node.iterancestors())
                text = " ".join(str(label(node)).split())
                place = self._resolve(target, posixpath.dirname(path))
                if text:
                    labels.setdefault(place, []).append((max(depth, 1), text))
        return labels

    def _resolve(self, reference: str, base: str | None = None) -> str:
        plain = unquote(reference.partition("#")[0])
        return posixpath.normpath(posixpath.join(self._base if base is None else base, plain))

    def _check_rights(self) -> None:
        data = self.read("META-INF/encryption.xml")
        if data is None:
            return
        methods = [
            attribute(n, "Algorithm") or ""
            for n in parse_xml(data, self.source).iter()
            if name_of(n) == "EncryptionMethod"
        ]
        if any(m not in _FONT_MANGLING for m in methods):
            raise EncryptedError(f"{self.source}: the e-book is locked (digital rights management); add an open copy")


def _ncx_label(node: Any) -> str:
    point = node.getparent()
    texts = ("".join(child.itertext()) for child in point if name_of(child) == "navLabel") if point is not None else ()
    return next(iter(texts), "")


def _moment(text: str) -> datetime | None:
    """A date of OPF, which may be a year or a month only."""
    match = re.match(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", text)
    if not match:
        return None
    try:
        if "T" in text:
            return datetime.fromisoformat(text)
        return datetime(int(match.group(1)), int(match.group(2) or 1), int(match.group(3) or 1))
    except ValueError:
        return None
