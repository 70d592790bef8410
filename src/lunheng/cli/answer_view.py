"""Shows an answer while it is made: what is being done, the sources, the text as it is written, the check.

Called by ``ask``, ``chat`` and the demo.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from lunheng.cli.common import Waiting, out
from lunheng.cli.excerpt import place, shorten
from lunheng.tracing import watching
from lunheng.types import Answer, AnswerDone, AnswerEvent, Citation, DraftRejected, SourcesFound, TextDelta

_DOING = {
    "scope": "searching…",
    "translate": "translating the question…",
    "rewrite": "rewording the question…",
    "context": "choosing the sources…",
    "generate": "reading the sources…",
}
"""What a person is told when a stage begins; the others are over in a moment."""
_COLOURS = {"supported": "green", "partly": "yellow", "unsupported": "red"}
_QUOTE = 200
"""Characters of a quote that are shown; the JSON has all of it."""


def show_answer(ask: Callable[[], Iterable[AnswerEvent]], times: bool = False) -> Answer:
    """Print what ``ask`` streams, and give the checked answer; ``times`` adds the time of each stage."""
    stages: list[str] = []
    draft: list[str] = []
    rewritten = False
    with Waiting() as waiting:

        def on_stage(name: str) -> None:
            stages.append(name)
            if name in _DOING and not draft:
                waiting.say(_DOING[name])

        with watching(on_stage):
            waiting.say("loading the models…")
            for event in ask():
                if isinstance(event, SourcesFound):
                    waiting.stop()
                    _show_sources(event)
                elif isinstance(event, AnswerDone):
                    waiting.stop()
                    _show_checked(event.answer, "".join(draft), times)
                    return event.answer
                elif isinstance(event, DraftRejected):
                    out.print("\n[dim]That did not pass the check; written again from one source:[/]")
                    draft.clear()
                    rewritten = True
                elif "generate" in stages:  # what no model writes is there at once, and is shown when it is checked
                    waiting.stop()
                    _show_draft(event, first=not draft and not rewritten)
                    draft.append(event.text)
    raise AssertionError("an answer's events end with AnswerDone")


def _show_sources(event: SourcesFound) -> None:
    for source in event.sources:
        out.print(f"[{source.n}] {place(source.hit.chunk.metadata)}", style="dim", markup=False)


def _show_draft(event: TextDelta, first: bool) -> None:
    if first:
        out.print("\n[dim]Being written, not yet checked:[/]")
    sys.stdout.write(event.text)
    sys.stdout.flush()


def _show_checked(answer: Answer, draft: str, times: bool) -> None:
    """The checked answer, which stands for what was streamed, its sources and its verdict."""
    out.print("\n" if draft else "")
    if draft and draft.split() == answer.text.split():
        out.print("[bold]Checked answer[/]: as written")
    else:
        out.print("[bold]Checked answer[/]")
        out.print(answer.text, markup=False)
    out.print()
    if answer.citations:
        out.print("[bold]Sources[/]" if answer.answered else "[bold]Closest passages[/]")
    for citation in answer.citations:
        _show_citation(citation)
    state = answer.verdict if answer.answered else "not answered by the sources"
    out.print(f"[bold]Verdict[/] [{_COLOURS[answer.verdict]}]{state}[/]   [bold]confidence[/] {answer.confidence:.2f}")
    for check in answer.checks:
        for reason in check.reasons:
            out.print(f"  [yellow]{check.verdict}[/]: ", end="")
            out.print(f"{check.text} ({reason})", markup=False)
    for warning in dict.fromkeys(answer.trace.warnings):
        out.print("  [yellow]note[/]: ", end="")
        out.print(warning, markup=False)
    if times:
        spent: dict[str, float] = {}
        for stage in answer.trace.stages:
            spent[stage.name] = spent.get(stage.name, 0.0) + stage.seconds
        out.print("[bold]Time[/] " + "  ".join(f"{name} {seconds:.1f}s" for name, seconds in spent.items()))


def _show_citation(citation: Citation) -> None:
    page = f" p. {citation.page}" if citation.page else ""
    headings = "".join(f" › {h}" for h in citation.heading_path)
    out.print(f"  [{citation.n}] {Path(citation.document).name}{page}{headings}", style="cyan", markup=False, end="")
    out.print(f" [dim]({citation.start}-{citation.end})[/]")
    out.print(f"      “{shorten(citation.quote, _QUOTE)}”", markup=False)
