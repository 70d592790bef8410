"""``lunheng tune import FILE.yaml``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lunheng.cli.common import AsJson, counted, err, out, print_json


def import_recipe(
    file: Annotated[Path, typer.Argument(help="A training YAML of LLaMA-Factory.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the recipe here.")] = None,
    devices: Annotated[int, typer.Option(min=1, help="GPUs that it was started on: a batch there is for each.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Read a LLaMA-Factory YAML as a recipe, and name every key that has no counterpart."""
    import tomli_w

    from lunheng.tuning.llama_factory import import_yaml
    from lunheng.tuning.recipes import make_recipe

    made = import_yaml(file, devices)
    make_recipe(made.recipe, where=str(file))  # what is written is a recipe
    text = tomli_w.dumps(dict(made.recipe))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    if as_json:
        print_json({"recipe": made.recipe, "unmapped": made.unmapped})
        return
    if output is None:
        out.print(text, markup=False, end="")
    else:
        out.print(f"written {output}", markup=False)
    if made.unmapped:
        err.print(f"[yellow]{counted(len(made.unmapped), 'key')} not taken over:[/]")
        for key, reason in made.unmapped.items():
            err.print(f"  {key}: {reason}", markup=False)
