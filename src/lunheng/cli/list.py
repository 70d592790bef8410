"""``lunheng list``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from lunheng.cli.common import (
    DEFAULT_FOLDER,
    As,
    AsJson,
    Folder,
    Groups,
    Where,
    counted,
    opened,
    out,
    principal,
    print_json,
    show_notes,
)
from lunheng.tracing import Tracer

if TYPE_CHECKING:
    from lunheng.catalog import StoredDocument

_WIDEST = 10_000
"""Columns of a table that goes to a file or a pipe, at the most."""


def list_documents(
    kb: Folder = DEFAULT_FOLDER, where: Where = None, user: As = None, group: Groups = None, as_json: AsJson = False
) -> None:
    """List the documents."""
    tracer = Tracer()
    with opened(kb) as base:
        documents = base.documents(filter=where, principal=principal(user, group), tracer=tracer)
    if as_json:
        print_json(documents)
    else:
        _show(documents)
    show_notes(tracer.trace().warnings)


def _show(documents: list[StoredDocument]) -> None:
    """A table; in a file or a pipe, where nothing wraps, as wide as it needs to be."""
    table = Table("document", "type", "language", "chunks", "version", "title", box=None, header_style="bold")
    table.columns[0].overflow = "fold"  # a name must be whole: `lunheng remove` takes it
    for d in documents:
        row = (_below_here(d.source), d.source_type, d.language, str(d.chunks), str(d.version), d.title)
        table.add_row(*map(Text, row))
    if documents:
        wide = Measurement.get(out, out.options.update(width=_WIDEST), table).maximum
        (out if out.is_terminal else Console(highlight=False, width=wide)).print(table)
    out.print(counted(len(documents), "document"))


def _below_here(source: str) -> str:
    """A path below the working directory as one would type it."""
    path = Path(source)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else source
