"""The guide's recipe for sft, and its Python, are run as they stand there, on a tiny model and in a few steps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.recipes import load_recipe

GUIDES = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("page", ["tuning.md", "tuning.zh.md"])
def test_the_guide_trains(page: str, tiny_model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (GUIDES / page).read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^```toml\n(# sft\.toml\n.*?)^```$", text, re.M | re.S)
    (code,) = re.findall(r"^```\n(from lunheng\.tuning\.methods import train\n.*?)^```$", text, re.M | re.S)
    (tmp_path / "sft.toml").write_text(recipe, encoding="utf-8")
    write_jsonl(tmp_path / "qa.jsonl", [{"instruction": f"What is {n}?", "output": f"{n} 号"} for n in range(8)])
    write_jsonl(tmp_path / "held-out.jsonl", [{"prompt": f"门 {n} 在哪?", "completion": "左边"} for n in range(3)])
    (tmp_path / "chats").mkdir()
    turns = [{"from": "human", "value": "你好"}, {"from": "gpt", "value": "Hello."}]
    write_jsonl(tmp_path / "chats" / "a.jsonl", [{"对话": turns}, {"对话": [*turns, *turns]}])
    small = {"model.name": tiny_model, "training.steps": 2, "training.batch": 2, "training.evaluate_steps": 1}
    made: dict[str, object] = {"recipe": load_recipe(tmp_path / "sft.toml", **small)}
    exec(compile(code, page, "exec"), made)
    assert str(tmp_path / "runs" / "sft" / "model") in capsys.readouterr().out
    trained = made["trained"]
    assert trained.steps == 2 and trained.left_out == 0 and trained.manifest.examples["trained"] == 9  # type: ignore[attr-defined]
