"""Preference data: from users, from a judge with swapped places, from checked drafts; reviewed rows alone are taken."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lunheng import KnowledgeBase, Settings
from lunheng.answering.prompts import phrases
from lunheng.cli.main import app
from lunheng.errors import DataError
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.testing.fakes import FakeLLM
from lunheng.tuning.data.loading import DataSource, load
from lunheng.tuning.rag.feedback import read_feedback
from lunheng.tuning.rag.preferences import judged_pairs, read_pairs, take_reviewed, verified_pairs
from lunheng.types import Message


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def seen_to(path: Path) -> list[Any]:
    """The examples of ``path`` once a person has reviewed it; before, nothing of it is trained on."""
    with pytest.raises(DataError, match="no person has looked at it yet"):
        load([DataSource(path)])
    seen = write(path.with_name("seen.jsonl"), *({**row, "reviewed": True} for row in lines(path)))
    take_reviewed(seen, path.with_name("train.jsonl"))
    return list(load([DataSource(path.with_name("train.jsonl"))]).examples)


FEEDBACK = (
    {"question": "年假几天？", "answer": "10 天。", "verdict": "down", "correction": "外包人员 12 天。", "user": "u1", "id": 7},
    {"question": "Who owns Roost?", "answer": "Bob.", "edit": "Wei Siyuan owns Roost.",
     "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "Who owns Roost?"}]},
    {"question": "谁 on call?", "answer": "王芳。", "verdict": "👍"},
    {"question": "Where?", "answer": "Here.", "verdict": "没用"},
    {"question": "Where?", "answer": "Here.", "verdict": "meh"},
    {"question": "Where?", "answer": "Here.", "correction": "here"},
    {"question": "", "answer": "Here."},
    {"question": "Where?", "answer": "Here."},
)  # fmt: skip


def test_a_correction_beats_the_answer(tmp_path: Path) -> None:
    written = read_feedback(write(tmp_path / "f.jsonl", *FEEDBACK), tmp_path / "p.jsonl")
    rows = lines(tmp_path / "p.jsonl")
    assert [(r["chosen"], r["rejected"]) for r in rows] == [
        ("外包人员 12 天。", "10 天。"),
        ("Wei Siyuan owns Roost.", "Bob."),
    ]
    assert rows[0]["provenance"] == {
        "source": "feedback", "kind": "correction", "file": "f.jsonl", "line": 1, "id": 7, "user": "u1"
    }  # fmt: skip
    assert all(row["reviewed"] is False for row in rows)
    assert [m["role"] for m in rows[1]["prompt"]] == ["system", "user"]
    assert written.rejected == {
        "a thumb without a correction (take it with --labels)": 2,
        "a verdict that is neither up nor down": 1,
        "the correction says what the answer said": 1,
        "no question or no answer": 1,
        "says nothing of the answer": 1,
    }
    assert {type(e).__name__ for e in seen_to(tmp_path / "p.jsonl")} == {"Preference"}


def test_thumbs_are_labels(tmp_path: Path) -> None:
    read_feedback(write(tmp_path / "f.jsonl", *FEEDBACK), tmp_path / "k.jsonl", labels=True)
    examples = seen_to(tmp_path / "k.jsonl")
    assert [(e.completion[0].content, e.good) for e in examples] == [
        ("10 天。", False), ("外包人员 12 天。", True), ("Bob.", False), ("Wei Siyuan owns Roost.", True),
        ("王芳。", True), ("Here.", False),
    ]  # fmt: skip


def test_only_reviewed_rows_are_taken(tmp_path: Path) -> None:
    read_feedback(write(tmp_path / "f.jsonl", *FEEDBACK), tmp_path / "p.jsonl")
    rows = lines(tmp_path / "p.jsonl")
    rows[1]["reviewed"] = True
    written = take_reviewed(write(tmp_path / "seen.jsonl", *rows), tmp_path / "train.jsonl")
    assert lines(tmp_path / "train.jsonl") == [rows[1]] and written.rejected == {"waits for review": 1}
    with pytest.raises(DataError, match="no such file"):
        take_reviewed(tmp_path / "absent.jsonl", tmp_path / "x.jsonl")


def judge_saying(*said: str) -> FakeLLM:
    return FakeLLM([json.dumps({"reason": "so", "winner": s}) if s in ("A", "B", "tie") else s for s in said])


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (("A", "B"), "甲"),
        (("B", "A"), "乙"),
        (("A", "A"), "the judge changed its mind when the answers were swapped"),
        (("A", "tie"), "the judge changed its mind when the answers were swapped"),
        (("tie", "tie"), "the judge finds them equally good"),
        (("A", "no JSON", "nor now"), "the judge gave no verdict that can be read"),
    ],
)
def test_a_verdict_must_hold_when_places_are_swapped(said: tuple[str, ...], kept: str, tmp_path: Path) -> None:
    judge = judge_saying(*said)
    written = judged_pairs({"问题？": ("甲", "乙")}, ("one", "two"), judge, tmp_path / "p.jsonl")
    if kept in ("甲", "乙"):
        assert [row["chosen"] for row in lines(tmp_path / "p.jsonl")] == [kept]
    else:
        assert written.rejected == {kept: 1}
    first, second = (call[0].content for call in judge.calls[:2])
    assert first.index("甲") < first.index("乙") and second.index("乙") < second.index("甲")


def test_two_models_answers_are_judged(tmp_path: Path) -> None:
    one = write(
        tmp_path / "base.jsonl",
        {"question": "1+1?", "answer": "3"},
        {"question": "同样？", "answer": "是。"},
        {"question": "x", "answer": "y"},
    )
    two = write(tmp_path / "tuned.jsonl", {"question": "1+1?", "answer": "2"}, {"question": "同样？", "answer": "是"})
    pairs, alone = read_pairs(one, two)
    assert len(alone) == 1

    written = judged_pairs(pairs, ("base", "tuned"), judge_saying("B", "A"), tmp_path / "p.jsonl")
    [row] = lines(tmp_path / "p.jsonl")
    assert (row["chosen"], row["rejected"], row["provenance"]["chosen_by"]) == ("2", "3", "tuned")
    assert written.rejected == {"both answers are the same": 1} and written.counts == {"wins of tuned": 1}
    with pytest.raises(DataError, match=r"line 1: is not"):
        read_pairs(write(tmp_path / "bad.jsonl", {"q": 1}), two)


@pytest.fixture
def told(
    handbook: KnowledgeBase, embedder: OnnxEmbedder, extractive: Settings
) -> Iterator[tuple[KnowledgeBase, FakeLLM]]:
    llm = FakeLLM()
    with KnowledgeBase.open(handbook.folder, extractive, embedder=embedder, llm=llm) as kb:
        yield kb, llm


@pytest.mark.parametrize(
    ("question", "wrong", "right"),
    [
        ("婚假有多少天？", "婚假为 99 天[1]。", "婚假为 15 天[1]。"),
        ("How long are network access logs kept?", "Network access logs are kept for 7 years [1].", "Network access logs are kept for 95 days [1]."),
    ],
)  # fmt: skip
def test_a_supported_draft_beats_a_rejected_one(
    told: tuple[KnowledgeBase, FakeLLM], tmp_path: Path, question: str, wrong: str, right: str
) -> None:
    kb, llm = told
    drafts = iter([wrong, right])  # the second is written from one source alone

    def reply(messages: Sequence[Message]) -> str:
        return next(drafts, right) if messages[0].content in {phrases(w).system for w in ("zh", "en")} else ""

    llm.replies = (reply,)
    llm.name = question  # completions are remembered by model
    written = verified_pairs([question, question + " "], kb.ask, 1, "fake", tmp_path / "p.jsonl")
    [row] = lines(tmp_path / "p.jsonl")
    assert row["rejected"] == wrong and row["chosen"] == right
    assert row["prompt"][0]["role"] == "system" and row["prompt"][1]["content"].endswith(question)
    assert row["provenance"]["source"] == "verification" and written.counts["drafts supported"] == 1
    assert {type(e).__name__ for e in seen_to(tmp_path / "p.jsonl")} == {"Preference"}


def test_without_a_rejected_draft_there_is_no_pair(told: tuple[KnowledgeBase, FakeLLM], tmp_path: Path) -> None:
    kb, llm = told
    llm.replies, llm.name = ("婚假为 15 天[1]。",), "always right"
    written = verified_pairs(["婚假有多少天？"], kb.ask, 1, "fake", tmp_path / "p.jsonl")
    assert written.rows == 0 and written.rejected == {"no draft was rejected": 1}


def test_the_command_wants_one_source(tmp_path: Path) -> None:
    feedback = write(tmp_path / "f.jsonl", *FEEDBACK)
    both = ["tune", "data", "preferences", "-o", str(tmp_path / "p.jsonl"), "--feedback", str(feedback)]
    refused = CliRunner().invoke(app, [*both, "--reviewed", str(feedback)])
    assert refused.exit_code == 2 and "exactly one" in refused.output
    done = CliRunner().invoke(app, [*both, "--json"])
    assert json.loads(done.stdout)["rows"] == 2
