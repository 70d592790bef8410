"""``lunheng rebuild``"""

from __future__ import annotations

from typing import Annotated

import typer

from lunheng.cli.common import DEFAULT_FOLDER, AsJson, Folder, bar, counted, opened, out, print_json


def rebuild(
    kb: Folder = DEFAULT_FOLDER,
    embedder: Annotated[
        str | None, typer.Option(help="Move to this embedding model; the old serves meanwhile.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Drop and remake the derived indexes from the catalog."""
    with opened(kb, any_embedder=True) as base:
        with bar("rebuilding", as_json) as advance:
            base.rebuild(embedder=embedder, progress=advance)
        found = base.status()
    if as_json:
        print_json(found)
    else:
        out.print(f"rebuilt: {counted(found['chunks'], 'chunk')}, embedder {found['embedder']}")
