"""How a document travels from the child process to its parent: JSON, never pickle.

Called by ``worker`` and ``sandbox``. The child runs native code over files that nobody vouches
for, so what it says is read as data. Elements go as offsets; their texts are cut from the
document's text again, which keeps them exact by construction. Pictures go as base64.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

from lunheng.types import Document, Element, Picture, to_jsonable

_FIELDS = [
    "source",
    "source_type",
    "text",
    "content_hash",
    "title",
    "author",
    "language",
    "collection",
    "extra",
    "created_at",
    "last_modified",
    "acl",
    "warnings",
    "inferred",
]
_DATES = ("created_at", "last_modified")
_TUPLES = ("acl", "warnings", "inferred")


def encode_document(document: Document) -> bytes:
    """Give the JSON of a document."""
    paths: dict[tuple[str, ...], int] = {}
    rows = [
        (
            *(e.kind, e.start, e.end, e.level, paths.setdefault(e.heading_path, len(paths))),
            *(e.page, e.bbox, e.caption, e.is_ocr, e.ocr_confidence, e.hidden, e.role, e.links),
        )
        for e in document.elements
    ]
    fields = {name: to_jsonable(getattr(document, name)) for name in _FIELDS}
    pictures = [(p.element, base64.b64encode(p.jpeg).decode()) for p in document.pictures]
    payload = {"fields": fields, "paths": list(paths), "elements": rows, "pictures": pictures}
    return json.dumps(payload, ensure_ascii=False).encode()


def decode_document(data: bytes) -> Document:
    """Make the document again.

    Raises:
        ValueError, LookupError, TypeError: if ``data`` is not what ``encode_document`` gives.
    """
    payload = json.loads(data)
    fields: dict[str, Any] = payload["fields"]
    for name in _DATES:
        fields[name] = datetime.fromisoformat(fields[name]) if fields[name] else None
    for name in _TUPLES:
        fields[name] = tuple(fields[name])
    text: str = fields["text"]
    paths = [tuple(path) for path in payload["paths"]]
    elements = tuple(
        Element(
            *(kind, text[start:end], start, end, level, paths[path], page, tuple(bbox) if bbox else None),
            *(*rest, tuple((words, target) for words, target in links)),
        )
        for kind, start, end, level, path, page, bbox, *rest, links in payload["elements"]
    )
    pictures = tuple(
        Picture(range(len(elements))[at], base64.b64decode(data, validate=True)) for at, data in payload["pictures"]
    )
    return Document(elements=elements, pictures=pictures, **fields)
