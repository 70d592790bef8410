"""Verifiable rewards, in Chinese, in English and in both; and the judge that adds them up."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lunheng.errors import ConfigError, DataError, TrainingError
from lunheng.tuning.data.examples import Origin, Prompt, Turn
from lunheng.tuning.llm.judge import check_answers, make_judge
from lunheng.tuning.llm.rewards import cites_source, exact_answer, json_of, load_function, same_language, valid_json
from lunheng.tuning.recipes import RewardPart


@pytest.mark.parametrize(
    ("completion", "answer", "worth"),
    [
        ("She sells 16 - 7 = 9 eggs.\n#### 18", "9 * 2 = 18\n#### 18", 1),
        ("#### 19", "#### 18", 0),
        ("先得 9 个，再乘以 2。#### １８", "#### 18", 1),
        (r"Thus \boxed{1,000}.", "1000", 1),
        (r"所以 \boxed{\frac{1}{2}}，不是 3。", "0.5", 1),
        (r"\boxed{x^{2}+1}", r"$x^{2}+1$", 1),
        ("The answer is $42.", "#### 42", 1),
        ("答案是：四十二。", "四十二", 1),
        ("最终答案为 42 元。", "42", 1),
        ("I count 3 boxes of 14, so 42 in all.", "42", 1),
        ("一共 42 个苹果，还剩 3 个。", "42", 0),  # unmarked: the last number counts
        ("-7", "#### −7", 1),
        ("42.0", "42", 1),
        ("4.2", "42", 0),
        ("3/4", "0.75", 1),
        ("臺北市。", "台北市", 1),
        ("Ｐａｒｉｓ", "paris", 1),
        ("年假 12 天", "年假12天。", 1),
        ("London", "Paris", 0),
        ("", "Paris", 0),
        ("no number at all", "42", 0),
        ("x42", "42", 0),
    ],
)
def test_exact_answers(completion: str, answer: str, worth: float) -> None:
    assert exact_answer("", completion, answer) == worth


def test_an_exact_answer_needs_a_reference() -> None:
    with pytest.raises(ValueError, match="this prompt has none"):
        exact_answer("1 + 1?", "2", " ")


SOURCES = "资料:\n[2] 员工手册 › 年假\n外包人员的年假为 12 天。\n\n[1] Handbook\nLeave is 20 days.\n\n问题: 年假几天？"


@pytest.mark.parametrize(
    ("completion", "answer", "worth"),
    [
        ("外包人员的年假为 12 天[2]。", "", 1),
        ("外包人员的年假为 12 天【1，2】。", "", 1),
        ("Leave is 20 days [1].", "Leave is 20 days [1].", 1),
        ("Leave is 20 days.", "", 0),
        ("Leave is 20 days [3].", "", 0),
        ("年假 12 天[2][9]。", "", 0),
        ("资料没有提到。", "资料没有说明。", 1),
        ("年假 12 天[2]。", "The sources do not say.", 0),
    ],
)
def test_citations(completion: str, answer: str, worth: float) -> None:
    assert cites_source(SOURCES, completion, answer) == worth


def test_json() -> None:
    assert valid_json("", '{"名字": "张三", "ages": [1, 2]}', "") == 1
    for wrong in ('{"a": 1', "```json\n{}\n```", "42", '{"a": NaN}', "", "[" * 100_000):
        assert valid_json("", wrong, "") == 0
    pytest.importorskip("jsonschema", reason="needs the extra 'tune'")
    person = json_of({"type": "object", "required": ["名字"], "properties": {"名字": {"type": "string"}}})
    assert [person("", said, "") for said in ('{"名字": "张三"}', '{"name": "Zhang"}', "张三")] == [1, 0.5, 0]
    with pytest.raises(ConfigError, match="no JSON Schema"):
        json_of({"type": "nonsense"})


def test_the_language() -> None:
    assert same_language("Sources:\n[1] Leave is 20 days.\n\n问题: 年假几天？", "年假为 20 天。", "") == 1
    assert same_language("年假几天？", "The leave is 20 days.", "") == 0
    assert same_language("Translate: 你好", "Hello, how are you?", "Hello there, how are you?") == 1
    assert same_language("如何配置 GPU server？", "请用 config.toml 来配置 GPU server 的缓存大小。", "") == 1


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rewards.py").write_text(
        "def short(prompt, completion, answer):\n    return -len(completion) / 10\n"
        "def broken(prompt, completion, answer):\n    return 1 / 0\n"
        "def nothing(prompt, completion, answer):\n    return None\n"
        "def two(prompt, completion):\n    return 0.0\n",
        encoding="utf-8",
    )
    (tmp_path / "no_module.py").write_text("import not_there_at_all\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("my_rewards", "no_module"):
        sys.modules.pop(name, None)


PROMPTS = [Prompt(Origin("data.jsonl", n), (Turn("user", text),), answer) for n, text, answer in
           [(1, "1 + 1 = ?", "2"), (2, "二加二等于几？", "4")]]  # fmt: skip


def test_rewards_are_weighed_and_added(mine: None) -> None:
    judge = make_judge(RewardPart(("exact_answer", "my_rewards:short"), weights=(2.0, 0.5)))
    scores = judge.scores(PROMPTS, ["2", "答案是5"])
    assert scores == {"exact_answer": [1.0, 0.0], "short": [-0.1, -0.4]}
    assert judge.total(scores) == pytest.approx([1.95, -0.2])


@pytest.mark.parametrize("function", ["broken", "nothing"])
def test_a_reward_that_fails_is_no_zero(mine: None, function: str) -> None:
    judge = make_judge(RewardPart((f"my_rewards:{function}",)))
    with pytest.raises(TrainingError, match=rf"my_rewards:{function} .*data\.jsonl:1"):
        judge.scores(PROMPTS, ["2", "4"])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("exact_anwser", "none of exact_answer"),
        ("my_rewards:missing", "cannot be imported"),
        ("no_module:x", "not_there_at_all"),
        ("my_rewards:two", r"a function of \(prompt, completion, answer\)"),
    ],
)
def test_a_reward_that_cannot_be_loaded(mine: None, name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_function(name)


def test_a_reward_is_read_again_where_its_file_was_changed(
    mine: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another folder's file of the same name, as two recipes tried in one notebook have."""
    assert load_function("my_rewards:short")("", "1234567890", "") == -1
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "my_rewards.py").write_text("def short(prompt, completion, answer):\n    return 7\n")
    monkeypatch.chdir(tmp_path / "other")
    assert load_function("my_rewards:short")("", "1234567890", "") == 7


def test_a_schema_is_read_from_its_file(tmp_path: Path) -> None:
    pytest.importorskip("jsonschema", reason="needs the extra 'tune'")
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"required": ["城市"]}), encoding="utf-8")
    judge = make_judge(RewardPart(("valid_json",), schema=path))
    assert judge.scores(PROMPTS, ['{"城市": "Paris"}', "{}"]) == {"valid_json": [1.0, 0.5]}
    path.write_text("nonsense", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read as JSON"):
        make_judge(RewardPart(("valid_json",), schema=path))


def test_prompts_without_reference_answers() -> None:
    without: Any = Prompt(Origin("data.jsonl", 3), (Turn("user", "?"),))
    check_answers(RewardPart(("cites_source",)), [without])
    with pytest.raises(DataError, match=r"data\.jsonl:3: exact_answer needs a reference answer"):
        check_answers(RewardPart(("exact_answer",)), [*PROMPTS, without])
