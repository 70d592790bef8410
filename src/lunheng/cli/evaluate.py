"""``lunheng eval retrieval DIR``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from lunheng.cli.common import AsJson, bar, counted, err, ingest_progress, out, print_json

app = typer.Typer(no_args_is_help=True, help="Measure quality.")


@app.callback()
def _group() -> None:
    """Measure quality."""


@app.command("retrieval")
def retrieval(
    folder: Annotated[Path, typer.Argument(help="corpus.jsonl, queries.jsonl and qrels.tsv.")],
    corpus: Annotated[Path | None, typer.Option(help="Take the passages from this set (cross-lingual pairs).")] = None,
    mode: Annotated[str, typer.Option(help="hybrid, dense or lexical.")] = "hybrid",
    rerank: Annotated[bool, typer.Option(help="Rerank the best candidates.")] = True,
    k: Annotated[int, typer.Option("-k", min=1, help="Depth of the metrics.")] = 10,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first queries.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure retrieval on a labelled set: nDCG, recall, MRR and hits, with confidence intervals.

    The set is indexed once and kept in the cache, by its content and the settings.
    """
    from dataclasses import replace

    from lunheng.config import Settings
    from lunheng.evaluation.cache import evaluation_folder
    from lunheng.evaluation.corpus import passage_documents, passage_ids
    from lunheng.evaluation.datasets import load_dataset
    from lunheng.evaluation.runner import evaluate_retrieval
    from lunheng.knowledge import KnowledgeBase
    from lunheng.models import load_embedder
    from lunheng.types import content_id

    if mode not in ("hybrid", "dense", "lexical"):
        raise typer.BadParameter(f"{mode!r} is not one of hybrid, dense, lexical", param_hint="--mode")
    chosen = cast(Literal["hybrid", "dense", "lexical"], mode)
    dataset = load_dataset(folder, corpus)
    if limit:
        dataset = replace(dataset, queries=dataset.queries[:limit])
    settings = Settings.load()
    embedder = load_embedder(settings.models)
    digest = content_id(
        *(p.full_text for p in dataset.passages), embedder.fingerprint, settings.chunking.model_dump_json()
    )
    with KnowledgeBase.open(evaluation_folder(digest), settings, embedder=embedder) as base:
        with bar("indexing", as_json) as advance:
            report = base.add(passage_documents(dataset.passages), progress=ingest_progress(advance))
        for item in report.failed:
            err.print(f"[red]failed[/] {item.source}: {item.reason}")
        with bar("searching", as_json) as advance:
            measured = evaluate_retrieval(
                lambda query, count: passage_ids(base.search(query, k=count * 2, mode=chosen, rerank=rerank))[:count],
                dataset,
                k,
                advance,
            )
    if as_json:
        print_json({**measured.to_dict(), "mode": mode, "rerank": rerank})
        return
    for name, interval in measured.metrics.items():
        out.print(f"{name:>10}  {interval.mean:.4f}  [dim]95% {interval.low:.4f}-{interval.high:.4f}[/]")
    out.print(
        f"{counted(measured.queries, 'query', 'queries')}, {measured.seconds / measured.queries * 1000:.1f} ms each"
    )
