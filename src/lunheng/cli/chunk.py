"""``lunheng chunk FILE``"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lunheng.cli.common import AsJson, Waiting, counted, insist_on_file, out, print_json, show_notes

if TYPE_CHECKING:
    from lunheng.chunking import Cut
    from lunheng.cli.chunk_view import Compared
    from lunheng.config import Settings
    from lunheng.protocols import Embedder
    from lunheng.types import Document


def chunk(
    file: Annotated[Path, typer.Argument(help="The file to cut.")],
    strategy: Annotated[
        str | None, typer.Option(help="A strategy by its name, or your own; by default as in the settings.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=16, help="Tokens of a chunk at the most; by default as in the settings.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the text with the boundaries in colour.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Cut the file by every strategy and show their sizes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show how a file is cut into chunks, by which strategy and why."""
    from lunheng.cli.chunk_view import show_comparison, show_text
    from lunheng.config import Settings
    from lunheng.ingest.figures import with_descriptions
    from lunheng.models import load_describer, load_embedder
    from lunheng.parsing import parse_file

    if compare and strategy is not None:
        raise typer.BadParameter("cuts by every strategy; leave --strategy out", param_hint="--compare")
    insist_on_file(file, "FILE")
    settings = Settings.load()
    if size is not None:
        settings = _with(settings, "size", size)
    if strategy is not None:
        settings = _with(settings, "strategy", strategy)
    describer = load_describer(settings.models, settings.parsing.describe_figures)
    document = with_descriptions(parse_file(file, settings.parsing), describer)
    embedder = load_embedder(settings.models)
    if compare:
        compared = _compare(document, settings, embedder, as_json)
        print_json(compared) if as_json else show_comparison(document, compared)
        return
    cut = _cut(document, settings, embedder)
    strategy = cut.strategy or settings.chunking.strategy
    if as_json:
        print_json({"strategy": strategy, "reason": cut.reason, "warnings": cut.notes, "chunks": cut.chunks})
        return
    if show:
        show_text(document, cut.chunks)
    else:
        _list(cut)
    out.print(f"{counted(len(cut.chunks), 'chunk')} by {strategy}" + (f": {cut.reason}" if cut.reason else ""))
    show_notes(cut.notes)


def _with(settings: Settings, name: str, value: object) -> Settings:
    return settings.model_copy(update={"chunking": settings.chunking.model_copy(update={name: value})})


def _cut(document: Document, settings: Settings, embedder: Embedder) -> Cut:
    from lunheng.chunking import cut_document, make_chunker
    from lunheng.models import load_llm

    chunker = make_chunker(
        settings.chunking, embedder.tokenizer, embedder.window, embedder, lambda: load_llm(settings.models)
    )
    return cut_document(chunker, document)


def _compare(document: Document, settings: Settings, embedder: Embedder, quiet: bool) -> list[Compared]:
    """Every strategy on ``document``; one that cannot run here says why."""
    from lunheng.chunking import STRATEGIES
    from lunheng.cli.chunk_view import Compared
    from lunheng.errors import LunhengError

    found = []
    _cut(document, _with(settings, "strategy", "fixed"), embedder)  # what is loaded once is in nobody's time
    with Waiting(quiet) as waiting:
        for name in STRATEGIES:
            waiting.say(f"cutting by {name}")
            started = time.perf_counter()
            try:
                cut = _cut(document, _with(settings, "strategy", name), embedder)
            except LunhengError as error:
                found.append(Compared(name, error=str(error)))
                continue
            found.append(Compared.of(name, cut, time.perf_counter() - started))
    return found


def _list(cut: Cut) -> None:
    for c in cut.chunks:
        m = c.metadata
        page = f" page {m.page_number}" if m.page_number else ""
        clause = f"  {m.legal_clause_id}" if m.legal_clause_id else ""
        head = f"{m.chunk_index}  {counted(m.token_count, 'token')}  {c.start}-{c.end}{page}  {c.kind}{clause}"
        out.rule(head, align="left")
        if c.prefix:
            out.print(c.prefix, style="dim cyan", markup=False)
        out.print(c.text, markup=False)
