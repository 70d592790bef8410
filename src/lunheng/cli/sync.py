"""``lunheng sync DIR``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lunheng.cli.add import Acl, Collection, Meta
from lunheng.cli.common import (
    DEFAULT_FOLDER,
    AsJson,
    Folder,
    bar,
    ingest_progress,
    insist_on,
    insist_on_acl,
    opened,
    parse_metadata,
    show_ingest,
)


def sync(
    folder: Annotated[Path, typer.Argument(help="The folder to agree with.")],
    kb: Folder = DEFAULT_FOLDER,
    collection: Collection = None,
    acl: Acl = None,
    meta: Meta = None,
    as_json: AsJson = False,
) -> None:
    """Make the knowledge base agree with a folder: added, changed and removed files propagate."""
    metadata = parse_metadata(meta)
    insist_on_acl(acl)
    insist_on([folder])
    if folder.is_file():
        raise typer.BadParameter(f"{folder} is a file; add it with: lunheng add {folder}", param_hint="FOLDER")
    with opened(kb, must_exist=False) as base, bar("syncing", as_json) as advance:
        report = base.sync(folder, collection=collection, acl=acl, metadata=metadata, progress=ingest_progress(advance))
    show_ingest(report, as_json)
