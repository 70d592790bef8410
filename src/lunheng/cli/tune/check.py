"""``lunheng tune check DATA``"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.table import Table
from rich.text import Text

from lunheng.cli.common import AsJson, bar, counted, err, out, print_json

if TYPE_CHECKING:
    from lunheng.tuning.data.check import Report
    from lunheng.tuning.data.examples import Example, Kind, Problem
    from lunheng.tuning.data.loading import DataSource
    from lunheng.tuning.preflight import Look

SHOWN = 20
"""Problems printed; all of them stand in --json and in the quarantine file."""


def check(
    data: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders: json, jsonl, csv, tsv, parquet, txt.")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", "-r", help="A recipe, whose data, columns, window and model are taken."),
    ] = None,
    evaluation: Annotated[
        list[Path] | None, typer.Option("--evaluation", help="The set that training must not have seen.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="conversation, preference, judged, prompt, text or triple; by default each line's."),
    ] = None,
    window: Annotated[int | None, typer.Option(min=16, help="Tokens that training keeps of an example.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="A tokenizer.json, or the folder of a model; by default the embedder's counts.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model to train: its tokenizer counts, and its chat template shows what is learnt."),
    ] = None,
    template: Annotated[
        str | None, typer.Option(help="With --model, the chat template of a base that has none: chatml, llama3 ...")
    ] = None,
    quarantine: Annotated[Path | None, typer.Option(help="Write the lines that are of no use to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find what is wrong with training data, by line number; exit 1 where a line is of no use."""
    from lunheng.tuning.data.check import check as judge
    from lunheng.tuning.data.examples import Kind
    from lunheng.tuning.data.loading import load, write_quarantine

    if kind is not None and kind not in get_args(Kind):
        raise typer.BadParameter(f"{kind!r} is not one of {', '.join(get_args(Kind))}", param_hint="--kind")
    asked = _asked(data, recipe, evaluation, kind, window, model, template, tokenizer)
    window, model = asked.window, asked.model
    with bar("reading", as_json):
        loaded = load(asked.training, asked.kind, asked.seed)
        held = load(asked.evaluation, asked.kind).examples if asked.evaluation else ()
    words = None if model is None else _tokenizer_of(model, asked.template)
    counter = _counter(tokenizer) if words is None else lambda text: len(words(text)["input_ids"])
    with bar("judging", as_json) as advance:
        report = judge(loaded.examples, loaded.problems, loaded.digest, counter, window, held, advance)
    seen: Look | None = None
    if words is not None:
        with bar("rendering", as_json):
            seen = _look(words, loaded.examples, window)
        report = dataclasses.replace(report, problems=_both(report.problems, seen.problems))
    if quarantine is not None:
        count = write_quarantine(report.problems, quarantine)
        err.print(f"{counted(count, 'line')} written to {quarantine}", markup=False)
    if as_json:
        rendered = {} if seen is None else {"tokens": seen.tokens, "learnt": seen.learnt, "shown": seen.shown}
        print_json({**_summary(report), **rendered, "problems": report.problems})
    else:
        if seen is not None:
            _show_mask(seen)
        _show(report)
    if report.fatal:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be judged, and as what."""

    training: list[DataSource]
    evaluation: list[DataSource]
    kind: Kind | None
    window: int | None
    model: str | None
    template: str | None
    seed: int = 0


def _asked(
    data: list[Path] | None,
    recipe: Path | None,
    evaluation: list[Path] | None,
    kind: str | None,
    window: int | None,
    model: str | None,
    template: str | None,
    tokenizer: Path | None,
) -> _Asked:
    """What the options say, above what the recipe says.

    Raises:
        typer.BadParameter: data is named twice or not at all, or two tokenizers are.
    """
    from lunheng.tuning.data.loading import DataSource
    from lunheng.tuning.recipes import ENCODERS, load_recipe
    from lunheng.tuning.sides import sources_of

    if model is not None and tokenizer is not None:
        raise typer.BadParameter("--model brings its own tokenizer", param_hint="--tokenizer")
    held = [DataSource(path) for path in evaluation or ()]
    if recipe is None:
        if not data:
            raise typer.BadParameter("name files or folders, or a recipe with --recipe", param_hint="DATA")
        return _Asked([DataSource(path) for path in data], held, kind, window, model, template)  # type: ignore[arg-type]
    if data or kind is not None:
        raise typer.BadParameter("says what the data is; leave DATA and --kind out", param_hint="--recipe")
    made = load_recipe(recipe)
    if model is None and tokenizer is None and made.method not in ENCODERS:
        model = made.model.name
    return _Asked(
        sources_of(made.data.train),
        held or sources_of(made.data.evaluation),
        made.kind,
        window if window is not None else made.data.window,
        model,
        template if template is not None else made.model.template,
        made.training.seed,
    )


def _tokenizer_of(model: str, template: str | None):  # type: ignore[no-untyped-def]
    """The tokenizer of the model to train, with its chat template or the one that is named."""
    from lunheng.tuning.templates import apply_template
    from lunheng.tuning.trained import find_trained, open_tokenizer

    words = open_tokenizer(find_trained(model))
    if words.chat_template or template is not None:
        apply_template(words, template)
    return words


def _look(words: Any, examples: Sequence[Example], window: int | None) -> Look:
    """What a run would learn of ``examples``, whichever of them a chat template renders."""
    from lunheng.tuning.data.examples import Conversation, Judged, Preference
    from lunheng.tuning.preflight import look
    from lunheng.tuning.templates import apply_template

    if not words.chat_template and any(isinstance(e, Conversation | Judged | Preference) for e in examples):
        apply_template(words, None)  # says which template can be named
    return look(words, examples, window if window is not None else sys.maxsize)


def _both(known: Sequence[Problem], rendered: Sequence[Problem]) -> tuple[Problem, ...]:
    """All problems in the order of the data; what rendering knows of a length stands for what counting guessed."""
    told = {p.origin for p in rendered if p.kind in ("truncated", "prompt too long", "same answers")}
    kept = [p for p in known if not (p.kind == "too long" and p.origin in told)]
    return tuple(sorted(dict.fromkeys((*kept, *rendered)), key=lambda p: (p.origin.source, p.origin.line)))


def _show_mask(seen: Look) -> None:
    """The first examples in two colours: what is given, and what is learnt."""
    for shown in seen.shown:
        where = f"{Path(shown.origin.source).name}:{shown.origin.line}"
        out.print(f"[bold]{where}[/] {shown.part}")
        line = Text()
        for text, learnt in shown.runs:
            line.append(text, style="green" if learnt else "dim")
        out.print(line)
    if seen.tokens:
        out.print(
            f"[green]learnt[/] {seen.learnt:,} of {seen.tokens:,} tokens ({seen.learnt / seen.tokens:.0%}), "
            "[dim]the rest is given[/]"
        )


def _counter(tokenizer: Path | None):  # type: ignore[no-untyped-def]
    """Counts tokens: by the tokenizer that is named, else by the embedder's."""
    from lunheng.config import Settings
    from lunheng.errors import NotFoundError
    from lunheng.models import load_embedder
    from lunheng.models.tokenizer import JsonTokenizer

    if tokenizer is None:
        return load_embedder(Settings.load().models).tokenizer.count
    file = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
    if not file.is_file():
        raise NotFoundError(f"{file}: no such file; --tokenizer takes a tokenizer.json or the folder that holds one")
    return JsonTokenizer(file).count


def _summary(report: Report) -> dict[str, object]:
    return {
        "examples": report.examples,
        "fatal": report.fatal,
        "kinds": report.kinds,
        "counts": report.counts,
        "languages": report.languages,
        "lengths": report.lengths,
        "digest": report.digest,
    }


def _show(report: Report) -> None:
    kinds = ", ".join(counted(n, kind) for kind, n in report.kinds.items())
    languages = ", ".join(f"{language} {n}" for language, n in report.languages.items())
    out.print(f"[bold]{counted(report.examples, 'example')}[/] ({kinds}; {languages})")
    lengths = report.lengths
    out.print(f"tokens: median {lengths.median:.0f}, 95% under {lengths.p95:.0f}, longest {lengths.longest}")
    if lengths.window is not None:
        out.print(
            f"{lengths.over} over the window of {lengths.window}: {lengths.lost:.1%} of all tokens would be cut off"
        )
    most = max((n for _, n in lengths.histogram), default=1)
    for upper, n in lengths.histogram:
        out.print(f"[dim]≤ {upper:>6}[/] {'█' * max(round(40 * n / most), 1)} {n}")
    if not report.problems:
        out.print("[green]nothing to complain of[/]")
        return
    table = Table("where", "what", "", box=None)
    first = sorted(report.problems, key=lambda p: not p.fatal)[:SHOWN]
    for problem in first:
        colour = "red" if problem.fatal else "yellow"
        table.add_row(
            f"{Path(problem.origin.source).name}:{problem.origin.line}", f"[{colour}]{problem.kind}[/]", problem.message
        )
    out.print(table)
    rest = len(report.problems) - len(first)
    if rest:
        out.print(f"[dim]and {rest} more: --json shows all[/]")
    out.print(", ".join(f"{kind}: {n}" for kind, n in report.counts.items()))
