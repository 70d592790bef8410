"""Turns documents and chunks into rows and back. Called by ``Catalog``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from lunheng.types import Chunk, Document, Element, Metadata, content_id, to_jsonable

_FIELDS = dict.fromkeys(f.name for f in fields(Metadata))


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def document_to_row(document: Document) -> dict[str, Any]:
    row: dict[str, Any] = {
        name: getattr(document, name)
        for name in ("id", "source", "collection", "source_type", "title", "author", "language", "content_hash", "text")
    }
    for name in ("created_at", "last_modified", "acl", "extra", "warnings", "inferred"):
        row[name] = to_jsonable(getattr(document, name))
    row["elements"] = [_stored_element(e) for e in document.elements]
    return row


def row_to_document(row: Row[Any]) -> Document:
    return Document(
        source=row.source,
        source_type=row.source_type,
        text=row.text,
        elements=tuple(_element(e, row.text) for e in row.elements),
        content_hash=row.content_hash,
        title=row.title,
        author=row.author,
        created_at=_time(row.created_at),
        last_modified=_time(row.last_modified),
        language=row.language,
        collection=row.collection,
        acl=tuple(row.acl),
        extra=row.extra,
        warnings=tuple(row.warnings),
        inferred=tuple(row.inferred or ()),
    )


_ELEMENT_FIELDS = tuple(f.name for f in fields(Element) if f.name != "text")


def _stored_element(element: Element) -> dict[str, Any]:
    """Without the text, which is document.text[start:end], and without what says nothing."""
    values = ((name, getattr(element, name)) for name in _ELEMENT_FIELDS)
    return {name: value for name, value in values if value not in (None, (), "body") and value is not False}


def _element(stored: dict[str, Any], text: str) -> Element:
    values = dict(stored, text=text[stored["start"] : stored["end"]])
    values["heading_path"] = tuple(values.get("heading_path", ()))
    values["links"] = tuple((words, target) for words, target in values.get("links", ()))
    if values.get("bbox") is not None:
        values["bbox"] = tuple(values["bbox"])
    return Element(**values)


def chunk_to_row(chunk: Chunk, document_text: str, sequence: int) -> dict[str, Any]:
    return {
        "id": chunk.id,
        "document_id": chunk.metadata.document_id,
        "chunk_index": chunk.metadata.chunk_index,
        "start": chunk.start,
        "end": chunk.end,
        "text": chunk.text,
        "prefix": chunk.prefix,
        "kind": chunk.kind,
        "language": chunk.metadata.language,
        "element_ids": list(chunk.element_ids),
        "metadata": _stored_metadata(chunk.metadata),
        "text_hash": passage_hash(chunk.full_text, document_text, chunk.start, chunk.metadata.embedded_in),
        "sequence": sequence,
    }


def _stored_metadata(metadata: Metadata) -> dict[str, Any]:
    """``to_jsonable``, by name: it is written for every chunk."""
    values = {name: getattr(metadata, name) for name in _FIELDS}
    for name in ("created_at", "last_modified"):
        values[name] = values[name] and values[name].isoformat()
    values["extra"] = to_jsonable(metadata.extra)
    return values


def passage_hash(full_text: str, document_text: str, start: int, embedded_in: Sequence[int] | None) -> str:
    """Names the vector of a passage; one that was made within a longer stretch of the document, by that too."""
    if embedded_in is None:
        return text_hash(full_text)
    first, last = embedded_in
    return content_id(full_text, document_text[first:last], str(start - first))


def text_hash(full_text: str) -> str:
    """Names the vector of a passage that was embedded by itself."""
    return content_id(full_text)


def row_to_chunk(row: Row[Any]) -> Chunk:
    stored = {k: v for k, v in row.metadata.items() if k in _FIELDS}
    for name in ("heading_path", "tags", "references", "acl"):
        stored[name] = tuple(stored.get(name) or ())
    for name in ("bbox", "parent", "embedded_in"):
        if stored.get(name) is not None:
            stored[name] = tuple(stored[name])
    for name in ("created_at", "last_modified"):
        stored[name] = _time(stored.get(name))
    return Chunk(
        id=row.id,
        text=row.text,
        start=row.start,
        end=row.end,
        metadata=Metadata(**stored),
        prefix=row.prefix,
        element_ids=tuple(row.element_ids),
        kind=row.kind,
    )
