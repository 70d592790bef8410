"""``lunheng tune chat``"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lunheng.cli.common import Waiting, err, out, show_notes
from lunheng.cli.tune.generate import Adapters, Model, System, Temperature, Threads, Tokens, Use, named
from lunheng.errors import LunhengError
from lunheng.types import Message

if TYPE_CHECKING:
    from lunheng.tuning.release.speaking import Speaker

_HELP = "/adapter NAME (or none)   /system TEXT   /clear   Ctrl-C stops an answer, Ctrl-D ends"


def chat(
    model: Model,
    adapter: Adapters = None,
    use: Use = None,
    system: System = "",
    tokens: Tokens = 512,
    temperature: Temperature = 0.0,
    threads: Threads = 0,
) -> None:
    """Talk with a trained model; /adapter NAME puts another adapter on. End with Ctrl-D."""
    from lunheng.tuning.release.speaking import notes, open_speaker, with_adapter

    given = named(adapter)
    speaker = open_speaker(model, given, threads)
    show_notes(notes(given))
    if use is not None:
        speaker = with_adapter(speaker, use)
    history: list[Message] = []
    out.print(_HELP, style="dim", markup=False)
    try:
        while (line := _read()) is not None:
            command, _, rest = line.partition(" ")
            try:
                if command == "/adapter":
                    speaker = with_adapter(speaker, None if rest.strip() in ("", "none") else rest.strip())
                elif command == "/system":
                    system = rest.strip()
                elif command == "/clear":
                    history.clear()
                elif command.startswith("/"):
                    out.print(_HELP, style="dim", markup=False)
                elif line:
                    asked = Message("user", line)
                    start = [Message("system", system)] if system else []
                    answer = _answer(speaker, [*start, *history, asked], tokens, temperature)
                    history += [asked, Message("assistant", answer)]
            except LunhengError as error:
                err.print("[bold red]error:[/] ", end="")
                err.print(str(error), markup=False)
            except KeyboardInterrupt:
                err.print("\n[yellow]stopped[/]")
    finally:
        speaker.close()


def _answer(speaker: Speaker, messages: Sequence[Message], tokens: int, temperature: float) -> str:
    """Stream an answer, and give it; one that was stopped is forgotten with its question."""
    pieces: list[str] = []
    with Waiting() as waiting:
        waiting.say("…")
        for piece in speaker.stream(messages, max_tokens=tokens, temperature=temperature):
            waiting.stop()
            sys.stdout.write(piece)
            sys.stdout.flush()
            pieces.append(piece)
    out.print()
    return "".join(pieces)


def _read() -> str | None:
    try:
        return input("\n> ").strip()
    except (EOFError, KeyboardInterrupt):
        out.print()
        return None
