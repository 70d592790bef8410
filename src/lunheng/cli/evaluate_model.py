"""``lunheng eval model MODEL --task TASK``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from lunheng.cli.common import AsJson, bar, out, print_json, show_notes

if TYPE_CHECKING:
    from lunheng.evaluation.model import TaskOptions, TaskResult
    from lunheng.protocols import LLM

_WIDTH = 120
"""Columns of a table: a number is never cut short, on a narrow terminal it wraps."""


def model(
    model: Annotated[
        str,
        typer.Argument(help="A name of `lunheng models list`, a GGUF file, a model's or a run's folder, `endpoint`."),
    ],
    task: Annotated[
        str,
        typer.Option(
            help="perplexity, answers, choice, gsm8k, bbh, json, pairwise, mt-bench, safety, forgetting or lm-eval."
        ),
    ],
    data: Annotated[Path | None, typer.Option(help="A jsonl, json, csv or text file, or a folder of them.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Another model, to compare with on the same items.")] = None,
    judge: Annotated[str | None, typer.Option(help="The model that judges: for pairwise, mt-bench, safety.")] = None,
    votes: Annotated[Path | None, typer.Option(help="pairwise: people's votes in the place of a judge.")] = None,
    shots: Annotated[Path | None, typer.Option(help="choice: solved questions that stand before each.")] = None,
    schema: Annotated[Path | None, typer.Option(help="json: a JSON Schema, for rows that bring none.")] = None,
    window: Annotated[int | None, typer.Option(min=2, help="perplexity: tokens read at once.")] = None,
    stride: Annotated[int | None, typer.Option(min=1, help="perplexity: how far the window moves.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer at the most.")] = 512,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first items.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write each item, asked and scored, into this jsonl file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a language model, with confidence intervals; against a baseline, with a paired test."""
    from lunheng.config import Settings
    from lunheng.evaluation.model import TaskOptions
    from lunheng.evaluation.model.rows import digest

    settings = Settings.load()
    options = TaskOptions(
        data=data,
        limit=limit,
        max_tokens=max_tokens,
        window=window,
        stride=stride,
        shots=shots,
        schema=_schema(schema),
        votes=votes,
        judge=_load(settings, judge) if judge else None,
        judge_name=judge or "",
    )
    mine = _run(settings, task, model, options, baseline, as_json)
    # Votes and pairwise verdicts are a comparison already.
    other = _run(settings, task, baseline, options, None, as_json) if baseline and task != "pairwise" else None
    if save:
        save.write_text("".join(json.dumps(r, ensure_ascii=False, default=str) + "\n" for r in mine.records), "utf-8")
    if as_json:
        read = data or votes
        print_json({**mine.to_dict(other), "baseline": baseline, "data_sha256": digest(read) if read else None})
        return
    plain = mine.to_dict(other)
    out.print(_table(plain["metrics"], other is not None), width=_WIDTH)
    for name, metrics in plain["groups"].items():
        out.print(f"\n[bold]{name}[/]")
        out.print(_table(metrics, other is not None), width=_WIDTH)
    show_notes([*plain["notes"], *(other.notes if other else ())])


def _run(settings: Any, task: str, name: str, options: TaskOptions, baseline: str | None, quiet: bool) -> TaskResult:
    """Measure the model called ``name``, and give its memory back."""
    from lunheng.evaluation.model import run_task

    loaded = _load(settings, name)
    other = _load(settings, baseline) if baseline and task == "pairwise" else None
    try:
        with bar(name, quiet) as advance:
            return run_task(task, loaded, name, options, baseline=other, progress=advance)
    finally:
        for opened in (loaded, other):
            if close := getattr(opened, "close", None):
                close()


def _load(settings: Any, name: str) -> LLM:
    from lunheng.models import load_llm

    llm = load_llm(settings.models.model_copy(update={"llm": name}))
    if llm is None:
        raise typer.BadParameter("none is no model", param_hint="MODEL")
    return llm


def _schema(path: Path | None) -> dict[str, Any] | None:
    from lunheng.errors import DataError
    from lunheng.evaluation.model.json_validity import parse_json
    from lunheng.evaluation.model.rows import read_text

    if path is None:
        return None
    valid, value = parse_json(read_text(path))
    if not valid or not isinstance(value, dict):
        raise DataError(f"{path}: is not a JSON Schema, which is a JSON object")
    return value


def _table(metrics: dict[str, Any], compared: bool) -> Table:
    heads = ["", "value", "baseline", "difference", "95%", "p", ""] if compared else ["", "value", "95%", "items", ""]
    table = Table(*(Column(head, no_wrap=True) for head in heads), box=None, padding=(0, 2, 0, 0))
    for name, one in metrics.items():
        row = [name, f"{one['value']:.4f}"]
        if not compared:
            chance = "" if one["p"] is None else f"p {one['p']:.4f} against chance"
            row += [_range(one["confidence_95"]), str(one["items"]), chance]
        elif other := one["baseline"]:
            row += [f"{other['value']:.4f}", f"{other['difference']:+.4f}", _range(other["confidence_95"])]
            row += [f"{other['p']:.4f}", other["verdict"]]
        table.add_row(*row)
    return table


def _range(bounds: list[float]) -> str:
    return f"{bounds[0]:.4f} to {bounds[1]:.4f}"
