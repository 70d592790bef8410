"""``lunheng tune merge``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from lunheng.cli.common import AsJson, Waiting, out, print_json, show_notes

Trained = Annotated[str, typer.Argument(help="A run's folder, or an adapter's.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The folder to write; must not hold anything.")]
Base = Annotated[
    str | None, typer.Option("--base", help="The model that the adapter stands on, where its run does not say it.")
]
FourBit = Annotated[
    bool | None,
    typer.Option("--four-bit/--no-four-bit", help="The adapter was trained over its base in 4 bits; its run says it."),
]


def merge(
    trained: Trained,
    output: Output,
    precision: Annotated[
        str, typer.Option(help="Of the weights: auto (as the base's), float32, bfloat16 or float16.")
    ] = "auto",
    into: Annotated[
        str,
        typer.Option(help="For an adapter over a 4-bit base: trained (those weights, dequantised) or original."),
    ] = "trained",
    base: Base = None,
    four_bit: FourBit = None,
    as_json: AsJson = False,
) -> None:
    """Merge an adapter into its base, and check that the model says what the adapter said."""
    from lunheng.tuning.release.merge import Into, Precision
    from lunheng.tuning.release.merge import merge as run
    from lunheng.tuning.trained import find_trained

    for value, choices, option in ((precision, Precision, "--precision"), (into, Into, "--into")):
        if value not in get_args(choices):
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(get_args(choices))}", param_hint=option)
    with Waiting(as_json) as waiting:
        waiting.say("merging…")
        merged = run(find_trained(trained, base, four_bit), output, precision, into)  # type: ignore[arg-type]
    if as_json:
        print_json(merged)
        return
    show_notes(merged.warnings)
    out.print(f"[bold]{merged.kind}[/] merged, {merged.precision}: {merged.output}")
    allowed = "" if merged.tolerance is None else f" ({merged.tolerance:.2g} is allowed)"
    out.print(
        f"log-probabilities differ from the adapter's by at most {merged.difference.largest:.2g}{allowed}; the adapter had changed its base's by up to {merged.effect.largest:.2g}"
    )
