"""``lunheng check``"""

from __future__ import annotations

from typing import Annotated

import typer

from lunheng.cli.common import DEFAULT_FOLDER, AsJson, Folder, counted, opened, out, print_json


def check(
    kb: Folder = DEFAULT_FOLDER,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is derived.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find, and with --repair mend, any disagreement between catalog and indexes; exit 1 where one is left."""
    with opened(kb) as base:
        report = base.check(repair=repair)
    if as_json:
        print_json(
            {"sound": report.sound, "documents": report.documents, "chunks": report.chunks, "findings": report.findings}
        )
    else:
        for finding in report.findings:
            state = "[green]mended[/]" if finding.repaired else f"[red]found[/], mend with: {finding.repair}"
            out.print(f"{finding.what}: {finding.count}, {state}")
        sound = "[green]sound[/]" if report.sound else "[red]not sound[/]"
        out.print(f"{counted(report.documents, 'document')}, {counted(report.chunks, 'chunk')}: {sound}")
    if not report.sound:
        raise typer.Exit(1)
