"""``lunheng config show``"""

from __future__ import annotations

import json

import typer

from lunheng.cli.common import DEFAULT_FOLDER, AsJson, Folder, out, print_json

app = typer.Typer(no_args_is_help=True, help="Settings.")


@app.callback()
def _group() -> None:
    """Settings."""


@app.command("show")
def show(kb: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Show every setting with its value, as lunheng.toml would hold it."""
    from lunheng.config import Settings

    values = Settings.load(kb).model_dump(mode="json")
    if as_json:
        print_json(values)
        return
    for section, settings in values.items():
        out.print(f"[{section}]", markup=False, style="bold")
        for name, value in settings.items():
            # JSON writes strings, numbers, booleans and lists as TOML does.
            out.print(f"# {name} is not set" if value is None else f"{name} = {json.dumps(value)}", markup=False)
        out.print()
