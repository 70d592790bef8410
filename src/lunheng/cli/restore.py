"""``lunheng restore FILE``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lunheng.cli.common import DEFAULT_FOLDER, AsJson, Folder, out, print_json


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `lunheng backup` wrote.")],
    kb: Folder = DEFAULT_FOLDER,
    force: Annotated[bool, typer.Option("--force", help="Replace the knowledge base that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Lay a backup down as a knowledge base; its indexes are remade when first needed."""
    from lunheng.ingest.backup import restore as read

    made = read(file, kb, force)
    if as_json:
        print_json(made)
    else:
        out.print(f"{made['folder']}: restored, as of {made['made_at']}")
