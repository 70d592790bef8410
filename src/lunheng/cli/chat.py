"""``lunheng chat``"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lunheng.cli.answer_view import show_answer
from lunheng.cli.ask import Strategy, checked_strategy
from lunheng.cli.common import (
    DEFAULT_FOLDER,
    As,
    Folder,
    Groups,
    Llm,
    Small,
    Waiting,
    Where,
    err,
    opened,
    out,
    principal,
)
from lunheng.errors import LunhengError
from lunheng.types import AnswerEvent, Message


def chat(
    kb: Folder = DEFAULT_FOLDER,
    strategy: Strategy = None,
    where: Where = None,
    user: As = None,
    group: Groups = None,
    small: Small = False,
    llm: Llm = None,
) -> None:
    """Talk with the documents; follow-up questions are understood. End with Ctrl-D."""
    chosen, who = checked_strategy(strategy), principal(user, group)
    history: list[Message] = []
    with opened(kb, small=small, llm=llm) as base:

        def events(question: str) -> Iterator[AnswerEvent]:
            return base.ask_stream(question, strategy=chosen, filter=where, principal=who)

        out.print("[dim]Ask in any language; Ctrl-C stops an answer, Ctrl-D ends.[/]")
        while (question := _read()) is not None:
            if not question:
                continue
            try:
                with Waiting() as waiting:
                    waiting.say("understanding the question…")
                    standalone = base.condense(history, question)
                if standalone != question:
                    out.print(f"understood as: {standalone}", style="dim", markup=False)
                answer = show_answer(partial(events, standalone))
                history += [Message("user", standalone), Message("assistant", answer.text)]
            except LunhengError as error:
                err.print("[bold red]error:[/] ", end="")
                err.print(str(error), markup=False)
            except KeyboardInterrupt:
                err.print("\n[yellow]stopped[/]")


def _read() -> str | None:
    """The next question; None where the person has ended it."""
    try:
        return input("\n> ").strip()
    except (EOFError, KeyboardInterrupt):
        out.print()
        return None
