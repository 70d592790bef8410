"""The runner on a small bilingual set with a real word-overlap search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lunheng.evaluation.datasets import RetrievalDataset, load_dataset
from lunheng.evaluation.runner import evaluate_retrieval

TEXTS = {
    "a": "备份每天凌晨两点半执行",
    "b": "the office dog is called Biscuit",
    "c": "发票在每月五号前提交",
    "d": "rain",
}
QUESTIONS = {
    "1": ("备份几点执行", "a"),
    "2": ("what is the dog called", "b"),
    "3": ("发票何时提交", "c"),
    "4": ("nobody knows", ""),
}


@pytest.fixture
def dataset(tmp_path: Path) -> RetrievalDataset:
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in TEXTS.items()))
    (tmp_path / "queries.jsonl").write_text(
        "".join(json.dumps({"id": i, "text": q}) + "\n" for i, (q, _) in QUESTIONS.items())
    )
    (tmp_path / "qrels.tsv").write_text("".join(f"{i}\t{a}\t1\n" for i, (_, a) in QUESTIONS.items() if a))
    return load_dataset(tmp_path)


def overlap(question: str, k: int) -> list[str]:
    return sorted(TEXTS, key=lambda id: -len(set(question) & set(TEXTS[id])))[:k]


def test_report(dataset: RetrievalDataset) -> None:
    done: list[tuple[int, int]] = []
    report = evaluate_retrieval(overlap, dataset, progress=lambda i, n: done.append((i, n)))
    given = report.to_dict()
    assert given["ndcg@10"] == given["recall@10"] == given["mrr@10"] == given["hit@1"] == 1.0
    assert (given["queries"], given["unjudged"]) == (3, 1)
    assert given["confidence_95"]["hit@1"] == [1.0, 1.0]
    assert done[-1] == (3, 3)
    assert json.loads(json.dumps(given)) == given


def test_a_worse_search_scores_less(dataset: RetrievalDataset) -> None:
    report = evaluate_retrieval(lambda question, k: overlap(question, 4)[::-1], dataset)
    assert report.to_dict()["hit@1"] == 0
    assert report.to_dict()["recall@10"] == 1
    assert report.per_query["mrr@10"] == (0.25, 0.25, 0.25)


def test_repeats_count_once_and_k_cuts(dataset: RetrievalDataset) -> None:
    report = evaluate_retrieval(lambda question, k: ["d", "d", "d", *overlap(question, k)], dataset, k=2)
    assert report.to_dict()["mrr@2"] == 0.5
    assert report.to_dict()["recall@2"] == 1
