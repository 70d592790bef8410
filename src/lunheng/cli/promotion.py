"""``lunheng models promote RUN`` and ``lunheng models rollback``: a language model put to use, if it is better; and back."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import typer
from rich.table import Table

from lunheng.cli.common import (
    DEFAULT_FOLDER,
    REFUSED,
    AsJson,
    Folder,
    bar,
    err,
    opened,
    out,
    print_json,
    show_notes,
    undone_by,
)

if TYPE_CHECKING:
    from lunheng.protocols import LLM
    from lunheng.tuning.release.gate import Weighed

BASE = "base"
"""What ``--against`` calls the model that the run began with."""
Task = Literal["embedder", "reranker", "llm"]


def promote(
    run: Annotated[Path, typer.Argument(help="A run's folder: of sft, clm, dpo, kto, ppo, grpo or rloo.")],
    kb: Annotated[
        Path | None, typer.Option("--kb", envvar="LUNHENG_KB", help="Let this knowledge base answer with it.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What it is called from then on; by default by its run.")] = None,
    against: Annotated[
        str, typer.Option(help="What it must be better than: a model, or base, the one that the run began with.")
    ] = "",
    data: Annotated[Path | None, typer.Option(help="Held-out data; by default what the run held out.")] = None,
    task: Annotated[str, typer.Option(help="What is measured on --data: a task of `lunheng eval model`.")] = "answers",
    metric: Annotated[
        str | None, typer.Option(help="The measure of the task that decides; by default its first.")
    ] = None,
    judge: Annotated[str | None, typer.Option(help="The model that judges: for pairwise, mt-bench, safety.")] = None,
    safety: Annotated[Path | None, typer.Option(help="Prompts with their kind: harmful or harmless.")] = None,
    allow: Annotated[
        float, typer.Option("--allow-forgetting", min=0.0, help="The general knowledge that may be lost.")
    ] = 0.02,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer at the most.")] = 512,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first items of --data and --safety.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put a fine-tuned language model to use, if it is better, no more forgetful and no less safe; exit 3 if not.

    It is measured beside the model that the knowledge base answers with, or beside its base: on held-out data, on a
    general set in both languages, and on your prompts for safety, with paired tests.
    """
    from lunheng.errors import RefusedError
    from lunheng.models.promoted import name_of
    from lunheng.tuning.manifest import read_manifest
    from lunheng.tuning.release.promotion import insist_on_done, promote_llm
    from lunheng.tuning.release.weighing import Measures, base_of, weigh
    from lunheng.tuning.trained import find_trained

    manifest = read_manifest(run)
    model = find_trained(run)
    model.insist_on_words()
    judging = _llm(judge) if judge else None
    measures = Measures(data, task, metric, safety, judging, judge or "", allow, max_tokens, limit)
    chosen, other, undo = name or name_of(run.resolve().name, manifest.id), against or BASE, ""
    refusals: tuple[str, ...] = ()
    weighed: Weighed | None = None
    with ExitStack() as stack:
        base = stack.enter_context(opened(kb)) if kb is not None else None
        if base is not None and not against and base.status()["llm"] != "none":
            other = base.status()["llm"]
        try:
            insist_on_done(run, manifest)
            beside = _llm(other) if other != BASE else base_of(model, manifest)
            weighed = weigh(run, model, manifest, (beside, other), measures, lambda what: bar(what, as_json))
            promote_llm(chosen, run.absolute(), manifest, weighed)
            if base is not None:
                base.use_llm(chosen)
                undo = undone_by(base, "llm")
        except RefusedError as error:
            refusals = weighed.refusals if weighed and weighed.refusals else (str(error),)
    if as_json:
        said = {"promoted": None if refusals else chosen, "against": other, "refusals": list(refusals)}
        print_json({**said, "kb": str(kb) if kb else None, "measured": weighed.to_dict() if weighed else None})
    else:
        if weighed is not None:
            _show(weighed, other)
            show_notes(weighed.notes)
        for refusal in refusals:
            err.print("[yellow]refused[/]: ", end="")
            err.print(refusal, markup=False)
        if not refusals:
            use = f", and {kb} answers with it{undo}" if kb else f"; use it by: lunheng models use {chosen} --kb FOLDER"
            out.print(f"promoted as [bold]{chosen}[/]{use}")
    if refusals:
        raise typer.Exit(REFUSED)


def rollback(
    task: Annotated[str | None, typer.Argument(help="embedder, reranker or llm; by default what changed last.")] = None,
    kb: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Put back the model that a knowledge base used before the last change."""
    if task not in (None, *get_args(Task)):
        raise typer.BadParameter(f"is {', '.join(get_args(Task))}", param_hint="TASK")
    with opened(kb, any_embedder=True) as base, bar("rollback", as_json) as advance:
        undone = base.roll_back(cast(Task | None, task), advance)
    if as_json:
        print_json({"task": undone.task, "from": undone.after, "to": undone.before})
    else:
        out.print(f"{kb}: {undone.task} {undone.before} again, in the place of {undone.after}")


def _llm(name: str) -> LLM:
    from lunheng.config import Settings
    from lunheng.models import load_llm

    found = load_llm(Settings.load().models.model_copy(update={"llm": name}))
    if found is None:
        raise typer.BadParameter("none is no model", param_hint="--against or --judge")
    return found


def _show(weighed: Weighed, other: str) -> None:
    table = Table("", "model", other, "difference", "95%", "p", box=None)
    for figure in (weighed.domain, *weighed.forgetting, *weighed.safety):
        interval = figure.difference
        table.add_row(
            figure.name.replace("_", " "),
            f"{figure.model:.4f}",
            f"{figure.other:.4f}",
            f"{figure.model - figure.other:+.4f}",
            f"{interval.low:+.4f} to {interval.high:+.4f}" if interval else "",
            "" if figure.p is None else f"{figure.p:.4f}",
        )
    out.print(table)
