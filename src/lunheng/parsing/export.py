"""A document as JSON or as clean Markdown: what ``lunheng parse`` prints.

Called by the command line and whoever exports documents. Both are views of the elements: JSON has everything, hidden
text flagged; Markdown has what a reader would see, and leaves hidden text out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lunheng.parsing.tables import table_rows
from lunheng.types import Document, Element, to_jsonable

_MARKUP_SOURCES = frozenset({"md", "ipynb"})
"""Formats whose text is Markdown already."""
_BLOCK_MARK = re.compile(r"^(\s{0,3})(#{1,6}(?=\s)|>|[-+*](?=\s)|\|)", re.M)
_BULLET = re.compile(r"^(\s*)[•·●▪◦○■□–](?:\s+|(?=\S))", re.M)
_FENCE = re.compile(r"^ {0,3}(`{3,})", re.M)
_NOTE_MARK = re.compile(r"\[\^[^\]\s]+\]:")


def document_json(document: Document) -> dict[str, Any]:
    """The document as JSON values; ``table`` is null for what is no table."""
    return {
        "title": document.title,
        "source_type": document.source_type,
        "language": document.language,
        "metadata": to_jsonable(
            {
                "source": document.source,
                "content_hash": document.content_hash,
                "author": document.author,
                "created_at": document.created_at,
                "last_modified": document.last_modified,
                "inferred": document.inferred,
                "collection": document.collection,
                "acl": document.acl,
                "extra": document.extra,
            }
        ),
        "warnings": list(document.warnings),
        "elements": [_element_json(element) for element in document.elements],
    }


def _element_json(element: Element) -> dict[str, Any]:
    table = element.kind == "table"
    return {
        "type": element.kind,
        "text": element.text,
        "page": element.page,
        "bbox": list(element.bbox) if element.bbox else None,
        "heading_path": list(element.heading_path),
        "level": element.level,
        "is_ocr": element.is_ocr,
        "confidence": element.ocr_confidence,
        "role": element.role,
        "hidden": element.hidden,
        "caption": element.caption,
        "description": element.description,
        "links": [{"text": words, "target": target} for words, target in element.links],
        "table": {"markdown": element.text, "rows": table_rows(element.text)} if table else None,
    }


def document_markdown(document: Document) -> str:
    """The document as Markdown, ending in a line break; what a reader would not see is left out."""
    blocks: list[str] = []
    shown = [element for element in document.elements if not element.hidden]
    for at, element in enumerate(shown):
        near = {" ".join(e.text.split()) for e in shown[max(at - 1, 0) : at + 2] if e is not element}
        blocks.extend(_blocks(element, document, near | set(element.heading_path)))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _blocks(element: Element, document: Document, said: set[str]) -> Iterator[str]:
    """The blocks of one element; ``said`` holds what stands beside it, so that a caption is not written twice."""
    text = element.text
    if element.role in ("comment", "speaker_notes"):
        yield "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
        return
    if (
        element.kind in ("table", "figure")
        and element.caption
        and element.caption not in said | {" ".join(text.split())}
    ):
        yield f"*{_one_line(element.caption)}*"
    if element.kind == "heading":
        yield f"{'#' * min(element.level, 6)} {text}"
    elif element.kind == "code":
        longest = max((len(m.group(1)) for m in _FENCE.finditer(text)), default=2)
        fence = "`" * max(3, longest + 1)
        yield f"{fence}\n{text}\n{fence}"
    elif element.kind == "list":
        yield _BULLET.sub(r"\1- ", text)
    elif element.kind == "formula":
        yield text if text.startswith(("$", "\\[", "\\begin")) else f"$$\n{text}\n$$"
    elif element.kind == "figure" and element.caption == " ".join(text.split()):
        yield f"*{_one_line(text)}*"
    elif element.kind in ("paragraph", "figure") and document.source_type not in _MARKUP_SOURCES:
        yield text if _NOTE_MARK.match(text) else _BLOCK_MARK.sub(r"\1\\\2", text)
    else:
        yield text
    if element.description:
        yield f"> {_one_line(element.description)}"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("*", "\\*")
