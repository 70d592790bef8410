"""``lunheng tune launch``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lunheng.cli.common import AsJson, out, print_json
from lunheng.cli.tune.train import Changes, change


def launch(
    recipe: Annotated[Path, typer.Option("--recipe", "-r", help="The recipe, with its [parallel] part.")],
    write: Annotated[Path, typer.Option("--write", help="The folder to write what starts it into.")],
    cpu: Annotated[bool, typer.Option("--cpu", help="Processes on CPUs instead of GPUs (strategy ddp).")] = False,
    ray: Annotated[bool, typer.Option("--ray", help="Start it now, on Ray: RAY_ADDRESS, or this machine.")] = False,
    changes: Changes = None,
    as_json: AsJson = False,
) -> None:
    """Write what starts a recipe on several GPUs or machines, or start it on Ray."""
    from lunheng.tuning.planning.launch import SCRIPT, launch_files
    from lunheng.tuning.recipes import load_recipe, write_recipe

    loaded = load_recipe(recipe, None, **dict(change(text) for text in changes or ()))
    resolved = write / "recipe.toml"
    files = launch_files(loaded, resolved, write, cpu=cpu)
    write.mkdir(parents=True, exist_ok=True)
    write_recipe(loaded, resolved)
    for name, text in files.items():
        (write / name).write_text(text, encoding="utf-8")
    if ray:
        from lunheng.tuning.planning.ray import train_on_ray

        manifest = train_on_ray(loaded, resolved, cpu=cpu)
        if as_json:
            print_json(manifest)
        else:
            out.print(f"{manifest.status} after {manifest.steps} steps: {loaded.output}", markup=False)
        return
    paths = [str(resolved), *(str(write / name) for name in files)]
    if as_json:
        print_json({"files": paths, "start": f"bash {write / SCRIPT}", "devices": loaded.parallel.world})
        return
    for path in paths:
        out.print(f"written {path}", markup=False)
    more = " NUMBER ADDRESS, on each machine" if loaded.parallel.nodes > 1 else ""
    out.print(f"start it with: bash {write / SCRIPT}{more}", markup=False)
