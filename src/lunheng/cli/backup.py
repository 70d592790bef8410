"""``lunheng backup FILE``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lunheng.cli.common import DEFAULT_FOLDER, AsJson, Folder, out, print_json


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; only an earlier backup is replaced.")],
    kb: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Write the knowledge base to one file, as of now; others may go on reading and writing."""
    from lunheng.ingest.backup import backup as write

    if file.is_dir():
        raise typer.BadParameter(f"{file} is a folder; name the file to write, as {file}/kb.zip", param_hint="FILE")
    made = write(kb, file)
    if as_json:
        print_json(made)
    else:
        out.print(f"{made['file']}: {int(str(made['bytes'])) / 1e6:.1f} MB")
