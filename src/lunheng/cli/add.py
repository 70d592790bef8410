"""``lunheng add PATH...``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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

Collection = Annotated[
    str | None,
    typer.Option("--collection", help="The collection that they belong to, instead of what they say themselves."),
]
Acl = Annotated[list[str] | None, typer.Option("--acl", help="Who may read them: *, user:ID, group:NAME (repeatable).")]
Meta = Annotated[
    list[str] | None,
    typer.Option(
        "--meta",
        help="Your own metadata, key=value (repeatable), for this run: give it again next time, or use sidecars.",
    ),
]


def add(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.")],
    kb: Folder = DEFAULT_FOLDER,
    collection: Collection = None,
    acl: Acl = None,
    meta: Meta = None,
    as_json: AsJson = False,
) -> None:
    """Add files and folders; unchanged ones cost at most a hash, bad ones are reported and skipped."""
    metadata = parse_metadata(meta)
    insist_on_acl(acl)
    insist_on(paths)
    with opened(kb, must_exist=False) as base, bar("adding", as_json) as advance:
        report = base.add(paths, collection=collection, acl=acl, metadata=metadata, progress=ingest_progress(advance))
    show_ingest(report, as_json)
