"""``lunheng parse FILE``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lunheng.cli.common import AsJson, counted, err, out, print_json


def parse(file: Annotated[Path, typer.Argument(help="The file to read.")], as_json: AsJson = False) -> None:
    """Show what is read from a file: its structure, text and properties."""
    from lunheng.config import Settings
    from lunheng.parsing import parse_file

    document = parse_file(file, Settings.load().parsing)
    if as_json:
        print_json(document)
        return
    out.print(
        f"[bold]{document.title or file.name}[/]  [dim]{document.source_type}, {document.language}, "
        f"{counted(len(document.elements), 'element')}, {counted(len(document.text), 'character')}[/]"
    )
    for element in document.elements:
        page = f"p{element.page} " if element.page else ""
        mark = "#" * element.level + " " if element.kind == "heading" else ""
        out.print(f"[dim]{page}{element.kind:>9}[/] ", end="")
        out.print(mark + element.text, markup=False)
    for warning in document.warnings:
        err.print("[yellow]warning[/] ", end="")
        err.print(warning, markup=False)
