"""``lunheng list``"""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from lunheng.cli.common import DEFAULT_FOLDER, As, AsJson, Folder, Groups, Where, opened, out, principal, print_json


def list_documents(
    kb: Folder = DEFAULT_FOLDER, where: Where = None, user: As = None, group: Groups = None, as_json: AsJson = False
) -> None:
    """List the documents."""
    with opened(kb) as base:
        documents = base.documents(filter=where, principal=principal(user, group))
    if as_json:
        print_json(documents)
        return
    table = Table("document", "type", "language", "chunks", "version", "title", box=None, header_style="bold")
    for d in documents:
        table.add_row(Path(d.source).name, d.source_type, d.language, str(d.chunks), str(d.version), d.title)
    out.print(table)
    out.print(f"{len(documents)} documents")
