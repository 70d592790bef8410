"""``lunheng tune``: one file a subcommand. Called by ``main``."""

from __future__ import annotations

import typer

from lunheng.cli.tune import (
    chat,
    check,
    data,
    encoders,
    export,
    generate,
    hardware,
    importing,
    launch,
    merge,
    parity,
    plan,
    train,
)

app = typer.Typer(no_args_is_help=True, help="Train models.")


@app.callback()
def _group() -> None:
    """Train models."""


app.command("embed")(encoders.embed)
app.command("rerank")(encoders.rerank)
app.command("check")(check.check)
app.add_typer(data.app, name="data")
app.command("hardware")(hardware.hardware)
app.command("plan")(plan.plan)
app.command("import")(importing.import_recipe)
app.command("launch")(launch.launch)
app.command("merge")(merge.merge)
app.command("export")(export.export)
app.command("parity")(parity.parity)
app.command("generate")(generate.generate)
app.command("chat")(chat.chat)
for _method in train.ABOUT:
    app.command(_method)(train.command(_method))
