"""``lunheng tune plan``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lunheng.cli.common import AsJson, Waiting, counted, out, print_json, show_notes
from lunheng.cli.tune.train import Changes, change

if TYPE_CHECKING:
    from lunheng.tuning.planning.plan import Plan


def plan(
    recipe: Annotated[Path, typer.Option("--recipe", "-r", help="The recipe, a TOML file.")],
    gpus: Annotated[
        int | None, typer.Option(min=1, help="Plan for so many GPUs of one machine instead of this one.")
    ] = None,
    gpu_memory: Annotated[float, typer.Option(min=1, help="GiB of each of these GPUs.")] = 24,
    tflops: Annotated[float | None, typer.Option(help="TFLOP/s that one device has, for the time.")] = None,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Build a recipe without its weights: parameters, memory, steps, time; exit 1 where it does not fit."""
    from lunheng.tuning.planning.hardware import probe
    from lunheng.tuning.planning.plan import imagined
    from lunheng.tuning.planning.plan import plan as make
    from lunheng.tuning.recipes import load_recipe

    loaded = load_recipe(recipe, None, **dict(change(text) for text in changes or ()))
    with Waiting(as_json) as waiting:
        waiting.say("playing a step through without weights")
        made = make(loaded, imagined(gpus, gpu_memory) if gpus else probe(loaded.output), tflops)
    if as_json:
        print_json(made.as_json())
    else:
        _show(made)
    if not made.fits:
        raise typer.Exit(1)


def _show(made: Plan) -> None:
    from lunheng.tuning.planning.plan import described

    found, recipe = made.estimate, made.recipe
    share = found.trained / max(found.parameters, 1)
    out.print(
        f"[bold]{recipe.method}[/] of {recipe.model.name}, {recipe.parameters.mode}: {found.trained:,} parameters learn "
        f"({share:.2%} of {found.parameters:,})"
    )
    out.print(
        f"{described(made)} ({found.device}, {found.precision}): {counted(found.batch, 'example')} at a time, "
        f"{'with' if found.checkpointing else 'without'} checkpointing, learning rate {made.learning_rate:g}"
    )
    for name, size in sorted(found.parts.items(), key=lambda part: -part[1]):
        out.print(f"  {name:<14}{size / 2**30:8.2f} GiB")
    colour = "green" if made.fits else "red"
    total, available = found.total / 2**30, found.available / 2**30
    out.print(f"  [{colour}]{'in all':<14}{total:8.2f} GiB[/] of {available:.2f} on each device")
    if made.steps is not None and made.seconds is not None:
        out.print(
            f"{counted(made.steps, 'step')}, {made.tokens or 0:,} tokens at the most, about {_time(made.seconds)}"
        )
    if made.remedy:
        out.print(made.remedy, markup=False)
    show_notes(made.notes)


def _time(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{max(minutes, 1)} min"
