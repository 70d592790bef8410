"""``lunheng tune data``: training data that a retrieval system makes; one file a subcommand. Called by ``tune``."""

from __future__ import annotations

import typer

from lunheng.cli.tune.data import negatives, preferences, qa, raft

app = typer.Typer(no_args_is_help=True, help="Make training data.")


@app.callback()
def _group() -> None:
    """Make training data."""


app.command("negatives")(negatives.negatives)
app.command("qa")(qa.qa)
app.command("raft")(raft.raft)
app.command("preferences")(preferences.preferences)
