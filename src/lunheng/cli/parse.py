"""``lunheng parse FILE``"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from lunheng.cli.common import AsJson, counted, err, insist_on_file, out, print_json
from lunheng.types import EVERYONE, Document


def parse(
    file: Annotated[Path, typer.Argument(help="The file to read.")],
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print it as Markdown; hidden text is left out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is read from a file: its structure, text and properties."""
    from lunheng.config import Settings
    from lunheng.ingest.figures import with_descriptions
    from lunheng.models import load_describer
    from lunheng.parsing import parse_file
    from lunheng.parsing.export import document_json, document_markdown

    if markdown and as_json:
        raise typer.BadParameter("goes without --json: one form at a time", param_hint="--markdown")
    insist_on_file(file, "FILE")
    settings = Settings.load()
    describer = load_describer(settings.models, settings.parsing.describe_figures)
    document = with_descriptions(parse_file(file, settings.parsing), describer)
    if as_json:
        print_json(document_json(document))
        return
    if markdown:
        sys.stdout.write(document_markdown(document))
        _show_warnings(document.warnings)
        return
    out.print(
        f"[bold]{document.title or file.name}[/]  [dim]{document.source_type}, {document.language}, "
        f"{counted(len(document.elements), 'element')}, {counted(len(document.text), 'character')}[/]"
    )
    if known := _known(document):
        out.print(f"[dim]{escape(known)}[/]")
    for element in document.elements:
        page = f"p{element.page} " if element.page else ""
        mark = "#" * element.level + " " if element.kind == "heading" else ""
        flags = [element.role.replace("_", " ")] if element.role != "body" else []
        flags += ["hidden"] if element.hidden else []
        flags += ["OCR"] if element.is_ocr else []
        said = f" ({', '.join(flags)})" if flags else ""
        out.print(f"[dim]{page}{element.kind:>9}{said}[/] ", end="")
        out.print(mark + element.text, markup=False)
        if element.description:
            out.print(f"[dim]{'described':>9}[/] ", end="")
            out.print(element.description, markup=False)
    _show_warnings(document.warnings)


def _known(document: Document) -> str:
    """What is known of it beside its text: author, dates that the file itself states, access, own metadata."""
    known = {"author": document.author}
    for name in ("created_at", "last_modified"):
        moment: datetime | None = getattr(document, name)
        known[name] = moment.date().isoformat() if moment is not None and name not in document.inferred else None
    known["collection"] = document.collection if document.collection != "default" else None
    known["acl"] = ", ".join(document.acl) if document.acl != (EVERYONE,) else None
    parts = [f"{name}: {value}" for name, value in known.items() if value]
    return "; ".join([*parts, *(f"{name}: {_said(value)}" for name, value in document.extra.items())])


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _show_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        err.print("[yellow]warning[/] ", end="")
        err.print(warning, markup=False)
