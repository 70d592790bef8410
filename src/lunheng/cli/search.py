"""``lunheng search QUERY``"""

from __future__ import annotations

from typing import Annotated, Literal, cast

import typer

from lunheng.cli.common import DEFAULT_FOLDER, As, AsJson, Folder, Groups, Where, opened, out, principal, print_json


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
    with opened(kb) as base:
        who = principal(user, group)
        found = base.find(query, k=k, filter=where, principal=who, mode=chosen, rerank=rerank)
    if as_json:
        print_json({"query": query, "confidence": found.confidence, "hits": found.hits})
        return
    for place, hit in enumerate(found.hits, start=1):
        chunk = hit.chunk
        where_it_stands = " › ".join([chunk.metadata.source.rsplit("/", 1)[-1], *chunk.metadata.heading_path])
        page = f" (page {chunk.metadata.page_number})" if chunk.metadata.page_number else ""
        out.print(f"[bold]{place}.[/] [cyan]{where_it_stands}[/]{page}  [dim]{hit.kind} {hit.score:.4f}[/]")
        out.print(" ".join(chunk.text.split())[:240], markup=False)
    out.print(f"[dim]confidence that these answer it: {found.confidence:.2f}[/]")
