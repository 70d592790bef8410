"""Jupyter notebooks: prose through the Markdown parser, code cells as code, and the text that they printed.

Called by ``dispatch`` for ipynb (nbformat 3 and 4). Outputs follow their cell; each is marked as one by its
caption, so that printed text is not taken for what the author wrote. Pictures are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lunheng.errors import LimitError, ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.encoding import decode
from lunheng.parsing.html import add_html
from lunheng.parsing.markdown import add_markdown
from lunheng.types import Document, Limits

OUTPUT = "output"
"""The caption of what a cell printed."""
_TERMINAL_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotebookParser:
    """Reads ipynb."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        text, _, warnings = decode(data, str(source))
        builder = DocumentBuilder(source, "ipynb", data)
        for warning in warnings:
            builder.warn(warning)
        try:
            notebook = json.loads(text)
        except RecursionError as error:
            raise LimitError(f"{source}: nested deeper than can be read; it is no notebook") from error
        except ValueError as error:
            raise ParseError(f"{source}: not a valid notebook ({error}); save it again in Jupyter") from error
        if not isinstance(notebook, dict):
            raise ParseError(f"{source}: not a notebook, but another kind of JSON; name it .json")
        _read_metadata(_object(notebook.get("metadata")), builder)
        for cell in _cells(notebook):
            _add_cell(cell, builder, limits)
        return builder.build()


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    sheets = notebook.get("worksheets")  # nbformat 3
    holders = [notebook, *(sheets if isinstance(sheets, list) else [])]
    for holder in holders:
        cells = holder.get("cells") if isinstance(holder, dict) else None
        yield from (cell for cell in cells or () if isinstance(cell, dict))


def _add_cell(cell: dict[str, Any], builder: DocumentBuilder, limits: Limits) -> None:
    kind = cell.get("cell_type")
    text = _joined(cell.get("source", cell.get("input")))
    if kind == "markdown":
        add_markdown(text, builder, limits)
    elif kind == "heading":  # nbformat 3
        level = cell.get("level")
        builder.heading(text, level if isinstance(level, int) and level > 0 else 1)
    elif kind == "code":
        builder.add("code", text)
        for output in cell.get("outputs") or ():
            if isinstance(output, dict):
                _add_output(output, builder, limits)
    else:
        builder.add("paragraph", text)


def _add_output(output: dict[str, Any], builder: DocumentBuilder, limits: Limits) -> None:
    kind = output.get("output_type")
    if kind == "stream":
        builder.add("code", _joined(output.get("text")), caption=OUTPUT)
    elif kind in ("error", "pyerr"):
        builder.add("code", f"{output.get('ename', '')}: {output.get('evalue', '')}", caption=OUTPUT)
    else:
        data = _object(output.get("data")) or output
        table = _joined(data.get("text/html", data.get("html")))
        if "<table" in table:  # a data frame: its plain form is cut to the width of a terminal
            add_html(table, builder, limits.max_nesting)
        elif markdown := _joined(data.get("text/markdown")):
            add_markdown(markdown, builder, limits)
        else:
            builder.add("code", _joined(data.get("text/plain", data.get("text"))), caption=OUTPUT)


def _read_metadata(metadata: dict[str, Any], builder: DocumentBuilder) -> None:
    title = metadata.get("title")
    builder.title = title if isinstance(title, str) else ""
    authors = metadata.get("authors")
    names = [_object(a).get("name") for a in authors] if isinstance(authors, list) else []
    builder.author = ", ".join(name for name in names if isinstance(name, str)) or None
    language = _object(metadata.get("kernelspec")).get("language") or _object(metadata.get("language_info")).get("name")
    if isinstance(language, str):
        builder.extra["code_language"] = language


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _joined(value: Any) -> str:
    """Text as nbformat has it: a string, or a list of lines."""
    parts = value if isinstance(value, list) else [value]
    return _TERMINAL_COLOURS.sub("", "".join(part for part in parts if isinstance(part, str)))
