"""Runs any search over a labelled set and reports the four metrics with confidence intervals.

Called by ``lunheng eval retrieval`` and the benchmarks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lunheng.evaluation.datasets import Query, RetrievalDataset
from lunheng.evaluation.retrieval_metrics import hit_at_1, mrr_at_k, ndcg_at_k, recall_at_k
from lunheng.evaluation.statistics import Interval, bootstrap_interval

Search = Callable[[str, int], list[str]]
"""A question and k to passage ids, best first."""


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """What a search scored on a set: metrics by name, each the mean over ``queries`` queries."""

    dataset: str
    digest: str
    k: int
    queries: int
    unjudged: int
    """Queries left out, since no passage is labelled relevant to them."""
    metrics: dict[str, Interval]
    per_query: dict[str, tuple[float, ...]]
    """Each metric's score on each query, in the set's order: what ``paired_test`` takes."""
    seconds: float
    """Wall time of all searches together."""

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON: ``{"ndcg@10": ..., "recall@10": ..., "mrr@10": ..., "hit@1": ..., "queries": ...}``."""
        return {
            **{name: round(interval.mean, 4) for name, interval in self.metrics.items()},
            "queries": self.queries,
            "unjudged": self.unjudged,
            "dataset": self.dataset,
            "data_sha256": self.digest,
            "confidence_95": {name: [round(i.low, 4), round(i.high, 4)] for name, i in self.metrics.items()},
            "ms_per_query": round(1000 * self.seconds / self.queries, 2),
        }


def evaluate_retrieval(
    search: Search, dataset: RetrievalDataset, k: int = 10, progress: Callable[[int, int], None] | None = None
) -> RetrievalReport:
    """Ask every judged query of ``dataset`` for ``k`` passages and score the lists.

    ``search`` may give fewer than ``k``; a passage that it gives twice counts where it stands first (several chunks
    of one passage are one passage). ``progress`` gets (done, all) after each query.
    """
    return evaluate_rankings(lambda query: search(query.text, k), dataset, k, progress)


def evaluate_rankings(
    rank: Callable[[Query], list[str]],
    dataset: RetrievalDataset,
    k: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> RetrievalReport:
    """``evaluate_retrieval`` of what ranks passages for a whole query, its id included."""
    judged = dataset.judged
    scores: dict[str, list[float]] = {name: [] for name in (f"ndcg@{k}", f"recall@{k}", f"mrr@{k}", "hit@1")}
    start = time.perf_counter()
    for done, query in enumerate(judged, 1):
        ranked = list(dict.fromkeys(rank(query)))[:k]
        grades = dataset.qrels[query.id]
        scores[f"ndcg@{k}"].append(ndcg_at_k(ranked, grades, k))
        scores[f"recall@{k}"].append(recall_at_k(ranked, grades, k))
        scores[f"mrr@{k}"].append(mrr_at_k(ranked, grades, k))
        scores["hit@1"].append(hit_at_1(ranked, grades))
        if progress:
            progress(done, len(judged))
    seconds = time.perf_counter() - start
    return RetrievalReport(
        dataset=dataset.name,
        digest=dataset.digest,
        k=k,
        queries=len(judged),
        unjudged=len(dataset.queries) - len(judged),
        metrics={name: bootstrap_interval(values) for name, values in scores.items()},
        per_query={name: tuple(values) for name, values in scores.items()},
        seconds=seconds,
    )
