"""``lunheng tune data negatives DATA -o FILE``"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lunheng.cli.common import AsJson, bar, err, opened
from lunheng.cli.tune.data.common import Limit, Output, Seed, needed_llm, show

if TYPE_CHECKING:
    from lunheng.config import Settings
    from lunheng.knowledge import KnowledgeBase
    from lunheng.retrieval.pipeline import Mode
    from lunheng.tuning.rag.scoring import Scorer
    from lunheng.tuning.rag.searching import Found, SearchMany

_MODES: dict[str, Mode] = {"bm25": "lexical", "dense": "dense", "hybrid": "hybrid"}


def negatives(
    data: Annotated[
        Path, typer.Argument(help="Triples (query, positive), or a folder of corpus.jsonl, queries.jsonl, qrels.tsv.")
    ],
    output: Output,
    folder: Annotated[
        Path | None, typer.Option("--kb", help="Mine in this knowledge base; by default among the data's own passages.")
    ] = None,
    search: Annotated[
        str, typer.Option(help="Between commas: bm25, dense, and with --kb hybrid (reranked).")
    ] = "bm25,dense",
    scorer: Annotated[str, typer.Option(help="Margins are taken of: cosine, or reranker.")] = "cosine",
    count: Annotated[int, typer.Option(min=1, help="Negatives of one query at the most.")] = 5,
    first: Annotated[int, typer.Option("--skip", min=0, help="So many of each search's best are skipped.")] = 0,
    depth: Annotated[int, typer.Option(min=1, help="The last rank of each search that is looked at.")] = 50,
    absolute: Annotated[
        float, typer.Option("--margin", min=0.0, help="A negative scores so much below the positive at least.")
    ] = 0.0,
    relative: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="A negative scores this share of the positive's score at most.")
    ] = 0.95,
    answers: Annotated[
        Path | None, typer.Option(help='{"id": query, "answers": [...]} a line: no negative holds one.')
    ] = None,
    generate: Annotated[
        int | None, typer.Option(min=1, help="Have the language model write so many instead of mining.")
    ] = None,
    limit: Limit = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Find hard negatives for queries: passages that look like the answer and are none."""
    from lunheng.config import Settings
    from lunheng.evaluation.datasets import CORPUS, load_dataset
    from lunheng.tuning.rag.confusable import write_negatives
    from lunheng.tuning.rag.false_negatives import Margins
    from lunheng.tuning.rag.negatives import MiningSettings, mine_negatives
    from lunheng.tuning.rag.wanted import distinct_positives, of_dataset, of_triples, passages_of, read_answers

    names = tuple(dict.fromkeys(part.strip() for part in search.split(",")))
    if not names or not set(names) <= set(_MODES):
        raise typer.BadParameter(f"{search!r}: each must be one of {', '.join(_MODES)}", param_hint="--search")
    if folder is None and "hybrid" in names:
        raise typer.BadParameter("hybrid searches a knowledge base: give --kb", param_hint="--search")
    if scorer not in ("cosine", "reranker"):
        raise typer.BadParameter(f"{scorer!r} is neither cosine nor reranker", param_hint="--scorer")
    if (data / CORPUS).is_file():
        dataset = load_dataset(data)
        wanted = of_dataset(dataset, read_answers(answers) if answers else {})
        passages = passages_of(dataset)
        unread = 0
    else:
        if answers is not None:
            raise typer.BadParameter("goes with a labelled set; triples hold their own answer", param_hint="--answers")
        wanted, problems = of_triples(data)
        passages, unread = distinct_positives(wanted), len(problems)
        for problem in problems[:5]:
            err.print(f"[yellow]left out[/] {problem.origin}: {problem.message}")
    settings = Settings.load(folder) if folder is not None else Settings.load()
    if generate is not None:
        with bar("writing", as_json) as advance:
            written = write_negatives(wanted, needed_llm(settings), output, generate, seed, limit, advance)
        show(written, as_json, unread=unread)
        return
    chosen = MiningSettings(count, first, depth, Margins(absolute, relative), seed)
    with _mine(settings, folder, names, scorer, passages, as_json) as mine, bar("mining", as_json) as advance:
        written = mine_negatives(wanted, mine.searches, mine.scorer, mine.scored_by, output, chosen, limit, advance)
    show(written, as_json, unread=unread)


@dataclass(frozen=True, slots=True)
class _Mine:
    """What negatives are mined with."""

    searches: Mapping[str, SearchMany]
    scorer: Scorer
    scored_by: str


@contextmanager
def _mine(
    settings: Settings,
    folder: Path | None,
    names: Sequence[str],
    scorer: str,
    passages: Sequence[Found],
    quiet: bool,
) -> Iterator[_Mine]:
    """Searches and a scorer: over a knowledge base, or over ``passages``."""
    from lunheng.models import load_embedder, load_reranker
    from lunheng.tuning.rag.scoring import CosineScorer
    from lunheng.tuning.rag.searching import DenseSearch, LexicalSearch

    with ExitStack() as stack:
        kb = stack.enter_context(opened(folder)) if folder is not None else None
        embedder = kb.embedder if kb is not None else load_embedder(settings.models)
        cosine = CosineScorer(embedder)
        searches: dict[str, SearchMany] = {}
        for name in names:
            if kb is not None:
                searches[name] = search_of(kb, name)
            elif name == "bm25":
                searches[name] = LexicalSearch(passages)
            else:
                with bar("embedding", quiet) as advance:
                    searches[name] = dense = DenseSearch(passages, embedder, advance)
                cosine.learn([p.text for p in passages], dense.vectors)
        if scorer == "cosine":
            yield _Mine(searches, cosine, embedder.fingerprint)
            return
        reranker = load_reranker(settings.models, embedder)
        if reranker is None:
            raise typer.BadParameter(
                "no reranker is configured: take cosine, or set models.reranker, as LUNHENG_MODELS__RERANKER=late-interaction",
                param_hint="--scorer",
            )
        yield _Mine(searches, reranker.score, reranker.fingerprint)


def search_of(kb: KnowledgeBase, name: str) -> SearchMany:
    """The knowledge base's search by words (bm25), by vectors (dense) or by both (hybrid), of many questions."""
    from lunheng.tuning.rag.searching import Found

    mode = _MODES[name]

    def many(queries: Sequence[str], k: int) -> list[list[Found]]:
        found = [kb.search(query, k, mode=mode) for query in queries]
        return [[Found(hit.chunk.id, hit.chunk.full_text) for hit in hits] for hits in found]

    return many
