"""``lunheng eval retrieval DIR`` and ``lunheng eval chunking DIR``; ``eval model`` stands in a file of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer
from rich.table import Column, Table

from lunheng.cli import evaluate_model
from lunheng.cli.common import AsJson, bar, counted, err, ingest_progress, out, print_json

if TYPE_CHECKING:
    from lunheng.config import Settings
    from lunheng.knowledge import KnowledgeBase
    from lunheng.protocols import Embedder
    from lunheng.types import Document, Hit

app = typer.Typer(no_args_is_help=True, help="Measure quality.")
app.command("model")(evaluate_model.model)


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


_TRIED = "fixed,recursive,structure,contextual"


@app.command("chunking")
def chunking(
    folder: Annotated[Path, typer.Argument(help="corpus.jsonl, queries.jsonl and qrels.tsv.")],
    strategies: Annotated[
        str, typer.Option(help="Between commas; each may name its context, as structure+sentence.")
    ] = _TRIED,
    size: Annotated[int | None, typer.Option(min=16, help="Tokens of a chunk at the most.")] = None,
    join: Annotated[
        bool, typer.Option("--join", help="Join consecutive passages of one title into a document.")
    ] = False,
    k: Annotated[int, typer.Option("-k", min=1, help="Depth of the metrics.")] = 10,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many queries, taken evenly.")] = None,
    documents: Annotated[int | None, typer.Option(min=1, help="Only so many passages, and their queries.")] = None,
    skip: Annotated[int, typer.Option(min=0, help="Passages that are left out at the beginning.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure how each chunking strategy finds, on a labelled set; each is tested against `fixed`.

    A hit counts as the passage that it overlaps by at least half (of the shorter of the two).
    """
    from dataclasses import replace

    from lunheng.config import Settings
    from lunheng.evaluation.chunking import ChunkingResult, LongSet, measure
    from lunheng.evaluation.datasets import load_dataset
    from lunheng.models import load_embedder

    dataset = load_dataset(folder)
    if documents or skip:
        dataset = dataset.part(skip, documents)
    if limit:
        step = max(1, len(dataset.queries) // limit)
        dataset = replace(dataset, queries=dataset.queries[::step][:limit])
    long_set = LongSet.of(dataset, join=join)
    settings = Settings.load()
    embedder = load_embedder(settings.models)
    results: list[ChunkingResult] = []
    for name in dict.fromkeys(part.strip() for part in strategies.split(",")):
        changed = _chunking_settings(settings, name, size)
        with _indexed(changed, embedder, long_set.documents, f"{name}: indexing", as_json) as base:
            with bar(f"{name}: searching", as_json) as advance:
                report = measure(partial(_hits, base), long_set, k, advance)
            results.append(ChunkingResult(name, *_sizes(base), report))
    baseline = next((r for r in results if r.strategy == "fixed"), None)
    rows = [r.to_dict(baseline) for r in results]
    if as_json:
        print_json({"dataset": dataset.name, "documents": len(long_set.documents), "joined": join, "strategies": rows})
        return
    metrics = list(results[0].report.metrics)
    table = Table(
        Column("strategy", no_wrap=True), "chunks", "tokens", *metrics, "95%", "p", box=None, padding=(0, 1, 0, 0)
    )
    for row in rows:
        low, high = row["confidence_95"][metrics[0]]
        values = [f"{row[m]:.4f}" for m in metrics]
        p = "" if row["p"] is None else f"{row['p']:.4f}"
        sizes = (str(row["chunks"]), f"{row['mean_tokens']:.0f}")
        table.add_row(row["strategy"], *sizes, *values, f"{low:.3f}-{high:.3f}".replace("0.", "."), p)
    out.print(table)
    out.print(
        f"{counted(rows[0]['queries'], 'query', 'queries')} over {counted(len(long_set.documents), 'document')}; "
        f"95% and p (paired randomisation test against fixed): of {metrics[0]}"
    )


def _hits(base: KnowledgeBase, query: str, count: int) -> list[Hit]:
    return base.search(query, k=count)


def _chunking_settings(settings: Settings, name: str, size: int | None) -> Settings:
    """``settings`` with the strategy, and its context, that ``name`` stands for."""
    from pydantic import ValidationError

    strategy, _, context = name.partition("+")
    changes = {"strategy": strategy} | ({"context": context} if context else {}) | ({"size": size} if size else {})
    try:
        chosen = type(settings.chunking)(**{**settings.chunking.model_dump(), **changes})
    except ValidationError as error:
        raise typer.BadParameter(f"{name}: {error.errors()[0]['msg']}", param_hint="--strategies") from error
    return settings.model_copy(update={"chunking": chosen})


@contextmanager
def _indexed(
    settings: Settings, embedder: Embedder, documents: Sequence[Document], what: str, quiet: bool
) -> Iterator[KnowledgeBase]:
    """A knowledge base of ``documents``, kept in the cache by their content and the settings."""
    from lunheng.evaluation.cache import evaluation_folder
    from lunheng.knowledge import KnowledgeBase
    from lunheng.types import content_id

    texts = (d.source + d.text for d in documents)
    digest = content_id(*texts, embedder.fingerprint, settings.chunking.model_dump_json())
    with KnowledgeBase.open(evaluation_folder(digest), settings, embedder=embedder) as base:
        with bar(what, quiet) as advance:
            report = base.add(documents, progress=ingest_progress(advance))
        for item in report.failed:
            err.print(f"[red]failed[/] {item.source}: {item.reason}")
        yield base


def _sizes(base: KnowledgeBase) -> tuple[int, float]:
    """How many chunks there are, and how many tokens they have on average."""
    from sqlalchemy import func, select

    from lunheng.catalog import Catalog
    from lunheng.catalog.schema import chunks
    from lunheng.ingest.backup import CATALOG_NAME

    catalog = Catalog(base.folder / CATALOG_NAME)
    try:
        with catalog.read() as connection:
            tokens = func.json_extract(chunks.c.metadata, "$.token_count")
            count, mean = connection.execute(select(func.count(), func.avg(tokens)).select_from(chunks)).one()
            return int(count), float(mean or 0.0)
    finally:
        catalog.close()
