"""Collects what a parser finds and turns it into a ``Document`` whose offsets are exact.

Called by every parser. The canonical text is the elements' texts joined by a blank line, so an
element's offsets follow from its position alone; headings keep their own trail, so every element
knows the headings above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from lunheng.errors import LimitError, ParseError
from lunheng.types import BBox, Document, Element, ElementKind, ElementRole, Limits, Picture, content_id

JOINER = "\n\n"
LANGUAGE_SAMPLE = 20_000

# NUL and the other C0 controls but tab and newline, lone surrogates (no UTF-8 form), the byte order mark
# (which also hides as a zero-width space) and the two non-characters.
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufeff\ufffe\uffff]")


def clean_text(text: str) -> str:
    """Unify line ends and drop what no index can hold; otherwise leave the text as the author wrote it."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNWANTED.sub("", text.replace("\x0b", "\n").replace("\x0c", "\n"))


def read_bytes(source: Path, limits: Limits) -> bytes:
    """Read a file within the byte limit.

    Raises:
        ParseError: if it cannot be read, is larger than the limit, or is empty.
    """
    try:
        size = source.stat().st_size
        if size > limits.max_bytes:
            raise LimitError(
                f"{source}: {size:,} bytes, over the limit of {limits.max_bytes:,}; "
                "split the file or raise parsing.max_bytes"
            )
        data = source.read_bytes()
    except OSError as error:
        raise ParseError(
            f"{source}: cannot be read ({error.strerror or error}); check its path and permissions"
        ) from error
    if not data:
        raise ParseError(f"{source}: the file is empty (0 bytes); remove it or save it again from its program")
    return data


class DocumentBuilder:
    """One document under way. Set the properties, add elements in reading order, ``build``."""

    def __init__(self, source: Path, source_type: str, data: bytes) -> None:
        self.source = source
        self.source_type = source_type
        self.content_hash = content_id(data)
        self.title = ""
        self.author: str | None = None
        self.created_at: datetime | None = None
        self.last_modified: datetime | None = None
        self.extra: dict[str, object] = {}
        self.warnings: list[str] = []
        self._elements: list[Element] = []
        self._pictures: list[Picture] = []
        self._position = 0
        self._trail: list[tuple[int, str]] = []
        self._path: tuple[str, ...] = ()

    def warn(self, message: str) -> None:
        """Note, once, what the reader of this document should know."""
        if message not in self.warnings:
            self.warnings.append(message)

    def heading(
        self,
        text: str,
        level: int,
        *,
        page: int | None = None,
        bbox: BBox | None = None,
        is_ocr: bool = False,
        ocr_confidence: float | None = None,
        hidden: bool = False,
        links: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Add a heading; the elements that follow stand below it until one of its level or above."""
        text = " ".join(clean_text(text).split())
        if not text:
            return
        if hidden:
            self.add("heading", text, level=level, page=page, bbox=bbox, hidden=True, links=links)
            return
        while self._trail and self._trail[-1][0] >= level:
            self._trail.pop()
        self._path = tuple(t for _, t in self._trail)
        self.add(
            "heading",
            text,
            level=level,
            page=page,
            bbox=bbox,
            is_ocr=is_ocr,
            ocr_confidence=ocr_confidence,
            links=links,
        )
        self._trail.append((level, text))
        self._path = tuple(t for _, t in self._trail)

    def add(
        self,
        kind: ElementKind,
        text: str,
        *,
        level: int = 0,
        page: int | None = None,
        bbox: BBox | None = None,
        caption: str | None = None,
        is_ocr: bool = False,
        ocr_confidence: float | None = None,
        hidden: bool = False,
        role: ElementRole = "body",
        links: Iterable[tuple[str, str]] = (),
        picture: bytes = b"",
    ) -> None:
        """Add an element; one without text is left out.

        ``picture``: the JPEG of a figure, to be described. Such a figure is kept without text too, under its number, so
        that the description has a place in the document.
        """
        text = clean_text(text)
        text = text.strip("\n").rstrip() if kind in ("code", "list") else text.strip()
        if picture and not hidden and not text.strip():
            text = self._picture_name()
        if not text.strip():
            return
        if picture and not hidden:
            self._pictures.append(Picture(len(self._elements), picture))
        start = self._position
        self._position = start + len(text) + len(JOINER)
        self._elements.append(
            Element(
                kind,
                text,
                start,
                start + len(text),
                level,
                self._path,
                page,
                bbox,
                caption,
                is_ocr,
                ocr_confidence,
                hidden,
                role,
                tuple(links),
            )
        )

    def _picture_name(self) -> str:
        """What stands for a picture that has no text, in the language of what stands before it."""
        before = JOINER.join(e.text for e in self._elements[-20:]) or self.title or self.source.stem
        name = "图片" if _language(before) == "zh" else "picture"
        return f"[{name} {len(self._pictures) + 1}]"

    def picture(self, element: int, jpeg: bytes) -> None:
        """Hand over the picture of a figure that was added already."""
        self._pictures.append(Picture(element, jpeg))

    @property
    def elements(self) -> tuple[Element, ...]:
        """What was added so far."""
        return tuple(self._elements)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """What was handed over so far."""
        return tuple(self._pictures)

    def graft(self, elements: Iterable[Element], below: int, pictures: Iterable[Picture] = ()) -> None:
        """Take over the elements of another document, its headings ``below`` levels deeper than they stood there."""
        first = len(self._elements)
        self._pictures.extend(replace(p, element=first + p.element) for p in pictures)
        for element in elements:
            shown_heading = element.kind == "heading" and not element.hidden
            level = element.level + below if element.kind == "heading" else element.level
            if shown_heading:
                while self._trail and self._trail[-1][0] >= level:
                    self._trail.pop()
                self._path = tuple(t for _, t in self._trail)
            start = self._position
            end = start + len(element.text)
            self._position = end + len(JOINER)
            self._elements.append(replace(element, start=start, end=end, level=level, heading_path=self._path))
            if shown_heading:
                self._trail.append((level, element.text))
                self._path = tuple(t for _, t in self._trail)

    def caption_above(self) -> str | None:
        """The paragraph just added, where it reads as the caption of a table that follows."""
        from lunheng.parsing.captions import caption_kind

        last = self._elements[-1] if self._elements else None
        if last is None or last.kind != "paragraph" or last.hidden or caption_kind(last.text) != "table":
            return None
        return " ".join(last.text.split())

    def build(self) -> Document:
        """Give the document; its title is the property's, else its first heading of the top level."""
        text = JOINER.join(e.text for e in self._elements)
        headings = [e for e in self._elements if e.kind == "heading" and not e.hidden]
        top = min((e.level for e in headings), default=0)
        title = clean_text(self.title).strip() or next((e.text for e in headings if e.level == top), "")
        if not self._elements:
            self.warn("no text was found in it")
        return Document(
            source=str(self.source),
            source_type=self.source_type,
            text=text,
            elements=tuple(self._elements),
            content_hash=self.content_hash,
            title=" ".join(title.split()) or self.source.stem,
            author=clean_text(self.author).strip() or None if self.author else None,
            created_at=_utc(self.created_at),
            last_modified=_utc(self.last_modified),
            language=_language(text),
            extra=self.extra,
            warnings=tuple(self.warnings),
            pictures=tuple(self._pictures),
        )


def _language(text: str) -> str:
    from lunheng.text.language import detect_language

    if len(text) <= LANGUAGE_SAMPLE:
        return detect_language(text)
    # The start is often a cover or a licence: look at the middle too.
    middle = len(text) // 2
    half = LANGUAGE_SAMPLE // 2
    return detect_language(text[:half] + "\n" + text[middle : middle + half])


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
