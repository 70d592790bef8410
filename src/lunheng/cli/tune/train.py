"""``lunheng tune METHOD``: a recipe in, a model out. Called by the group ``lunheng tune``."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from lunheng.cli.common import AsJson, bar, counted, err, out, print_json

if TYPE_CHECKING:
    from lunheng.tuning.recipes import Method, Recipe
    from lunheng.tuning.resuming import At
    from lunheng.tuning.run import Trained

ABOUT: dict[Method, str] = {
    "clm": "Go on with pre-training, on running text.",
    "sft": "Fine-tune on conversations: the loss is on the answers only.",
    "reward": "Train a reward model on pairs of a better and a worse answer.",
    "dpo": "Prefer the better of two answers (direct preference optimisation).",
    "kto": "Learn from single thumbs up and down (Kahneman-Tversky optimisation).",
    "ppo": "Reinforcement learning from a reward model, or functions (proximal policy optimisation).",
    "rloo": "Reinforcement learning, leave-one-out: from reward functions or a reward model.",
    "grpo": "Reinforcement learning, relative to a group: from reward functions or a reward model.",
}
STOPPED = 130
"""Exit code of a run that was asked to stop, as of a shell's own Ctrl-C."""

RecipeFile = Annotated[Path | None, typer.Option("--recipe", "-r", help="The recipe, a TOML file.")]
Model = Annotated[
    str | None, typer.Option("--model", help="The base: a folder, a GGUF file, a name of models list, or a hub id.")
]
Data = Annotated[list[Path] | None, typer.Option("--data", help="What is learnt: files or folders.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The run's folder.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="A value that stands above the recipe's: training.steps=20.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the run's folder.")]

Checkpoint = Annotated[
    int | None, typer.Option("--checkpoint", min=1, help="Go on from the checkpoint of this step instead of the last.")
]


def command(method: Method) -> Callable[..., None]:
    """The command that trains by ``method``."""

    def run(
        recipe: RecipeFile = None,
        model: Model = None,
        data: Data = None,
        output: Output = None,
        changes: Changes = None,
        resume: Resume = False,
        checkpoint: Checkpoint = None,
        as_json: AsJson = False,
    ) -> None:
        train(method, recipe, model, data, output, changes, going_on(resume, checkpoint), as_json)

    run.__doc__ = ABOUT[method] + "\n\nWith a recipe, or with --model, --data and --output and what else is set."
    return run


def train(
    method: Method,
    recipe: Path | None,
    model: str | None,
    data: list[Path] | None,
    output: Path | None,
    changes: list[str] | None,
    resume: bool | At,
    as_json: bool,
) -> None:
    """Train by ``method``, and show what came of it."""
    from lunheng.tuning.methods import train as run

    made = resolve(method, recipe, model, data, output, changes)
    with bar(method, as_json) as advance:
        trained = run(made, resume, advance)
    if as_json:
        print_json(summary(trained))
    else:
        show(trained)
    if trained.manifest.status == "stopped":
        raise typer.Exit(STOPPED)


def going_on(resume: bool, checkpoint: int | None) -> bool | At:
    """Where a run goes on: --checkpoint says --resume too."""
    from lunheng.tuning.resuming import At

    return resume if checkpoint is None else At(checkpoint)


def resolve(
    method: Method,
    recipe: Path | None,
    model: str | None,
    data: list[Path] | None,
    output: Path | None,
    changes: list[str] | None,
) -> Recipe:
    """The recipe that the command line describes.

    Raises:
        typer.BadParameter: there is no recipe, and too little beside it.
    """
    from lunheng.tuning.recipes import load_recipe, make_recipe

    given: dict[str, Any] = {}
    if model is not None:
        given["model.name"] = model
    if data:
        given["data.train"] = [str(path.absolute()) for path in data]
    if output is not None:
        given["output"] = str(output.absolute())
    given |= dict(change(text) for text in changes or ())
    if recipe is not None:
        return load_recipe(recipe, method, **given)
    missing = [name for name, there in (("--model", model), ("--data", data), ("--output", output)) if not there]
    if missing:
        raise typer.BadParameter(f"or else {', '.join(missing)} must be given", param_hint="--recipe")
    return make_recipe({"method": method}, **given)


def change(text: str) -> tuple[str, Any]:
    """``key=value``, the value as TOML reads it, and a bare word as text."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise typer.BadParameter(f"{text!r} is not of the form key=value", param_hint="--set")
    try:
        read: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        read = value.strip()
    return key.strip(), read


def summary(trained: Trained) -> dict[str, Any]:
    """What ``--json`` prints."""
    made = trained.manifest
    return {
        "id": made.id,
        "status": made.status,
        "method": made.method,
        "mode": made.mode,
        "base": made.base,
        "model": str(trained.model),
        "steps": made.steps,
        "first_loss": trained.first_loss,
        "last_loss": trained.last_loss,
        "before": made.before,
        "metrics": made.metrics,
        "examples": made.examples,
        "parameters": made.parameters,
        "seconds": round(made.seconds, 1),
        "peak_bytes": made.peak_bytes,
        "warnings": made.warnings,
    }


def show(trained: Trained) -> None:
    """What came of a run, for a person."""
    made = trained.manifest
    for warning in made.warnings:
        err.print("[yellow]note[/]: ", end="")
        err.print(warning, markup=False)
    if made.examples["left_out"]:
        left = counted(made.examples["left_out"], "example")
        err.print(f"[yellow]{left} left out[/], each with its reason in {trained.output / 'quarantine.jsonl'}")
    share = made.parameters["trained"] / max(made.parameters["all"], 1)
    out.print(
        f"[bold]{made.method}[/] of {made.base}, {made.mode}: {made.parameters['trained']:,} of "
        f"{made.parameters['all']:,} parameters ({share:.2%}), {counted(made.examples['trained'], 'example')}, "
        f"{counted(made.steps, 'step')} in {made.seconds:.0f} s, {made.peak_bytes / 2**30:.1f} GiB at the most"
    )
    table = Table("measured on held-out examples", "before", "after", box=None)
    for name, value in made.metrics.items():
        before = made.before.get(name)
        table.add_row(name.replace("_", " "), "" if before is None else f"{before:.4g}", f"{value:.4g}")
    if table.row_count:
        out.print(table)
    out.print(f"training loss {trained.first_loss:.4g} → {trained.last_loss:.4g}; curves: {trained.output}/curves.png")
    if made.status == "stopped":
        out.print(f"stopped as asked at step {made.steps}; the same command with --resume goes on")
    else:
        out.print(f"the model: {trained.model}")
