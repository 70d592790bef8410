"""``lunheng remove NAME...``"""

from __future__ import annotations

from typing import Annotated

import typer

from lunheng.cli.common import DEFAULT_FOLDER, AsJson, Folder, opened, show_ingest


def remove(
    names: Annotated[
        list[str],
        typer.Argument(help="Files, folders or document ids (`lunheng list` shows files, with --json also ids)."),
    ],
    kb: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Remove documents: they vanish from search, answers, counts and indexes."""
    with opened(kb) as base:
        report = base.remove(names)
    show_ingest(report, as_json)
