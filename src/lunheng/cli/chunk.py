"""``lunheng chunk FILE``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lunheng.cli.common import AsJson, counted, out, print_json


def chunk(
    file: Annotated[Path, typer.Argument(help="The file to cut.")],
    strategy: Annotated[str | None, typer.Option(help="auto, recursive, structure or fixed.")] = None,
    size: Annotated[int | None, typer.Option(min=16, help="Tokens of a chunk at the most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how a file is cut into chunks."""
    from lunheng.chunking import make_chunker
    from lunheng.config import Settings
    from lunheng.models import load_embedder
    from lunheng.parsing import parse_file

    settings = Settings.load()
    changes = {name: value for name, value in (("strategy", strategy), ("size", size)) if value is not None}
    chunking = settings.chunking.model_copy(update=changes)
    document = parse_file(file, settings.parsing)
    embedder = load_embedder(settings.models)
    chunks = make_chunker(chunking, embedder.tokenizer, embedder.window, embedder).split(document)
    if as_json:
        print_json(chunks)
        return
    for c in chunks:
        m = c.metadata
        page = f" page {m.page_number}" if m.page_number else ""
        out.rule(f"{m.chunk_index}  {counted(m.token_count, 'token')}  {c.start}-{c.end}{page}  {c.kind}", align="left")
        if c.prefix:
            out.print(c.prefix, style="dim cyan", markup=False)
        out.print(c.text, markup=False)
    out.print(counted(len(chunks), "chunk"))
