"""``make fuzz``: damaged files of every format through the parsers; exit code 1 if one finds a fault.

    python scripts/fuzz.py --count 2000 --data FOLDER --format docx --format pdf

The files are made from the samples of ``lunheng.testing.samples`` and from the real files below each ``--data``. What
offends is saved below ``--save``, and can be made again from ``--seed`` and its number.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lunheng.testing.fuzz import Tally, formats, fuzz_format, gather_seeds

SHOWN = 12


def main(
    count: Annotated[int, typer.Option(help="Damaged files for each format.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Another seed gives other files.")] = 0,
    only: Annotated[list[str] | None, typer.Option("--format", help="Only this format (repeatable).")] = None,
    data: Annotated[list[Path] | None, typer.Option(help="A folder of real files to damage (repeatable).")] = None,
    save: Annotated[Path, typer.Option(help="Where files that offend are kept.")] = Path("fuzz-findings"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Damage files of every format and see that each gives a document or an error that names it."""
    chosen = [name for name in formats() if not only or name in only]
    err = Console(stderr=True)
    tallies: list[Tally] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        tempfile.TemporaryDirectory() as folder,
        Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress,
    ):
        seeds = gather_seeds(Path(folder), data or ())
        task = progress.add_task("fuzzing", total=count * sum(name in seeds for name in chosen))
        for name in chosen:
            tally = Tally(name, len(seeds.get(name, [])))
            if name in seeds:
                progress.update(task, description=name)
                for done in fuzz_format(name, seeds[name], count, seed, save):
                    tally = done
                    progress.advance(task)
            tallies.append(tally)
    show_json(tallies, seed) if as_json else show(tallies, err)
    sys.exit(1 if any(tally.findings for tally in tallies) else 0)


def show(tallies: list[Tally], err: Console) -> None:
    out = Console()
    out = out if out.is_terminal else Console(width=110)
    table = Table(title="Damaged files", caption="contained: native code killed the child, and the file got an error")
    for name in ("format", "from", "files", "documents", "errors", "limits", "contained", "findings", "slowest"):
        table.add_column(name, justify="left" if name == "format" else "right")
    for tally in tallies:
        if not tally.seeds:
            table.add_row(tally.format, "no sample", style="dim")
            continue
        counts = [tally.counts.get(kind, 0) for kind in ("document", "error", "limit", "contained", "finding")]
        cells = [tally.format, *map(str, [tally.seeds, tally.cases, *counts]), f"{tally.slowest:.1f} s"]
        table.add_row(*cells, style="red" if tally.findings else None)
    out.print(table)
    for tally in tallies:
        for finding in tally.findings[:SHOWN]:
            err.print(f"[red]{finding.format} {finding.case}[/] ", end="")
            err.print(f"{finding.reason} -> {finding.file}", markup=False, soft_wrap=True)
        for kind, times in sorted(tally.unforeseen.items(), key=lambda item: -item[1])[:3]:
            err.print(f"[dim]{tally.format}: {times} x[/] ", end="")
            err.print(kind, markup=False, soft_wrap=True)


def show_json(tallies: list[Tally], seed: int) -> None:
    found = [
        {
            "format": tally.format,
            "seed": seed,
            "samples": tally.seeds,
            "files": tally.cases,
            "counts": tally.counts,
            "unforeseen": tally.unforeseen,
            "slowest_seconds": round(tally.slowest, 3),
            "findings": [{"case": f.case, "reason": f.reason, "file": str(f.file)} for f in tally.findings],
        }
        for tally in tallies
    ]
    sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
