"""``lunheng tune parity``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.table import Table

from lunheng.cli.common import AsJson, Waiting, err, out, print_json
from lunheng.cli.tune.merge import Base, FourBit

if TYPE_CHECKING:
    from lunheng.tuning.release.parity import Parity


def parity(
    trained: Annotated[str, typer.Argument(help="A run's folder, an adapter's or a model's.")],
    merged: Annotated[
        Path | None, typer.Option("--merged", help="The merged model; by default it is merged for the comparison.")
    ] = None,
    gguf: Annotated[
        Path | None, typer.Option("--gguf", help="The GGUF file; by default it is exported for the comparison.")
    ] = None,
    kind: Annotated[
        str, typer.Option(help="Of the GGUF file: f32, f16, bf16, q8_0, q6_k, q5_k_m, q4_k_m or q3_k_m.")
    ] = "f16",
    server: Annotated[
        str | None,
        typer.Option("--server", help="Where it is served, as http://host:8000/v1; by default llama.cpp here."),
    ] = None,
    server_model: Annotated[str, typer.Option(help="The model's name at --server.")] = "",
    tokens: Annotated[int, typer.Option(min=1, max=256, help="Of each answer.")] = 12,
    threads: Annotated[int, typer.Option(min=0, help="For llama.cpp; 0: as many as there are cores.")] = 0,
    base: Base = None,
    four_bit: FourBit = None,
    as_json: AsJson = False,
) -> None:
    """Check that a model says the same merged, as GGUF and served as where it was trained; exit 1 where not."""
    from lunheng.config import EndpointSettings
    from lunheng.tuning.release.gguf_file import GgufKind
    from lunheng.tuning.release.parity import parity as run
    from lunheng.tuning.trained import find_trained

    if kind not in get_args(GgufKind):
        raise typer.BadParameter(f"{kind!r} is not one of {', '.join(get_args(GgufKind))}", param_hint="--kind")
    if server is not None and not server_model:
        raise typer.BadParameter("goes with --server-model, the model's name there", param_hint="--server")
    with Waiting(as_json) as waiting:
        made = run(
            find_trained(trained, base, four_bit),
            merged=merged,
            gguf=gguf,
            kind=kind,  # type: ignore[arg-type]
            server=EndpointSettings(base_url=server, model=server_model) if server else None,
            tokens=tokens,
            threads=threads,
            say=waiting.say,
        )
    if as_json:
        print_json({"model": made.model, "passed": made.passed, "effect": made.effect, "checks": made.checks})
    else:
        _show(made)
    if not made.passed:
        raise typer.Exit(1)


def _show(made: Parity) -> None:
    table = Table("", "weights", "largest Δ", "mean Δ", "same top token", "same prompt", "same answer", box=None)
    for check in made.checks:
        count = len(check.cases)
        table.add_row(
            f"[red]{check.place}[/]" if check.failures else f"[green]{check.place}[/]",
            check.kind,
            f"{check.difference.largest:.2g} / {check.limits.largest:g}",
            f"{check.difference.mean:.2g} / {check.limits.mean:g}",
            f"{check.difference.top1:.0%} / {check.limits.top1:.0%}",
            f"{sum(c.same_prompt for c in check.cases)} of {count}",
            f"{sum(c.same_answer for c in check.cases)} of {count}",
        )
    out.print(table)
    if made.effect is not None:
        out.print(
            f"[dim]the adapter is {made.effect.mean:.2g} from its base in the mean (log-probabilities, in nats)[/]"
        )
    for check in made.checks:
        for failure in check.failures:
            err.print(f"[red]{check.place}[/]: ", end="")
            err.print(failure, markup=False)
    out.print("[green]the same everywhere[/]" if made.passed else "[red]not the same[/]: do not serve it as it is")
