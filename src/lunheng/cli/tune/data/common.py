"""What the commands that make training data share: their options, and how they tell what they made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lunheng.cli.common import counted, err, out, print_json

if TYPE_CHECKING:
    from lunheng.config import Settings
    from lunheng.knowledge import KnowledgeBase
    from lunheng.protocols import LLM
    from lunheng.tuning.rag.journal import Written

Output = Annotated[
    Path, typer.Option("--output", "-o", help="The JSONL file; what was begun there before is gone on with.")
]
Seed = Annotated[int, typer.Option(help="Decides every choice.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many; a later run with a higher limit goes on.")]
Templates = Annotated[bool, typer.Option("--templates", help="Ask by templates, also where there is a language model.")]


def writer(kb: KnowledgeBase, templates: bool) -> LLM | None:
    """The language model that writes; None, and said, where templates do.

    Raises:
        ModelNotPulledError: one is configured and not there.
    """
    llm = None if templates else kb.llm
    if llm is None and not templates:
        err.print("[yellow]note[/]: no language model is configured; templates write the questions")
    return llm


def needed_llm(settings: Settings) -> LLM:
    """The configured language model, where there is no knowledge base to ask for it.

    Raises:
        ConfigError: none is configured.
    """
    from lunheng.errors import ConfigError
    from lunheng.models import load_llm

    llm = load_llm(settings.models)
    if llm is None:
        raise ConfigError("models.llm is none, and this needs a language model; set it, as LUNHENG_MODELS__LLM=NAME")
    return llm


def show(written: Written, as_json: bool, **more: Any) -> None:
    """Print what was made, and every reason for which something was not."""
    if as_json:
        from lunheng.types import to_jsonable

        print_json({**to_jsonable(written), **more})
        return
    out.print(f"[bold]{counted(written.rows, 'row')}[/] of {counted(written.items, 'item')} in {written.output}")
    if written.resumed or written.stale:
        out.print(f"[dim]{written.resumed} items were done before; {written.stale} of those are gone since[/]")
    for reason, number in written.rejected.items():
        out.print(f"[yellow]{number:>7}[/] {reason}")
    for what, number in written.counts.items():
        out.print(f"[dim]{number:>7} {what}[/]")
    if written.rejected:
        out.print(f"[dim]what was rejected: {written.rejected_file}[/]")
