"""The ``lunheng`` command. Called by the console script."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import warnings

import typer

from lunheng.cli import (
    add,
    ask,
    backup,
    chat,
    check,
    chunk,
    config,
    evaluate,
    models,
    parse,
    rebuild,
    remove,
    restore,
    search,
    status,
    sync,
    tune,
)
from lunheng.cli import list as list_
from lunheng.cli.common import err
from lunheng.errors import LunhengError

app = typer.Typer(
    name="lunheng",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Lunheng 论衡: documents in, answers weighed against their sources out.",
)
app.command("add")(add.add)
app.command("sync")(sync.sync)
app.command("remove")(remove.remove)
app.command("list")(list_.list_documents)
app.command("search")(search.search)
app.command("ask")(ask.ask)
app.command("chat")(chat.chat)
app.command("parse")(parse.parse)
app.command("chunk")(chunk.chunk)
app.command("status")(status.status)
app.command("check")(check.check)
app.command("rebuild")(rebuild.rebuild)
app.command("backup")(backup.backup)
app.command("restore")(restore.restore)
app.add_typer(config.app, name="config")
app.add_typer(models.app, name="models")
app.add_typer(evaluate.app, name="eval")
app.add_typer(tune.app, name="tune")


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show warnings and what is being done."),
) -> None:
    if version:
        from lunheng import __version__

        typer.echo(__version__)
        raise typer.Exit()
    if not (verbose or sys.warnoptions):  # what libraries have renamed among themselves is no news to a user
        warnings.filterwarnings("ignore", category=FutureWarning)
    level = logging.INFO if verbose else logging.ERROR
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)


def main() -> None:
    """Run the command; errors of ours are one line and exit code 1, Ctrl-C is 130."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that cannot show a character gets its number
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except LunhengError as error:
        err.print("[bold red]error:[/] ", end="")
        err.print(str(error), markup=False)
        sys.exit(1)
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read has read enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        err.print("[bold red]error:[/] ", end="")
        err.print(f"{error.filename or 'input/output'}: {error.strerror or error}", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("[yellow]interrupted[/]; what was finished is kept, and the next run goes on from there")
        sys.exit(130)
