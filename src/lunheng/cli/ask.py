"""``lunheng ask QUESTION``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from lunheng.cli.common import (
    DEFAULT_FOLDER,
    As,
    AsJson,
    Folder,
    Groups,
    Small,
    Where,
    opened,
    out,
    principal,
    print_json,
)
from lunheng.types import Answer, AnswerDone, AnswerEvent, SourcesFound, TextDelta

Strategy = Annotated[str | None, typer.Option("--strategy", help="naive or advanced.")]


def ask(
    question: Annotated[str, typer.Argument(help="The question, in any language.")],
    kb: Folder = DEFAULT_FOLDER,
    strategy: Strategy = None,
    where: Where = None,
    user: As = None,
    group: Groups = None,
    small: Small = False,
    times: Annotated[bool, typer.Option("--times", help="Show the time of each stage.")] = False,
    as_json: AsJson = False,
) -> None:
    """Answer a question from the documents, with checked citations; streams."""
    with opened(kb, small=small) as base:
        events = base.ask_stream(
            question, strategy=checked_strategy(strategy), filter=where, principal=principal(user, group)
        )
        if as_json:
            answer = next(e.answer for e in events if isinstance(e, AnswerDone))
            print_json(answer_json(answer))
            return
        for event in events:
            show_event(event, times)


def checked_strategy(name: str | None) -> Literal["naive", "advanced"] | None:
    if name not in (None, "naive", "advanced"):
        raise typer.BadParameter(f"{name!r} is not one of naive, advanced", param_hint="--strategy")
    return cast(Literal["naive", "advanced"] | None, name)


def answer_json(answer: Answer) -> dict[str, Any]:
    """The documented JSON shape of an answer."""
    return {
        "question": answer.question,
        "answer": answer.text,
        "answered": answer.answered,
        "citations": answer.citations,
        "verdict": answer.verdict,
        "confidence": answer.confidence,
        "language": answer.language,
        "extractive": answer.extractive,
        "checks": answer.checks,
        "trace": answer.trace,
    }


def show_event(event: AnswerEvent, times: bool = False) -> None:
    """Print one event of a streamed answer."""
    if isinstance(event, SourcesFound):
        for source in event.sources:
            out.print(f"[dim]\\[{source.n}] {place(source.hit.chunk.metadata)}[/]")
        out.print("\n[dim]Being written, not yet checked:[/]")
    elif isinstance(event, TextDelta):
        sys.stdout.write(event.text)
        sys.stdout.flush()
    else:
        show_answer(event.answer, times)


def place(metadata: Any) -> str:
    """File, page and heading, as a person would name a place."""
    page = f" p. {metadata.page_number}" if metadata.page_number else ""
    headings = "".join(f" › {h}" for h in metadata.heading_path)
    return f"{Path(metadata.source).name}{page}{headings}"


def show_answer(answer: Answer, times: bool) -> None:
    """Print the checked answer (it stands for what was streamed), its sources and its verdict."""
    colour = {"supported": "green", "partly": "yellow", "unsupported": "red"}[answer.verdict]
    out.print("\n")
    out.print("[bold]Checked answer[/]")
    out.print(answer.text, markup=False)
    out.print()
    out.print("[bold]Sources[/]" if answer.answered else "[bold]Closest passages[/]")
    for citation in answer.citations:
        page = f" p. {citation.page}" if citation.page else ""
        headings = "".join(f" › {h}" for h in citation.heading_path)
        out.print(
            f"  [cyan]\\[{citation.n}] {Path(citation.document).name}{page}{headings}[/] [dim]({citation.start}-{citation.end})[/]"
        )
        quote = " ".join(citation.quote.split())
        out.print("      “" + (quote if len(quote) <= 200 else quote[:200] + "…") + "”", markup=False)
    state = answer.verdict if answer.answered else "not answered by the sources"
    out.print(f"[bold]Verdict[/] [{colour}]{state}[/]   [bold]confidence[/] {answer.confidence:.2f}")
    for check in answer.checks:
        for reason in check.reasons:
            out.print(f"  [yellow]{check.verdict}[/]: ", end="")
            out.print(f"{check.text} ({reason})", markup=False)
    for warning in answer.trace.warnings:
        out.print("  [yellow]note[/]: ", end="")
        out.print(warning, markup=False)
    if times:
        spent: dict[str, float] = {}
        for stage in answer.trace.stages:
            spent[stage.name] = spent.get(stage.name, 0.0) + stage.seconds
        out.print("[bold]Time[/] " + "  ".join(f"{name} {seconds:.1f}s" for name, seconds in spent.items()))
