"""What every command shares: the knowledge base's folder, ``--json``, progress and status, counts, exit codes.

Called by the commands.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.status import Status

from lunheng.types import to_jsonable

if TYPE_CHECKING:
    from lunheng.ingest.pipeline import IngestReport, ItemReport
    from lunheng.knowledge import KnowledgeBase

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Folder = Annotated[
    Path, typer.Option("--kb", envvar="LUNHENG_KB", help="The knowledge base's folder.", rich_help_panel="Common")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel="Common")]
Where = Annotated[
    str | None, typer.Option("--filter", help='Metadata filter, as: language == "zh" and page_number > 3.')
]
As = Annotated[
    str | None, typer.Option("--as", help="Ask as this user (with --group); by default as the owner, who sees all.")
]
Groups = Annotated[list[str] | None, typer.Option("--group", help="A group of the user given with --as.")]
Small = Annotated[bool, typer.Option("--small", help="Use the 0.5B language model: faster, less careful.")]
Llm = Annotated[
    str | None,
    typer.Option("--llm", help="The language model: a name of `lunheng models list`, a GGUF file, a model's folder."),
]
DEFAULT_FOLDER = Path("kb")
LINE_SECONDS = 10.0
"""Between two lines of progress, where standard error is no terminal."""
REFUSED = 3
"""Exit code of a promotion that was asked for and refused."""
SMALL_LLM = "qwen2.5-coder-0.5b-instruct"


_OUTCOMES = ("added", "updated", "removed", "unchanged", "skipped", "failed")


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 chunk``, ``2 chunks``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def outcomes(counts: Mapping[str, Any]) -> str:
    """``2 added, 1 failed``: what became of the documents, those that failed last."""
    return ", ".join(f"{counts[name]} {name}" for name in _OUTCOMES if counts.get(name))


def insist_on(paths: Iterable[Path]) -> None:
    """Before a knowledge base is made for them: the paths must exist.

    Raises:
        NotFoundError: one does not.
    """
    from lunheng.errors import NotFoundError

    for path in paths:
        if not path.expanduser().exists():
            raise NotFoundError(f"{path}: no such file or folder")


def insist_on_file(path: Path, argument: str) -> None:
    """A command that reads one file is not given a folder.

    Raises:
        typer.BadParameter: it is one.
    """
    if path.is_dir():
        raise typer.BadParameter(
            f"{path} is a folder, and this reads one file; for a folder: lunheng add {path}", param_hint=argument
        )


def insist_on_acl(acl: Iterable[str] | None) -> None:
    """Before a knowledge base is made: the entries of ``--acl`` must be of a form that someone can have.

    Raises:
        DataError: one is not.
    """
    from lunheng.parsing.metadata import checked_acl

    checked_acl(acl or ())


def show_notes(warnings: Iterable[str]) -> None:
    """Warnings of a result, each once, on standard error."""
    for warning in dict.fromkeys(warnings):
        err.print("[yellow]note[/]: ", end="")
        err.print(warning, markup=False)


class Waiting:
    """A line on standard error that says what is being done, gone when it is done; nothing where no one watches."""

    def __init__(self, quiet: bool = False) -> None:
        self._shown = err.is_terminal and not quiet
        self._status: Status | None = None

    def __enter__(self) -> Waiting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def say(self, what: str) -> None:
        """Show ``what`` until something else is said."""
        if not self._shown:
            return
        if self._status is None:
            self._status = err.status(what)
            self._status.start()
        else:
            self._status.update(what)

    def stop(self) -> None:
        """Take the line away, before anything is printed."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def print_json(value: Any) -> None:
    """JSON on standard output, nothing else."""
    sys.stdout.write(json.dumps(to_jsonable(value), ensure_ascii=False, indent=2) + "\n")


def principal(user: str | None, groups: list[str] | None) -> Any:
    """Who is asking."""
    from lunheng.types import Principal

    if groups and user is None:
        raise typer.BadParameter("goes with --as USER; without it the owner asks, who sees all", param_hint="--group")
    return Principal.local() if user is None else Principal(user, frozenset(groups or ()))


@contextmanager
def opened(
    folder: Path,
    *,
    must_exist: bool = True,
    small: bool = False,
    llm: str | None = None,
    any_embedder: bool = False,
) -> Iterator[KnowledgeBase]:
    """The knowledge base in ``folder``; a read of one that is not there is an error, not an empty result.

    ``llm`` takes another language model than the settings name, ``small`` the smaller default one; ``any_embedder`` opens it also where the settings name
    another embedder than it was built with, to migrate it.
    """
    from lunheng.config import Settings
    from lunheng.errors import NotFoundError
    from lunheng.ingest.backup import CATALOG_NAME
    from lunheng.knowledge import KnowledgeBase

    if folder.is_file():
        raise NotFoundError(f"{folder}: is a file; --kb takes the folder of a knowledge base")
    if must_exist and not (folder / CATALOG_NAME).is_file():
        raise NotFoundError(f"{folder}: holds no knowledge base yet; make one with: lunheng sync FOLDER")
    settings = Settings.load(folder)
    if small and llm:
        raise typer.BadParameter("goes without --small: both name the language model", param_hint="--llm")
    if chosen := SMALL_LLM if small else llm:
        settings = settings.model_copy(update={"models": settings.models.model_copy(update={"llm": chosen})})
    with KnowledgeBase(folder, settings) if any_embedder else KnowledgeBase.open(folder, settings) as kb:
        yield kb


def undone_by(base: KnowledgeBase, task: str) -> str:
    """``; back to NAME by: ...``, where another model served before."""
    last = next((change for change in reversed(base.replaced_models()) if change.task == task), None)
    return f"; back to {last.before} by: lunheng models rollback {task} --kb {base.folder}" if last else ""


@contextmanager
def bar(label: str, quiet: bool) -> Iterator[Any]:
    """A progress bar with an estimate of the time left, on standard error; gives ``advance(done, total, text)``.

    Where that is no terminal (a log, a job of a scheduler) it is a plain line, each ``LINE_SECONDS`` at the most.
    """
    if quiet or not err.is_terminal:
        yield _said_in_lines(label) if not quiet else _nothing
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(label, total=None, text="")

        def advance(done: int, total: int, text: str = "") -> None:
            progress.update(task, completed=done, total=total, text=text)

        yield advance


def _said_in_lines(label: str) -> Callable[..., None]:
    """An ``advance`` that prints."""
    last = time.monotonic()

    def advance(done: int, total: int, text: str = "") -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            err.print(f"{label}: {done}/{total}{', ' if text else ''}{text}", markup=False)

    return advance


def _nothing(done: int, total: int, text: str = "") -> None:
    """An ``advance`` that says nothing."""


def show_ingest(report: IngestReport, as_json: bool) -> None:
    """Print what became of each document; exit with 1 where one failed."""
    if as_json:
        print_json(report)
    else:
        for item in report.items:
            if item.status in ("failed", "skipped"):
                colour = "red" if item.status == "failed" else "yellow"
                err.print(f"[{colour}]{item.status}[/] {item.source}: ", end="")
                err.print(item.reason, markup=False)
            for warning in item.warnings:
                err.print("[yellow]warning[/] ", end="")
                err.print(f"{item.source}: {warning}", markup=False)
        out.print(outcomes(report.counts) or "nothing to do: no files were found")
    if report.failed:
        raise typer.Exit(1)


def ingest_progress(advance: Any) -> Any:
    """An ingest progress callback that moves a bar."""

    def on_item(item: ItemReport, done: int, total: int) -> None:
        advance(done, total, Path(item.source).name)

    return on_item


def parse_metadata(pairs: list[str] | None) -> dict[str, Any]:
    """``key=value`` pairs, each value a number, true or false, a list, a date or text; a key said again is a list."""
    from lunheng.parsing.metadata import checked_own, read_value

    found: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, text = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            raise typer.BadParameter(f"{pair!r} is not of the form key=value", param_hint="--meta")
        try:
            value = json.loads(text, parse_constant=str)
        except (json.JSONDecodeError, RecursionError):
            value = read_value(text)
        if key in found:
            before = found[key] if isinstance(found[key], list) else [found[key]]
            value = [*before, *(value if isinstance(value, list) else [value])]
        found[key] = value
    checked_own(found)
    return found
