"""Tasks that ask the model for answers: numbers, lettered choices, JSON, references; and the rows that they read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from lunheng.errors import ConfigError, DataError
from lunheng.evaluation.model import TASKS, TaskOptions, run_task
from lunheng.evaluation.model.arithmetic import final_number
from lunheng.evaluation.model.big_bench_hard import final_answer, is_right
from lunheng.evaluation.model.json_validity import fits, parse_json
from lunheng.evaluation.model.rows import Row, digest, read_rows
from lunheng.testing.fakes import FakeLLM
from lunheng.types import Message


def says(answers: dict[str, str]) -> FakeLLM:
    """A model that gives the answer of the question that it finds in the prompt."""

    def reply(messages: Sequence[Message]) -> str:
        return next((a for q, a in answers.items() if q in messages[-1].content), "?")

    return FakeLLM([reply])


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3 * 14 = 42\n#### 42", "42"),
        ("所以一共 1,234 元。", "1234"),
        ("She has $2,500.50 left.", "2500.5"),
        ("#### 7\nLet me check: 3 + 4 = 8", "7"),
        ("一共是４２个苹果", "42"),
        ("It is -3.0", "-3"),
        ("温度是 −5 度", "-5"),
        ("5-3=2", "2"),
        ("#### none", None),
        ("no number", None),
    ],
)
def test_the_final_number(text: str, number: str | None) -> None:
    assert final_number(text) == (None if number is None else Decimal(number))
    assert final_number("42", marked=True) is None and final_number("#### 42", marked=True) == 42


def test_gsm8k(tmp_path: Path) -> None:
    data = write(
        tmp_path / "g.jsonl",
        [
            {"question": "Tom has 3 apples and buys 4.", "answer": "3 + 4 = 7\n#### 7"},
            {"question": "小红有十二元，花了五元。", "answer": "12-5=7\n#### 7"},
            {"question": "A box holds 1,000 pens.", "answer": "#### 1,000"},
        ],
    )
    model = says({"Tom": "He has 7 in all.", "小红": "12-5=7\n#### 7", "box": "#### 100"})
    found = run_task("gsm8k", model, "m", TaskOptions(data=data))
    assert found.metric("accuracy").interval.mean == pytest.approx(2 / 3)
    assert found.metric("accuracy_marked").interval.mean == pytest.approx(1 / 3)
    assert "一步一步" in model.calls[1][0].content and "step by step" in model.calls[0][0].content
    assert set(found.groups) == {"en", "zh"} and found.groups["zh"][0].interval.mean == 1
    with pytest.raises(DataError, match=r"b\.jsonl, line 1: the answer holds no number"):
        run_task("gsm8k", model, "m", TaskOptions(data=write(tmp_path / "b.jsonl", [{"question": "q", "answer": "x"}])))


@pytest.mark.parametrize(
    ("text", "target", "right"),
    [
        ("Let us see. The answer is (B).", "(B)", True),
        ("So the answer is B.", "(B)", True),
        ("The answer is (C).", "(B)", False),
        ("答案是（A）。", "(A)", True),
        ("I think\nTrue", "True", True),
        ("The answer is **False**.", "False", True),
        ("The answer is yes, and no.", "yes", False),
        ("The answer is ) ] >", ") ] >", True),
        ("The answer is ) >", ") ] >", False),
        ("", "True", False),
    ],
)
def test_an_answer_of_big_bench_hard(text: str, target: str, right: bool) -> None:
    assert is_right(text, target) is right
    assert final_answer("一。\n答案：三") == "三"


def test_big_bench_hard_by_task(tmp_path: Path) -> None:
    for name, target in (("boolean", "True"), ("date", "(A)")):
        plain = {"canary": "x", "examples": [{"input": f"{name} question", "target": target}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(plain))
    found = run_task(
        "bbh", says({"boolean": "The answer is True.", "date": "The answer is (B)."}), "m", TaskOptions(data=tmp_path)
    )
    assert {name: ms[0].interval.mean for name, ms in found.groups.items()} == {"boolean": 1.0, "date": 0.0}


def test_json_and_schemas(tmp_path: Path) -> None:
    pytest.importorskip("jsonschema", reason="needs the extra 'eval'")
    assert parse_json('{"a": 1}') == (True, {"a": 1}) and parse_json('{"a": NaN}') == (False, None)
    assert parse_json("```json\n[1]\n```") == (False, None)
    assert parse_json("好的：\n```json\n[1]\n```", fenced=True) == (True, [1])
    schema = {"type": "object", "required": ["姓名"], "properties": {"姓名": {"type": "string"}}}
    assert fits({"姓名": "王芳"}, schema) and not fits({"姓名": 3}, schema)
    with pytest.raises(DataError, match="not valid"):
        fits({}, {"type": "nonsense"})
    rows: list[dict[str, object]] = [{"prompt": f"第{n}题：用 JSON 写一个人"} for n in "一二三四"]
    rows[0]["schema"] = {"type": "array"}
    replies = {
        "第一题": '{"姓名": "王芳"}',
        "第二题": '```json\n{"姓名": "李雷"}\n```',
        "第三题": "王芳",
        "第四题": '{"姓名": 1}',
    }
    options = TaskOptions(data=write(tmp_path / "j.jsonl", rows), schema=schema)
    found = run_task("json", says(replies), "m", options)
    values = {m.name: m.interval.mean for m in found.metrics}
    assert values == {"valid": 0.5, "valid_in_block": 0.75, "fits_schema": 0.25}
    without = run_task("json", says(replies), "m", TaskOptions(data=write(tmp_path / "k.jsonl", rows[1:])))
    assert {m.name for m in without.metrics} == {"valid", "valid_in_block"}, "without a schema nothing fits one"


def test_answers_in_every_form_of_rows(tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu", reason="needs the extra 'eval'")
    pytest.importorskip("rouge_score", reason="needs the extra 'eval'")
    rows: list[dict[str, object]] = [
        {"instruction": "法国的首都？", "input": "只写城市。", "output": "巴黎"},
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Capital of Italy?"},
                {"role": "assistant", "content": "Rome"},
            ]
        },
        {"question": "Capital of Japan?", "answers": ["Tōkyō", "Tokyo"]},
        {"prompt": "中国的首都？", "completion": "北京"},
    ]
    model = says({"法国": "巴黎", "Italy": "Rome.", "Japan": "Tokyo", "中国": "首都是北京"})
    found = run_task("answers", model, "m", TaskOptions(data=write(tmp_path / "a.jsonl", rows)))
    values = {m.name: m.interval.mean for m in found.metrics}
    assert values["exact_match"] == 0.75 and values["f1"] == pytest.approx((3 + 4 / 7) / 4)
    # 首都 是 北京 against 北京: one word of three, and of one.
    assert values["rouge_l"] == pytest.approx((3 + 0.5) / 4) and 0 <= values["bleu"] <= 100
    assert model.calls[0][0].content == "法国的首都？\n只写城市。" and model.calls[1][0].role == "system"
    assert found.records[3]["references"] == ["北京"] and found.records[3]["exact_match"] == 0.0
    limited = run_task("answers", model, "m", TaskOptions(data=tmp_path / "a.jsonl", limit=2))
    assert len(limited.records) == 2


@pytest.mark.parametrize(
    ("name", "text", "says_what"),
    [
        ("a.jsonl", "", "is empty"),
        ("a.jsonl", '{"a": 1}\nnot json\n', r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", "[1]\n", "object is needed"),
        ("a.json", '{"rows": 1}', "a list is needed"),
        ("a.json", "[", "line 1: not JSON"),
        ("a.csv", "question,answer\nq\n", "1 columns instead of 2"),
        ("a.xml", "<a/>", "is not one of"),
    ],
)
def test_bad_files_name_the_line(tmp_path: Path, name: str, text: str, says_what: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=says_what):
        read_rows(tmp_path / name)


def test_missing_files_columns_and_encodings(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_rows(tmp_path / "gone.jsonl")
    with pytest.raises(DataError, match="holds no"):
        read_rows(tmp_path)
    (tmp_path / "gbk.jsonl").write_bytes('{"question": "备份"}'.encode("gbk"))
    with pytest.raises(DataError, match="UTF-8"):
        read_rows(tmp_path / "gbk.jsonl")
    row = Row("f, line 3", "f", {"other": 1, "messages": [{"role": "user"}]})
    for read in (row.references, row.conversation):
        with pytest.raises(DataError, match="f, line 3"):
            read()
    (tmp_path / "bom.csv").write_bytes("\ufeffQuestion,Answer\n问,答\n".encode())
    assert read_rows(tmp_path / "bom.csv")[0].text("question") == "问"
    assert digest(tmp_path / "bom.csv") != digest(tmp_path / "gbk.jsonl") and len(digest(tmp_path)) == 16


def test_tasks_say_what_they_lack() -> None:
    model = FakeLLM()
    with pytest.raises(ConfigError, match="is not one of perplexity"):
        run_task("squad", model, "m", TaskOptions())
    for task in set(TASKS) - {"forgetting", "perplexity", "choice"}:
        with pytest.raises(ConfigError, match="needs"):
            run_task(task, model, "m", TaskOptions())
