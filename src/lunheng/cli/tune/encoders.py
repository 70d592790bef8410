"""``lunheng tune embed`` and ``lunheng tune rerank``: train, say by how much it is better, put it to use."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from lunheng.cli.common import REFUSED, AsJson, bar, counted, err, opened, out, print_json, undone_by
from lunheng.cli.tune.data.common import Templates
from lunheng.cli.tune.knowledge import TRIPLES, corpus_of, first_stage_of, put_to_use, questions_of, with_hard_negatives
from lunheng.cli.tune.train import (
    STOPPED,
    Changes,
    Checkpoint,
    Data,
    Model,
    Output,
    RecipeFile,
    Resume,
    going_on,
    resolve,
    show,
    summary,
)

if TYPE_CHECKING:
    from lunheng.knowledge import KnowledgeBase
    from lunheng.tuning.encoders.embedder import Tuned
    from lunheng.tuning.encoders.lift import Comparison
    from lunheng.tuning.encoders.reranker import TunedReranker
    from lunheng.tuning.recipes import Recipe

FEW_DOCUMENTS = 5
"""Below so many, holding out whole documents would leave too little to learn from, or nothing."""
QUESTIONS = "questions.jsonl"
"""In the run's folder, where they were asked of the knowledge base."""
DEFAULTS = {
    "data.window": 192,
    "data.too_long": "truncate",
    "data.validation_share": 0.2,
    "training.epochs": 2.0,
    "training.batch": 16,
    "training.learning_rate": 5e-5,
}
"""What holds with --kb and without a recipe: an hour at the most for some thousand questions on two cores."""

Kb = Annotated[
    Path | None,
    typer.Option("--kb", help="Tell its passages apart, and with --promote let it use the model."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Ask of so many passages at the most.")]
Promote = Annotated[
    bool, typer.Option("--promote", help="Put the model to use, if it is better; exit 3 where it is not.")
]
Name = Annotated[str | None, typer.Option("--name", help="What the promoted model is called; by default by its run.")]


def embed(
    recipe: RecipeFile = None,
    model: Model = None,
    data: Data = None,
    output: Output = None,
    changes: Changes = None,
    kb: Kb = None,
    templates: Templates = False,
    limit: Limit = None,
    promote: Promote = False,
    name: Name = None,
    resume: Resume = False,
    checkpoint: Checkpoint = None,
    as_json: AsJson = False,
) -> None:
    """Fine-tune an embedder on questions and the passages that answer them, and measure its lift.

    With a recipe, or with --data and --output, or with --kb alone, which asks questions of its passages first. The
    held-out questions decide whether it may be promoted.
    """
    from lunheng.tuning.encoders.embedder import embed as run

    start = going_on(resume, checkpoint)
    with _base(kb) as base:
        given = _Given(recipe, model, data, output, changes)
        made = _recipe("embed", given, base, templates, limit, bool(start), as_json)
        with bar("embed", as_json) as advance:
            tuned = run(made, start, advance, corpus_of(base) if base else {})
        _finish("embedder", tuned, base, promote, name, as_json, {})


def rerank(
    recipe: RecipeFile = None,
    model: Model = None,
    data: Data = None,
    output: Output = None,
    changes: Changes = None,
    kb: Kb = None,
    templates: Templates = False,
    limit: Limit = None,
    promote: Promote = False,
    name: Name = None,
    resume: Resume = False,
    checkpoint: Checkpoint = None,
    as_json: AsJson = False,
) -> None:
    """Fine-tune a reranker on questions and passages, and measure its lift over the search before it.

    With a recipe, or with --data and --output, or with --kb alone, which asks questions of its passages first. The
    held-out questions decide whether it may be promoted.
    """
    from lunheng.tuning.encoders.reranker import rerank as run

    start = going_on(resume, checkpoint)
    with _base(kb) as base:
        given = _Given(recipe, model, data, output, changes)
        made = _recipe("rerank", given, base, templates, limit, bool(start), as_json)
        with bar("rerank", as_json) as advance:
            corpus, search = (corpus_of(base), first_stage_of(base)) if base else ({}, None)
            tuned = run(made, start, advance, corpus, search)
        _finish("reranker", tuned, base, promote, name, as_json, {"compared_with": tuned.compared_with})


@contextlib.contextmanager
def _base(folder: Path | None) -> Iterator[KnowledgeBase | None]:
    if folder is None:
        yield None
        return
    with opened(folder) as base:
        yield base


@dataclass(frozen=True, slots=True)
class _Given:
    """What the command line says of the recipe."""

    recipe: Path | None
    model: str | None
    data: list[Path] | None
    output: Path | None
    changes: list[str] | None


def _recipe(
    method: Literal["embed", "rerank"],
    given: _Given,
    base: KnowledgeBase | None,
    templates: bool,
    limit: int | None,
    resume: bool,
    as_json: bool,
) -> Recipe:
    """The recipe, with what a knowledge base makes needless to say."""
    asks = base is not None and given.recipe is None and not given.data
    if (templates or limit) and not asks:
        option = "--templates" if templates else "--limit"
        raise typer.BadParameter("is for questions asked of --kb, without --data or --recipe", param_hint=option)
    if base is None or given.recipe is not None:
        return resolve(method, given.recipe, given.model, given.data, given.output, given.changes)
    output = given.output or _next_folder(base, method, resume)
    data = given.data
    if asks:
        with bar("asking", as_json) as advance:
            asked = questions_of(base, output / QUESTIONS, templates, limit, advance)
        with bar("looking for hard negatives", as_json) as advance:
            data = [with_hard_negatives(base, asked, advance)]
    documents = base.status()["documents"]
    if asks and documents < FEW_DOCUMENTS:
        err.print(
            f"[yellow]note[/]: {counted(documents, 'document')}: questions are held out by passage, not by document"
        )
        by_passage = f'[{{path = {json.dumps(str((output / TRIPLES).absolute()))}, columns = {{group = "chunk_id"}}}}]'
        given = replace(given, changes=[f"data.train={by_passage}", *(given.changes or ())])
    defaults = [f"{key}={json.dumps(value)}" for key, value in DEFAULTS.items()]
    model = given.model or base.status()["embedder"]
    return resolve(method, None, model, data, output, [*defaults, *(given.changes or ())])


def _next_folder(base: KnowledgeBase, method: str, resume: bool) -> Path:
    """``tuning/METHOD-N`` in the knowledge base's folder: a new one, or the last where a run is resumed."""
    home = base.folder / "tuning"
    taken = len(list(home.glob(f"{method}-*"))) if home.is_dir() else 0
    return home / f"{method}-{taken if resume and taken else taken + 1}"


def _finish(
    task: Literal["embedder", "reranker"],
    tuned: Tuned | TunedReranker,
    base: KnowledgeBase | None,
    promote: bool,
    name: str | None,
    as_json: bool,
    more: dict[str, Any],
) -> None:
    """Show what came of it, and promote it where that was asked for and the gate lets it pass."""
    from lunheng.errors import RefusedError
    from lunheng.models.promoted import name_of
    from lunheng.tuning.encoders.promotion import promote_run

    lift, made = tuned.lift, tuned.trained.manifest
    if not as_json:
        validation = {name: value for name, value in made.metrics.items() if name.startswith("validation")}
        show(replace(tuned.trained, manifest=replace(made, metrics=validation)))
        if lift is not None:
            _show_lift(lift.held_out, "held-out questions", "before", "after")
            if lift.general is not None:
                _show_lift(lift.general, "general set", "before", "after")
    chosen, refusal, search = None, "", None
    if promote:
        chosen = name or name_of(tuned.trained.output.name, made.id)
        try:
            promote_run(chosen, task, tuned.form, lift, made)
            if base is not None:
                search, stands = _use(base, task, chosen, tuned)
                if not stands:
                    raise RefusedError(f"{base.folder} goes on as before: with {chosen} its whole search is worse")
        except RefusedError as error:
            refusal, chosen = str(error), None
    if as_json:
        said = {"promoted": chosen, "refusal": refusal, "search": search, **more}
        print_json(
            {**summary(tuned.trained), "lift": lift.to_dict() if lift else None, "form": tuned.form.format, **said}
        )
    else:
        if search is not None:
            _show_lift(search, "the knowledge base's search", "before", "now")
        if not refusal:
            _say(task, chosen, base, lift.refusal if lift else "it was not measured")
    if refusal:
        err.print("[yellow]refused[/]: ", end="")
        err.print(refusal, markup=False)
        raise typer.Exit(REFUSED)
    if made.status == "stopped":
        raise typer.Exit(STOPPED)


def _use(
    base: KnowledgeBase, task: Literal["embedder", "reranker"], name: str, tuned: Tuned | TunedReranker
) -> tuple[Comparison, bool]:
    change = {"embedder": lambda: base.rebuild(embedder=name), "reranker": lambda: base.use_reranker(name)}[task]
    return put_to_use(base, tuned.held_out, task, change)


def _say(task: str, chosen: str | None, base: KnowledgeBase | None, refusal: str) -> None:
    if chosen is None:
        out.print(f"not to be promoted: {refusal}" if refusal else "better than before; --promote puts it to use")
        return
    if base is not None:
        out.print(f"promoted as [bold]{chosen}[/], and {base.folder} uses it{undone_by(base, task)}")
        if task == "embedder" and "embedder" in base.settings.models.model_fields_set:
            err.print(f'[yellow]note[/]: lunheng.toml names another embedder; set models.embedder = "{chosen}" there')
    else:
        out.print(f"promoted as [bold]{chosen}[/]; put it to use by: lunheng models use {chosen} --kb FOLDER")


def _show_lift(found: Comparison, what: str, before: str, after: str) -> None:
    table = Table(f"{found.questions} {what}", before, after, "95%", box=None)
    for metric, interval in found.after.items():
        table.add_row(
            metric,
            f"{found.before[metric].mean:.4f}",
            f"{interval.mean:.4f}",
            f"{interval.low:.4f}-{interval.high:.4f}",
        )
    out.print(table)
    gain = found.difference
    out.print(
        f"ndcg@10 {gain.mean:+.4f} (95% {gain.low:+.4f} to {gain.high:+.4f}; p = {found.p:.4f}, paired randomisation test)"
    )
