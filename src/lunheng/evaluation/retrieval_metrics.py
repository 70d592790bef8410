"""The four retrieval metrics, defined as trec_eval defines them.

Called by the runner, on one query at a time. ``ranked`` is a list of passage ids, best first, without
repeats; ``grades`` gives each judged passage's grade, and a passage is relevant when its grade is over 0.
Checked against ``ir-measures`` in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2


def ndcg_at_k(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    """Normalised discounted cumulative gain (Järvelin & Kekäläinen 2002): gain = grade, discount = log2(rank + 1)."""
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
    best = sum(grade / log2(rank + 1) for rank, grade in enumerate(ideal[:k], 1))
    gained = sum(max(grades.get(id, 0), 0) / log2(rank + 1) for rank, id in enumerate(ranked[:k], 1))
    return gained / best if best else 0.0


def recall_at_k(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    """The share of all relevant passages that stand among the first ``k``."""
    relevant = {id for id, grade in grades.items() if grade > 0}
    return len(relevant.intersection(ranked[:k])) / len(relevant) if relevant else 0.0


def mrr_at_k(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    """One over the rank of the first relevant passage, 0 when none is among the first ``k`` (its mean is MRR@k)."""
    return next((1 / rank for rank, id in enumerate(ranked[:k], 1) if grades.get(id, 0) > 0), 0.0)


def hit_at_1(ranked: Sequence[str], grades: Mapping[str, int]) -> float:
    """1 when the first passage is relevant, else 0 (success@1)."""
    return float(bool(ranked) and grades.get(ranked[0], 0) > 0)
