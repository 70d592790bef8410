"""``lunheng chat``"""

from __future__ import annotations

from lunheng.cli.ask import Strategy, checked_strategy, show_event
from lunheng.cli.common import DEFAULT_FOLDER, As, Folder, Groups, Small, Where, err, opened, out, principal
from lunheng.errors import LunhengError
from lunheng.types import AnswerDone, Message


def chat(
    kb: Folder = DEFAULT_FOLDER,
    strategy: Strategy = None,
    where: Where = None,
    user: As = None,
    group: Groups = None,
    small: Small = False,
) -> None:
    """Talk with the documents; follow-up questions are understood. End with Ctrl-D."""
    history: list[Message] = []
    with opened(kb, small=small) as base:
        out.print("[dim]Ask in any language; Ctrl-D ends.[/]")
        while True:
            try:
                question = input("\n> ").strip()
            except EOFError:
                return
            if not question:
                continue
            try:
                standalone = base.condense(history, question)
                if standalone != question:
                    out.print(f"[dim]understood as: {standalone}[/]")
                for event in base.ask_stream(
                    standalone, strategy=checked_strategy(strategy), filter=where, principal=principal(user, group)
                ):
                    show_event(event)
                    if isinstance(event, AnswerDone):
                        history += [Message("user", standalone), Message("assistant", event.answer.text)]
            except LunhengError as error:
                err.print("[bold red]error:[/] ", end="")
                err.print(str(error), markup=False)
