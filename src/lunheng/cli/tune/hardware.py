"""``lunheng tune hardware``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lunheng.cli.common import AsJson, out, print_json, show_notes


def hardware(
    output: Annotated[Path, typer.Option(help="The folder whose disk will hold the result.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Show what this machine has for training, and the number type and threads that follow."""
    from lunheng.tuning.planning.hardware import probe

    found = probe(output)
    if as_json:
        print_json({**_fields(found), "device": found.device, "precision": found.precision})
        return
    native = "bfloat16 is native" if found.cpu_bfloat16 else "bfloat16 is emulated, and slow"
    out.print(f"{found.processor}: {found.cores:g} cores of this process, {native}", markup=False)
    out.print(
        f"RAM {found.available / 2**30:.1f} of {found.memory / 2**30:.1f} GiB free; disk {found.disk / 2**30:.0f}"
    )
    for gpu in found.accelerators:
        version = f", capability {gpu.capability[0]}.{gpu.capability[1]}" if gpu.capability else ""
        sizes = f"{gpu.free / 2**30:.1f} of {gpu.memory / 2**30:.1f} GiB free"
        out.print(f"{gpu.name}: {sizes}{version}", markup=False)
    out.print(f"trains on [bold]{found.device}[/] in [bold]{found.precision}[/] with {found.threads} threads")
    if not found.four_bit:
        out.print("bitsandbytes is not installed: no 4-bit base, no 8-bit optimiser")
    show_notes(found.notes)


def _fields(found: object) -> dict[str, object]:
    from lunheng.types import to_jsonable

    return dict(to_jsonable(found))
