"""``lunheng ask QUESTION``"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

import typer

from lunheng.cli.answer_view import show_answer
from lunheng.cli.common import (
    DEFAULT_FOLDER,
    As,
    AsJson,
    Folder,
    Groups,
    Llm,
    Small,
    Where,
    opened,
    principal,
    print_json,
)
from lunheng.types import Answer, AnswerDone, AnswerEvent

Strategy = Annotated[str | None, typer.Option("--strategy", help="naive or advanced.")]


def ask(
    question: Annotated[str, typer.Argument(help="The question, in any language.")],
    kb: Folder = DEFAULT_FOLDER,
    strategy: Strategy = None,
    where: Where = None,
    user: As = None,
    group: Groups = None,
    small: Small = False,
    llm: Llm = None,
    times: Annotated[bool, typer.Option("--times", help="Show the time of each stage.")] = False,
    as_json: AsJson = False,
) -> None:
    """Answer a question from the documents, with checked citations; streams."""
    chosen, who = checked_strategy(strategy), principal(user, group)
    with opened(kb, small=small, llm=llm) as base:

        def events() -> Iterator[AnswerEvent]:
            return base.ask_stream(question, strategy=chosen, filter=where, principal=who)

        if as_json:
            print_json(answer_json(next(e.answer for e in events() if isinstance(e, AnswerDone))))
        else:
            show_answer(events, times)


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
