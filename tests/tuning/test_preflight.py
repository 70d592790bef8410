"""The pre-flight: what is learnt is shown, and what a run would learn nothing (or the wrong thing) from fails, by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="needs the extra 'tune'")

from lunheng.cli.main import app
from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.data.examples import Conversation, Example, Judged, Origin, Preference, Turn
from lunheng.tuning.preflight import look, prepare_pairs

GOOD: list[dict[str, object]] = [
    {"instruction": "备份多久？ How long?", "output": "35 天。35 days."},
    {"prompt": "问", "chosen": "好的回答", "rejected": "坏"},
    {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "an answer"}], "label": False},
]
NO_END = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% endfor %}"
REFUSING = "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system here') }}{% endif %}" + (
    "{{ m['content'] + eos_token }}{% endfor %}"
)


def run(*arguments: str, code: int) -> str:
    result = CliRunner().invoke(app, ["tune", "check", *arguments])
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture
def tokenizer(real_model: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(real_model)


def test_good_lines_are_shown_with_what_is_learnt(real_model: str, tmp_path: Path) -> None:
    report = json.loads(run(str(write_jsonl(tmp_path / "d.jsonl", GOOD)), "--model", real_model, "--json", code=0))
    learnt = {shown["part"]: "".join(text for text, on in shown["runs"] if on) for shown in report["shown"]}
    assert learnt == {
        "conversation": "35 天。35 days.<|im_end|>",
        "chosen": "好的回答<|im_end|>",
        "rejected": "坏<|im_end|>",
        "bad answer": "an answer<|im_end|>",
    }
    given = [text for shown in report["shown"] for text, on in shown["runs"] if not on]
    assert any("备份多久？ How long?" in text for text in given)
    assert 0 < report["learnt"] < report["tokens"] and report["fatal"] == 0
    printed = run(str(tmp_path / "d.jsonl"), "--model", real_model, code=0)
    assert "d.jsonl:2 chosen" in printed and f"learnt {report['learnt']} of {report['tokens']}" in printed


def test_what_the_window_leaves_nothing_of_fails_by_line(real_model: str, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        *GOOD,
        {"prompt": "问" * 90, "chosen": "好", "rejected": "坏"},
        {"instruction": "x", "output": "很长" * 80},
        {"prompt": "问", "chosen": "甲 " * 90 + "好", "rejected": "甲 " * 90 + "坏"},
    ]
    data, quarantine = write_jsonl(tmp_path / "d.jsonl", rows), tmp_path / "q.jsonl"
    options = (str(data), "--model", real_model, "--window", "96", "--quarantine", str(quarantine), "--json")
    report = json.loads(run(*options, code=1))
    found = [(p["origin"]["line"], p["kind"]) for p in report["problems"] if p["fatal"]]
    assert found == [(4, "prompt too long"), (5, "truncated"), (6, "truncated"), (6, "same answers")]
    assert not any(p["kind"] == "too long" for p in report["problems"])  # the real lengths stand for the guessed ones
    assert len(quarantine.read_text("utf-8").splitlines()) == 4


def conversation(*turns: tuple[Any, str]) -> list[Example]:
    return [Conversation(Origin("d.jsonl", 7), tuple(Turn(role, text) for role, text in turns))]


def test_a_template_without_an_end_of_turn_fails(tokenizer: Any) -> None:
    tokenizer.chat_template = NO_END
    talk = conversation(("user", "你好"), ("assistant", "您好 <b>"))
    pair = Preference(Origin("d.jsonl", 8), (Turn("user", "a"),), (Turn("assistant", "b"),), (Turn("assistant", "c"),))
    found = look(tokenizer, [*talk, pair], 256).problems
    assert [(p.origin.line, p.kind, p.fatal) for p in found] == [(7, "no stop token", True), (8, "no stop token", True)]
    # A run says it, and goes on: some templates end a turn otherwise.
    assert not any(p.fatal for p in prepare_pairs(tokenizer, [pair], 256, "refuse").problems)


def test_what_the_template_refuses_fails(tokenizer: Any) -> None:
    tokenizer.chat_template = REFUSING
    judged = Judged(Origin("d.jsonl", 9), (Turn("system", "s"), Turn("user", "u")), (Turn("assistant", "a"),), True)
    found = look(tokenizer, [*conversation(("system", "s"), ("user", "u"), ("assistant", "a")), judged], 256)
    assert [(p.origin.line, p.kind) for p in found.problems if p.fatal] == [(7, "template"), (9, "template")]
    assert "no system here" in found.problems[0].message and not found.shown


def test_a_base_without_a_template_says_which_can_be_named(real_model: str, tmp_path: Path) -> None:
    import shutil

    base = tmp_path / "base"
    shutil.copytree(real_model, base, ignore=shutil.ignore_patterns("*.safetensors", "*.jinja"))
    data = str(write_jsonl(tmp_path / "d.jsonl", GOOD[:1]))
    result = CliRunner().invoke(app, ["tune", "check", data, "--model", str(base)])
    assert result.exit_code != 0 and "name one: chatml" in str(result.exception) + result.output
    report = json.loads(run(data, "--model", str(base), "--template", "chatml", "--json", code=0))
    assert report["shown"][0]["runs"][-1][1] or report["shown"][0]["runs"][-2][0].endswith("<|im_end|>")
    text = write_jsonl(tmp_path / "t.jsonl", [{"text": "连续文本 running text"}])
    assert json.loads(run(str(text), "--model", str(base), "--json", code=0))["shown"] == []  # needs no template


def test_a_recipe_says_what_is_checked(real_model: str, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"问": f"第 {i} 条？ Which one?", "答": "这一条。" * (1 + 30 * (i == 2))} for i in range(4)
    ]
    write_jsonl(tmp_path / "d.jsonl", [*rows, {"instruction": "x", "output": "y"}])
    write_jsonl(tmp_path / "held.jsonl", [{"instruction": "第 1 条， which one?", "output": "那一条。"}])
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f"""method = "sft"
output = "out"
[model]
name = "{real_model}"
template = "chatml"
[data]
train = [{{path = "d.jsonl", weight = 2.0, columns = {{instruction = "问", output = "答"}}}}]
evaluation = "held.jsonl"
window = 64
""",
        encoding="utf-8",
    )
    report = json.loads(run("--recipe", str(recipe), "--json", code=1))
    found = [(p["origin"]["line"], p["kind"]) for p in report["problems"] if p["fatal"]]
    assert found == [(2, "leak"), (3, "truncated"), (5, "wrong column")]
    assert report["examples"] == 8 and report["lengths"]["window"] == 64 and report["learnt"] > 0
    assert not any(p["kind"] == "duplicate" for p in report["problems"])  # a line taken twice is no duplicate
    wider = json.loads(run("--recipe", str(recipe), "--window", "512", "--json", code=1))
    assert [(p["origin"]["line"], p["kind"]) for p in wider["problems"] if p["fatal"]] == [
        (2, "leak"),
        (5, "wrong column"),
    ]
    for wrong in (
        (),
        (str(tmp_path / "d.jsonl"), "--recipe", str(recipe)),
        ("--recipe", str(recipe), "--kind", "text"),
    ):
        run(*wrong, code=2)
