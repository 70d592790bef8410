"""``lunheng search QUERY``"""

from __future__ import annotations

from typing import Annotated, Literal, cast

import typer

from lunheng.cli.common import (
    DEFAULT_FOLDER,
    As,
    AsJson,
    Folder,
    Groups,
    Waiting,
    Where,
    opened,
    out,
    principal,
    print_json,
    show_notes,
)
from lunheng.cli.excerpt import excerpts, place
from lunheng.tracing import Tracer

_SCORES = {
    "rerank": "the reranker's",
    "evidence": "the evidence of all retrievers together",
    "rrf": "reciprocal rank fusion",
    "cosine": "cosine similarity of the vectors",
    "bm25": "BM25",
}
"""What a hit's score is, by its kind."""


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many hits.")] = 10,
    kb: Folder = DEFAULT_FOLDER,
    where: Where = None,
    user: As = None,
    group: Groups = None,
    mode: Annotated[str, typer.Option(help="hybrid, dense or lexical.")] = "hybrid",
    rerank: Annotated[bool, typer.Option(help="Rerank the best candidates.")] = True,
    as_json: AsJson = False,
) -> None:
    """Find the passages that say most to a query."""
    if mode not in ("hybrid", "dense", "lexical"):
        raise typer.BadParameter(f"{mode!r} is not one of hybrid, dense, lexical", param_hint="--mode")
    chosen = cast(Literal["hybrid", "dense", "lexical"], mode)
    who, tracer = principal(user, group), Tracer()
    with opened(kb) as base, Waiting(quiet=as_json) as waiting:
        waiting.say("searching…")
        found = base.find(query, k=k, filter=where, principal=who, mode=chosen, rerank=rerank, tracer=tracer)
        warnings = dict.fromkeys(tracer.trace().warnings)
        if as_json:
            print_json({"query": query, "confidence": found.confidence, "hits": found.hits, "warnings": [*warnings]})
            return
        texts = excerpts(query, found.hits, base.embedder) if found.hits else []
        empty = not found.hits and base.status()["documents"] == 0
    for number, (hit, text) in enumerate(zip(found.hits, texts, strict=True), start=1):
        out.print(f"[bold]{number}.[/] ", end="")
        out.print(place(hit.chunk.metadata), style="cyan", markup=False, end="")
        out.print(f"  [dim]{hit.score:.2f}[/]" if hit.score >= 0.1 else f"  [dim]{hit.score:.4f}[/]")
        out.print(f"   {text}", markup=False)
    if found.hits:
        out.print(
            f"[dim]score: {_SCORES[found.hits[0].kind]}; higher is better, within this list only. "
            f"Confidence that these answer it, from 0 to 1: {found.confidence:.2f}[/]"
        )
    elif empty:
        out.print("the knowledge base is empty; fill it with: lunheng sync FOLDER")
    else:
        out.print("no passage was found")
    show_notes(warnings)
