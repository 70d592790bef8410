"""``lunheng models list|pull|path|use|promote|rollback``: which models there are, where they lie, changing to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from lunheng.cli.common import DEFAULT_FOLDER, SMALL_LLM, AsJson, Folder, Small, counted, err, out, print_json
from lunheng.cli.promotion import promote, rollback

if TYPE_CHECKING:
    from lunheng.config import ModelSettings
    from lunheng.models.progress import Progress
    from lunheng.models.registry import ModelEntry

app = typer.Typer(no_args_is_help=True, help="Models: what there is, fetching it, where it lies.")
app.command("promote")(promote)
app.command("rollback")(rollback)

Task = Annotated[str | None, typer.Option("--task", help="Only llm, embedder or reranker.")]
Names = Annotated[
    list[str] | None, typer.Argument(help="Registry names; without any, the models that the settings use.")
]
PlaceKinds = Annotated[
    list[str] | None,
    typer.Option(
        "--place", help="Try only these kinds of place, in this order: package, hub, modelscope, url, folder."
    ),
]


_TABLE_WIDTH = 120
"""Columns that the table needs; a narrower terminal wraps its lines, and no name is cut."""


@app.command("list")
def list_models(task: Task = None, kb: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Every model of the registry, and which are here."""
    from lunheng.models.registry import Registry

    settings = _settings(kb)
    if task not in (None, "llm", "embedder", "reranker"):
        raise typer.BadParameter("is llm, embedder or reranker", param_hint="--task")
    entries = [e for e in Registry.load(settings.registry).entries() if task in (None, e.task)]
    rows = [_row(e) for e in entries]
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "task", "format", "window", "dimension", "download", "here", "licence"):
        table.add_column(column, no_wrap=column != "licence")
    for row in rows:
        size = f"{row['download_bytes'] / 1e6:.0f} MB" if row["download_bytes"] else ""
        cells = [row["name"], row["task"], row["format"], row["window"], row["dimension"] or "", size]
        table.add_row(*map(str, cells), "yes" if row["path"] else "", row["licence"])
    Console(width=max(out.width, _TABLE_WIDTH)).print(table, soft_wrap=True)


@app.command("pull")
def pull_models(
    names: Names = None,
    place: PlaceKinds = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch it again even when it is here.")] = False,
    small: Small = False,
    kb: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Fetch models: says the size first, goes on where it stopped, and verifies what came."""
    from lunheng.config import Place as PlaceKind
    from lunheng.models.download import pull
    from lunheng.models.registry import Registry
    from lunheng.models.store import installed

    known = get_args(PlaceKind)
    if unknown := [kind for kind in place or () if kind not in known]:
        raise typer.BadParameter(f"{', '.join(unknown)}: not among {', '.join(known)}", param_hint="--place")
    settings = _settings(kb)
    registry = Registry.load(settings.registry)
    kinds: Any = tuple(place) if place else settings.places
    wanted = list(names or ())
    if not wanted:
        llm = SMALL_LLM if small else settings.llm
        wanted = [n for n in (settings.embedder, llm, settings.reranker) if n in registry]
    results = []
    for name in wanted:
        started = time.monotonic()
        here = not force and name in registry and installed(name) is not None
        with _bar(as_json) as on_progress:
            folder = pull(name, registry=registry, places=kinds, force=force, on_progress=on_progress)
        there = installed(name)
        size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
        result = {"name": name, "path": str(folder), "place": there[1].place if there else None, "bytes": size}
        results.append({**result, "seconds": round(time.monotonic() - started, 1)})
        if not as_json:
            out.print(f"{name}: {'already here, ' if here else ''}{size / 1e6:.0f} MB in {folder}")
    if as_json:
        print_json(results)


@app.command("path")
def model_path(
    name: Annotated[str, typer.Argument(help="A registry name.")], kb: Folder = DEFAULT_FOLDER, as_json: AsJson = False
) -> None:
    """The folder of a model that is here; an error names the command that fetches one that is not."""
    from lunheng.errors import ModelError
    from lunheng.models.registry import Registry
    from lunheng.models.store import installed, remedy

    entry = Registry.load(_settings(kb).registry)[name]
    there = installed(entry.name)
    if there is None:
        raise ModelError(f"model {name}: is not here. {remedy(name)}")
    if as_json:
        print_json({"name": name, "path": str(there[0]), "place": there[1].place, "files": there[1].files})
    else:
        typer.echo(str(there[0]))


@app.command("trained")
def trained_models(
    forget: Annotated[bool, typer.Option("--forget-gone", help="Drop the runs whose folder is gone.")] = False,
    as_json: AsJson = False,
) -> None:
    """What was trained on this machine, the newest first: recipe, data, what was measured, and what it came out of."""
    from lunheng.tuning.registry import forget_gone, listed

    if forget:
        err.print(f"{forget_gone()} dropped")
    runs = listed()
    if as_json:
        print_json([{"output": str(run.output), "manifest": run.manifest} for run in runs])
        return
    if not runs:
        out.print("nothing was trained here yet; begin with: lunheng tune sft --help")
        return
    for run in runs:
        made = run.manifest
        if made is None:
            out.print(f"[red]gone[/] {run.output}")
            continue
        out.print(f"[bold]{made.id}[/] {made.method} of {made.base}, {made.mode}: {made.status}, {made.ended[:16]} UTC")
        for name, value in made.metrics.items():
            before = f"{made.before[name]:.4g} → " if name in made.before else ""
            out.print(f"  {name.replace('_', ' ')} {before}{value:.4g}")
        came_from = f", came out of {', '.join(made.lineage)}" if made.lineage else ""
        examples = counted(made.examples.get("trained", 0), "example")
        out.print(f"  {examples}, data {made.data.get('train', '')[:12]}{came_from}")
        out.print(f"  {run.output}")


@app.command("use")
def use_model(
    name: Annotated[str, typer.Argument(help="A model of the registry; default: the usual reranker.")],
    kb: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Let a knowledge base use another embedder, reranker or language model; the old serves until the new is ready."""
    from lunheng.cli.common import bar, opened
    from lunheng.models.registry import Registry

    task = (
        "reranker"
        if name in ("default", "none", "late-interaction")
        else Registry.load(_settings(kb).registry)[name].task
    )
    with opened(kb, any_embedder=True) as base:
        if task == "reranker":
            base.use_reranker(name)
        elif task == "llm":
            base.use_llm(name)
        else:
            with bar("embedding", as_json) as advance:
                base.rebuild(embedder=name, progress=advance)
        found = base.status()
    if as_json:
        print_json({task: found[task] for task in ("embedder", "reranker", "llm")})
    else:
        out.print(f"{kb}: embedder {found['embedder']}, reranker {found['reranker']}, language model {found['llm']}")


def _settings(folder: Path) -> ModelSettings:
    from lunheng.config import Settings

    return Settings.load(folder).models


def _row(entry: ModelEntry) -> dict[str, Any]:
    from lunheng.models.store import installed

    there = installed(entry.name)
    sizes = [p.total for p in entry.places if p.total]
    return {
        "name": entry.name,
        "task": entry.task,
        "format": entry.format,
        "licence": entry.licence,
        "window": entry.window,
        "dimension": entry.dimension,
        "query_prefix": entry.query_prefix,
        "passage_prefix": entry.passage_prefix,
        "pooling": entry.pooling if entry.task == "embedder" else None,
        "places": [p.kind for p in entry.places],
        "download_bytes": sizes[0] if sizes else None,
        "path": str(there[0]) if there else None,
        "about": entry.about,
    }


@contextmanager
def _bar(quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """The size in a line, then a bar in bytes on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(
        *columns, TimeRemainingColumn(), console=err, transient=True, disable=quiet or not err.is_terminal
    ) as bars:
        task = bars.add_task("", total=None, visible=False)

        def show(progress: Progress) -> None:
            if progress.step == "fetch" and progress.done == 0 and not quiet:
                size = f"{progress.total / 1e6:.0f} MB" if progress.total else "size not said by the server"
                err.print(f"{progress.model}: {size}, from {progress.place}")
            bars.update(
                task,
                visible=True,
                description=f"{progress.step} {progress.model}",
                completed=progress.done,
                total=progress.total,
            )

        yield show
