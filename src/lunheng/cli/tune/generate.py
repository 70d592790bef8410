"""``lunheng tune generate``"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lunheng.cli.common import AsJson, Waiting, out, print_json, show_notes
from lunheng.types import Message

Model = Annotated[
    str, typer.Argument(help="A run's folder, a model's or an adapter's, a GGUF file, or a model's name.")
]
Adapters = Annotated[
    list[str] | None,
    typer.Option("--adapter", help="NAME=FOLDER, or NAME=FILE.gguf over a GGUF file; as often as there are adapters."),
]
Use = Annotated[str | None, typer.Option("--use", help="The adapter that answers; by default none of --adapter.")]
System = Annotated[str, typer.Option("--system", help="A system message.")]
Tokens = Annotated[int, typer.Option("--tokens", min=1, help="Of an answer, at the most.")]
Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="0: always the likeliest token.")]
Threads = Annotated[int, typer.Option("--threads", min=0, help="0: as many as there are cores.")]


def generate(
    model: Model,
    prompt: Annotated[str, typer.Argument(help="What is asked; - reads it from standard input.")],
    adapter: Adapters = None,
    use: Use = None,
    system: System = "",
    tokens: Tokens = 256,
    temperature: Temperature = 0.0,
    threads: Threads = 0,
    as_json: AsJson = False,
) -> None:
    """Ask a trained model one thing."""
    from lunheng.tuning.release.speaking import notes, open_speaker, with_adapter

    asked = sys.stdin.read().strip() if prompt == "-" else prompt
    messages = [*([Message("system", system)] if system else []), Message("user", asked)]
    given = named(adapter)
    speaker = open_speaker(model, given, threads)
    show_notes(notes(given))
    if use is not None:
        speaker = with_adapter(speaker, use)
    try:
        if as_json:
            said = speaker.generate(messages, max_tokens=tokens, temperature=temperature)
            print_json({"model": model, "adapter": use, "completion": said})
            return
        with Waiting() as waiting:
            waiting.say("loading the model…")
            for piece in speaker.stream(messages, max_tokens=tokens, temperature=temperature):
                waiting.stop()
                sys.stdout.write(piece)
                sys.stdout.flush()
        out.print()
    finally:
        speaker.close()


def named(adapters: list[str] | None) -> dict[str, Path]:
    """``NAME=FOLDER`` pairs."""
    found: dict[str, Path] = {}
    for pair in adapters or ():
        name, equals, folder = pair.partition("=")
        if not equals or not name or not folder:
            raise typer.BadParameter(f"{pair!r} is not of the form NAME=FOLDER", param_hint="--adapter")
        found[name] = Path(folder).expanduser()
    return found
