"""Hard negatives: what each filter drops, the blocks of the dense search, mined and written ones, going on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lunheng import KnowledgeBase
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.testing.fakes import FakeEmbedder, FakeLLM, FakeReranker
from lunheng.tuning.data.loading import DataSource, load
from lunheng.tuning.rag import false_negatives as why
from lunheng.tuning.rag.confusable import OFF_TOPIC, write_negatives
from lunheng.tuning.rag.false_negatives import Margins, Wanted, filtered
from lunheng.tuning.rag.negatives import NONE_LEFT, SKIPPED, MiningSettings, mine_negatives
from lunheng.tuning.rag.scoring import CosineScorer
from lunheng.tuning.rag.searching import DenseSearch, Found, LexicalSearch, nearest_rows
from lunheng.tuning.rag.wanted import of_dataset, of_triples, passages_of

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
POSITIVE = "外包人员的年假为 12 天，入职当年按月折算。"
QUESTION = "外包人员的年假有几天？"


def test_every_filter_drops_what_it_is_for() -> None:
    candidates = [
        Found("p", "标注过的另一份正例，内容完全不同。"),
        Found("copy", "外包人员的年假为12天,入职当年按月折算"),
        Found("answer", "合同里写明，年假共 12 天。"),
        Found("absolute", "absolute 外包人员的年假另行规定。"),
        Found("relative", "relative 外包人员的年假由派出公司决定。"),
        Found("good", "正式员工的年假为 15 天，满十年为 21 天。"),
        Found("repeat", "正式员工的年假为15天，满十年为21天。"),
        Found("more", "婚假须提前三天申请。"),
    ]
    scores = {
        POSITIVE: 0.9,
        **{c.text: s for c, s in zip(candidates, [0, 0, 0, 0.85, 0.8, 0.7, 0.69, 0.5], strict=True)},
    }
    wanted = Wanted("q", QUESTION, (POSITIVE,), frozenset({"p"}), ("12 天",))
    result = filtered(
        wanted, candidates, 1, lambda q, texts: np.array([scores[t] for t in texts], np.float32), Margins(0.06, 0.85)
    )
    assert [n.id for n in result.negatives] == ["good"] and result.scores == (0.7,) and result.positive_score == 0.9
    assert result.dropped == {
        why.LABELLED: 1, why.COPY: 1, why.ANSWERS: 1, why.ABSOLUTE: 1, why.RELATIVE: 1, why.NOT_NEEDED: 2
    }  # fmt: skip
    wider = filtered(
        wanted, candidates, 3, lambda q, texts: np.array([scores[t] for t in texts], np.float32), Margins(0.06, 0.85)
    )
    assert [n.id for n in wider.negatives] == ["good", "more"] and wider.dropped[why.REPEATS] == 1


@pytest.mark.parametrize(("score", "dropped"), [(-2.2, None), (-2.05, why.RELATIVE), (-1.0, why.ABSOLUTE)])
def test_a_relative_margin_works_below_zero(score: float, dropped: str | None) -> None:
    assert Margins(0.0, 0.95).broken_by(score, -2.0) == dropped
    assert Margins(0.0, 1.0).broken_by(-2.0, -2.0) is None


@pytest.mark.parametrize("block", [1, 3, 100])
def test_blocks_change_nothing(block: int) -> None:
    chance = np.random.default_rng(1)
    queries, passages = (chance.standard_normal((n, 8)).astype(np.float32) for n in (5, 17))
    exact = np.argsort(-(queries @ passages.T), axis=1, kind="stable")[:, :4]
    assert np.array_equal(nearest_rows(queries, passages, 4, block), exact)
    assert nearest_rows(queries, passages, 50, block).shape == (5, 17)


PASSAGES = [
    Found("a", "Contractors have 12 days of annual leave each year."),
    Found("b", "Employees have 15 days of annual leave each year."),
    Found("c", "外包人员的年假为 12 天。"),
    Found("d", "The server room is locked at night."),
]


def test_both_searches_find(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    for search in (LexicalSearch(PASSAGES), DenseSearch(PASSAGES, embedder)):
        first = search(["annual leave of contractors", "外包人员的年假"], 2)
        assert [found[0].id for found in first] == ["a", "c"]


def mine(tmp_path: Path, wanted: list[Wanted], **more: int) -> tuple[object, list[dict[str, object]]]:
    searches = {"bm25": LexicalSearch(PASSAGES)}
    settings = MiningSettings(count=2, depth=4, margins=Margins(0.0, 1.0), **more)
    written = mine_negatives(wanted, searches, FakeReranker().score, "fake", tmp_path / "n.jsonl", settings)
    return written, [json.loads(line) for line in (tmp_path / "n.jsonl").read_text(encoding="utf-8").splitlines()]


def test_rows_are_triples_and_the_rest_is_counted(tmp_path: Path) -> None:
    good = Wanted(
        "1", "How many days of annual leave have contractors?", (PASSAGES[0].text,), frozenset({"a"}), group="g"
    )
    none = Wanted("2", "外包人员的年假有几天？", (PASSAGES[2].text,), frozenset({"c"}))
    written, rows = mine(tmp_path, [good, none])
    assert [row["negative_ids"] for row in rows] == [["b"]]
    assert written.rejected == {NONE_LEFT: 1} and written.counts[why.LABELLED] == 2  # type: ignore[attr-defined]
    [triple] = load([DataSource(tmp_path / "n.jsonl")]).examples
    assert triple.negatives == (PASSAGES[1].text,) and triple.group == "g"  # type: ignore[union-attr]
    again, same = mine(tmp_path, [good, none])
    assert again.resumed == 2 and same == rows  # type: ignore[attr-defined]


def test_the_first_ranks_are_skipped(tmp_path: Path) -> None:
    one = Wanted("1", "annual leave each year", ("Leave each year, annual: nobody works on Sundays.",))
    written, rows = mine(tmp_path, [one], first=1)
    assert written.counts[SKIPPED] == 1 and len(rows[0]["negative_ids"]) == 1  # type: ignore[attr-defined, arg-type]


def test_written_negatives_are_checked(tmp_path: Path) -> None:
    one = Wanted("1", QUESTION, (POSITIVE,), answers=("12 天",))
    given = [
        "正式员工的年假为 15 天，入职满十年后增加到 21 天。",
        POSITIVE,
        "派遣员工的年假是 12 天，按季度发放。",
        "The annual leave of employees is 15 days.",
        "今晚有雨，气温下降到八度，请注意保暖。",
    ]
    llm = FakeLLM([json.dumps({"negatives": given}, ensure_ascii=False)])
    written = write_negatives([one], llm, tmp_path / "n.jsonl", count=5)
    [triple] = load([DataSource(tmp_path / "n.jsonl")]).examples
    assert triple.negatives == (given[0],)  # type: ignore[union-attr]
    assert written.rejected == {why.COPY: 1, why.ANSWERS: 1, "not in the positive's language": 1, OFF_TOPIC: 1}
    assert QUESTION in llm.calls[0][0].content and llm.schemas[0]["properties"]["negatives"]["maxItems"] == 5  # type: ignore[index]
    broken = write_negatives([one], FakeLLM(["no JSON"]), tmp_path / "b.jsonl", count=1)
    assert broken.rejected == {"the model's reply is not the JSON asked for": 1}


def test_triples_of_one_query_share_their_positives(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    rows = [
        {"question": "谁值班？", "answer": "王芳", "positive": "周一王芳值班。", "chunk_id": "c1", "group": "d"},
        {"query": "谁值班", "positive": "王芳周一在岗。"},
        {"query": "", "positive": "x"},
    ]
    file.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    wanted, problems = of_triples(file)
    assert [w.positives for w in wanted] == [("周一王芳值班。", "王芳周一在岗。"), ("王芳周一在岗。", "周一王芳值班。")]
    assert wanted[0].answers == ("王芳",) and wanted[0].group == "d" and wanted[1].positive_ids == {"c1"}
    assert [p.kind for p in problems] == ["wrong column"] or len(problems) == 1


def test_mined_in_a_knowledge_base(handbook: KnowledgeBase, tmp_path: Path, embedder: OnnxEmbedder) -> None:
    leave = next(c for c in handbook.chunks() if "婚假：15 天" in c.text)
    wanted = Wanted("1", "婚假有多少天？", (leave.full_text,), frozenset({leave.id}), ("婚假为 15 天",))

    def search(queries: object, k: int) -> list[list[Found]]:
        hits = handbook.search("婚假有多少天？", k, mode="dense")
        return [[Found(h.chunk.id, h.chunk.full_text) for h in hits]]

    settings = MiningSettings(3, 0, 10)
    mine_negatives([wanted], {"dense": search}, CosineScorer(embedder), "e5", tmp_path / "n.jsonl", settings)
    [row] = [json.loads(line) for line in (tmp_path / "n.jsonl").read_text(encoding="utf-8").splitlines()]
    assert leave.id not in row["negative_ids"] and all(
        s <= 0.95 * row["positive_score"] + 1e-4 for s in row["negative_scores"]
    )


@pytest.mark.parametrize("name", ["medquad_sub", "dureader2_demo"])
def test_mined_in_a_labelled_set(name: str, tmp_path: Path, embedder: OnnxEmbedder) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"needs the data set {name}, which is not in this place")
    from lunheng.evaluation.datasets import load_dataset

    dataset = load_dataset(SHARED / name).part(0, 40)
    passages = passages_of(dataset)
    dense = DenseSearch(passages, embedder)
    scorer = CosineScorer(embedder)
    scorer.learn([p.text for p in passages], dense.vectors)
    wanted = of_dataset(dataset, {})
    searches = {"bm25": LexicalSearch(passages), "dense": dense}
    written = mine_negatives(wanted, searches, scorer, "e5", tmp_path / "n.jsonl", MiningSettings(3, 0, 20))
    assert written.items == len(wanted) and written.counts["negatives"] > 0
    mined = written.counts["candidates mined"]
    kept = written.counts["negatives"]
    assert mined == kept + sum(written.counts.get(w, 0) for w in (
        why.LABELLED, why.COPY, why.ANSWERS, why.ABSOLUTE, why.RELATIVE, why.REPEATS, why.NOT_NEEDED
    ))  # fmt: skip
