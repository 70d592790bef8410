"""The metrics against hand-worked cases and against ir-measures (pytrec_eval) on random runs."""

from __future__ import annotations

import random
from math import log2

import ir_measures
import pytest
from ir_measures import RR, R, Success, nDCG

from lunheng.evaluation.retrieval_metrics import hit_at_1, mrr_at_k, ndcg_at_k, recall_at_k


def test_by_hand() -> None:
    grades = {"a": 2, "b": 1, "z": 0}
    ranked = ["z", "b", "x", "a"]
    assert ndcg_at_k(ranked, grades) == pytest.approx((1 / log2(3) + 2 / log2(5)) / (2 + 1 / log2(3)))
    assert recall_at_k(ranked, grades, 2) == 0.5
    assert mrr_at_k(ranked, grades) == 0.5
    assert hit_at_1(ranked, grades) == 0
    assert hit_at_1(["a"], grades) == 1
    assert mrr_at_k(ranked, grades, 1) == 0


def test_nothing_found_and_nothing_relevant() -> None:
    for metric in (ndcg_at_k, recall_at_k, mrr_at_k, hit_at_1):
        assert metric([], {"a": 1}) == 0
        assert metric(["a"], {"a": 0}) == 0
        assert metric(["a"], {}) == 0


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_ir_measures(seed: int) -> None:
    rng = random.Random(seed)
    passages = [f"d{i}" for i in range(40)]
    qrels = {f"q{i}": {d: rng.randint(0, 3) for d in rng.sample(passages, rng.randint(2, 20))} for i in range(20)}
    for grades in qrels.values():
        grades[rng.choice(passages)] = 1
    ranked = {query: rng.sample(passages, rng.randint(1, 30)) for query in qrels}
    run = {query: {d: float(-rank) for rank, d in enumerate(ids)} for query, ids in ranked.items()}
    ours = {nDCG @ 10: ndcg_at_k, R @ 10: recall_at_k, RR @ 10: mrr_at_k, Success @ 1: hit_at_1}
    measured = list(ir_measures.iter_calc(list(ours), qrels, run))
    assert len(measured) == 4 * len(qrels)
    for value in measured:
        mine = ours[value.measure](ranked[value.query_id], qrels[value.query_id])
        assert mine == pytest.approx(value.value, abs=1e-9), value
