"""Perplexity, multiple choice and the probe of forgetting, over a model whose probabilities are known."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lunheng.errors import DataError, ModelError
from lunheng.evaluation.model import TaskOptions, run_task
from lunheng.evaluation.model.choice import Question, measure_choice, read_question
from lunheng.evaluation.model.forgetting import general_set
from lunheng.evaluation.model.perplexity import measure_perplexity, text_log_probability, windows
from lunheng.evaluation.model.rows import Row
from lunheng.testing.fakes import FakeLLM
from lunheng.types import Likelihood


class Known(FakeLLM):
    """A character is a token. Its probability is 1/2 with a token before it in what is read, and 1/8 without.

    A continuation is as likely as ``likes`` says, a hundredth where it says nothing.
    """

    def __init__(self, likes: dict[str, float] | None = None, window: int = 100) -> None:
        super().__init__(window=window)
        self.likes = likes or {}
        self.asked: list[tuple[str, str]] = []
        self.read: list[int] = []

    def encode(self, text: str) -> list[int]:
        return [ord(c) for c in text]

    def log_likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        self.asked += pairs
        return [Likelihood(math.log(self.likes.get(c.strip(), 0.01)), len(c), False) for _, c in pairs]

    def token_log_probabilities(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        self.read += [len(s) for s in sequences]
        return [np.log(np.array([0.125 if at == 0 else 0.5 for at in range(len(s))])) for s in sequences]


def test_each_token_is_scored_once_after_as_much_as_the_window_gives() -> None:
    assert list(windows(10, 4, 2)) == [(0, 4, 0), (2, 6, 4), (4, 8, 6), (6, 10, 8)]
    assert list(windows(5, 4, 4)) == [(0, 4, 0), (1, 5, 4)]
    assert list(windows(3, 4, 1)) == [(0, 3, 0)] and list(windows(0, 4, 2)) == []
    for length, window, stride in ((17, 5, 3), (100, 7, 7), (9, 9, 1), (10, 3, 1)):
        spans = list(windows(length, window, stride))
        assert [t for _, end, first in spans for t in range(first, end)] == list(range(length))
        assert all(end - begin <= window and begin <= first for begin, end, first in spans)
    for stride in (0, 5):
        with pytest.raises(DataError, match="stride"):
            list(windows(3, 4, stride))


def test_perplexity_by_hand() -> None:
    model = Known()
    # Five characters: one at 1/8 and four at 1/2, 2^-7 in sum. Windows overlap, so only the very first has no context.
    total, tokens = text_log_probability(model, "备份ab。", window=3, stride=1)
    assert tokens == 5 and total == pytest.approx(-7 * math.log(2)) and max(model.read) == 3
    token, byte, bits = measure_perplexity(Known(), ["备份ab。"], window=3, stride=1)
    assert token.interval.mean == pytest.approx(2 ** (7 / 5))
    assert byte.interval.mean == pytest.approx(2 ** (7 / 11)) and bits.interval.mean == pytest.approx(7 / 11)
    # Over two texts all tokens count alike: (7 + 4) bits over 5 + 2 tokens.
    assert measure_perplexity(Known(), ["备份ab。", "ab"])[0].interval.mean == pytest.approx(2 ** (11 / 7))
    with pytest.raises(DataError, match="no text"):
        measure_perplexity(Known(), [])


def test_perplexity_of_files(tmp_path: Path) -> None:
    for name, text in (
        ("a.txt", "天地玄黄"),
        ("a.jsonl", '{"text": "天地"}\n{"text": "玄黄"}\n'),
        ("a.csv", "text\nab\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        found = run_task("perplexity", Known(), "m", TaskOptions(data=tmp_path / name))
        assert found.metric("perplexity").interval.mean > 1 and not found.metric("perplexity").higher_is_better
    (tmp_path / "empty.txt").write_text("  \n")
    with pytest.raises(DataError, match="empty"):
        run_task("perplexity", Known(), "m", TaskOptions(data=tmp_path / "empty.txt"))


def test_choice_reads_the_letters_the_texts_and_the_texts_by_byte() -> None:
    question = Question("哪个是水果？", ("苹果", "很长很长的一种蔬菜"), 0, "x")
    likes = {"A": 0.2, "B": 0.3, "苹果": 0.02, "很长很长的一种蔬菜": 0.01}
    model = Known(likes)
    metrics, records = measure_choice(model, [question])
    assert {m.name: m.interval.mean for m in metrics} == {"accuracy": 0, "accuracy_text": 1, "accuracy_normalised": 0}
    # By byte: ln .02 / 6 = -.65 against ln .01 / 27 = -.17.
    assert (records[0]["chosen"], records[0]["chosen_text"], records[0]["chosen_normalised"]) == ("B", "A", "B")
    assert model.asked[0] == ("哪个是水果？\nA. 苹果\nB. 很长很长的一种蔬菜\n答案：", "A")
    english = Question("Which is a fruit?", ("apple", "stone"), 0, "x")
    shown = Known({"A": 0.9})
    measure_choice(shown, [english], shots=[question])
    assert shown.asked[0] == (
        "哪个是水果？\nA. 苹果\nB. 很长很长的一种蔬菜\n答案：A\n\nWhich is a fruit?\nA. apple\nB. stone\nAnswer:",
        " A",
    )
    assert shown.asked[2][1] == " apple" and shown.asked[2][0].endswith("Question: Which is a fruit?\nAnswer:")


def row(**values: object) -> Row:
    return Row("f, line 1", "physics", values)


def test_the_forms_of_multiple_choice_sets(tmp_path: Path) -> None:
    files = {
        "ceval.csv": "id,question,A,B,C,D,answer,explanation\n0,水的沸点？,50,80,90,100,D,常识\n",
        "cmmlu.csv": ",Question,A,B,C,D,Answer\n0,水的沸点？,50,80,90,100,D\n",
        "mmlu.csv": '"Boiling point, of water?",50,80,90,100,D\n',
        "hf.jsonl": json.dumps({"question": "Boiling?", "choices": ["50", "80", "90", "100"], "answer": 3}) + "\n",
        "text.json": json.dumps([{"question": "沸点？", "A": 50, "B": 80, "C": 90, "D": 100, "answer": "d"}]),
    }
    for name, text in files.items():
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        found = run_task("choice", Known({"D": 0.9, "100": 0.5}), "m", TaskOptions(data=path))
        assert found.metric("accuracy").interval.mean == 1.0, name
    both = run_task("choice", Known({"D": 0.9}), "m", TaskOptions(data=tmp_path))
    assert set(both.groups) == {"ceval", "cmmlu", "mmlu", "hf", "text"}, "a file of a folder is a subject"
    for bad, says in (
        (row(question="q", a="1", b="2", answer="C"), "none of the 2"),
        (row(question="q", a="1", answer="A"), "at least"),
        (row(question="q", a="1", c="2", answer="A"), "leave one out"),
        (row(a="1", b="2", answer="A"), "needs question"),
    ):
        with pytest.raises(DataError, match=says):
            read_question(bad)


def test_the_general_set_has_both_languages_and_no_favourite_letter() -> None:
    questions, texts = general_set()
    assert len(questions) == 60 and len(texts) == 8
    assert sum(q.chinese for q in questions) == 30 == sum(q.subject == "zh" for q in questions)
    assert all(len(set(q.choices)) == 4 for q in questions) and len({q.text for q in questions}) == 60
    assert all(12 <= sum(q.right == n for q in questions) <= 18 for n in range(4))


def test_forgetting_is_seen_and_the_group_is_named(tmp_path: Path) -> None:
    questions, _ = general_set()
    knows = Known({q.choices[q.right]: 0.9 for q in questions})
    before = run_task("forgetting", knows, "before", TaskOptions())
    assert before.metric("accuracy_text").interval.mean > 0.9
    after = run_task("forgetting", Known(), "after", TaskOptions())
    plain = after.to_dict(before)
    assert plain["metrics"]["accuracy_text"]["baseline"]["verdict"] == "worse"
    assert plain["metrics"]["perplexity"]["baseline"]["verdict"] == "no difference shown"
    assert plain["groups"]["zh"]["accuracy_text"]["baseline"]["verdict"] == "worse"
    own = tmp_path / "law.jsonl"
    own.write_text(json.dumps({"question": "q?", "choices": ["x", "y"], "answer": 0}) + "\n")
    found = run_task("forgetting", knows, "m", TaskOptions(data=own, limit=10))
    assert set(found.groups) == {"zh", "en", "law"} and len(found.records) == 11


def test_a_model_without_likelihoods_is_told_so() -> None:
    for task in ("perplexity", "choice", "forgetting"):
        with pytest.raises(ModelError, match=r"FakeLLM cannot give.*--task answers"):
            run_task(task, FakeLLM(), "m", TaskOptions(data=Path("x.txt")))
