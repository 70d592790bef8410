"""``lunheng tune sft`` from the command line: what is wrong is said, with an exit code, before the model is loaded."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.cli.main import main
from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.planning import hardware

ROWS: list[dict[str, object]] = [
    {"instruction": f"第 {i} 号门的代码 What is the code?", "output": f"KESTREL-{i} 号。"} for i in range(8)
]


@pytest.fixture
def lunheng(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command as a shell would; gives its exit code, and what it says on standard output and error."""
    monkeypatch.setenv("COLUMNS", "2000")

    def run(*arguments: str) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["lunheng", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model fails: whatever ends otherwise has ended before."""
    import transformers

    def load(*_: Any, **__: Any) -> Any:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", load)


def recipe(tmp_path: Path, model: str, rows: list[dict[str, object]], data: str = "", more: str = "") -> str:
    write_jsonl(tmp_path / "data.jsonl", rows)
    path = tmp_path / "recipe.toml"
    path.write_text(
        f"""output = "out"
[model]
name = "{model}"
[data]
train = ["data.jsonl"]
window = 96
validation_share = 0.0
{data}
[training]
steps = 1
batch = 2
{more}""",
        encoding="utf-8",
    )
    return str(path)


def test_a_bad_line_and_a_leak_are_left_out_and_named(lunheng: Any, tiny_model: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "held.jsonl", [{"instruction": "第 3 号门的代码， what is the code", "output": "不同"}])
    rows = [*ROWS, {"instruction": "空", "output": ""}, {"instruction": "Q", "output": "A", "reviewed": False}]
    made = recipe(tmp_path, tiny_model, rows, 'evaluation = "held.jsonl"')
    code, out, err = lunheng("tune", "sft", "--recipe", made)
    assert code == 0, err
    left = [json.loads(line) for line in (tmp_path / "out" / "quarantine.jsonl").read_text("utf-8").splitlines()]
    assert {(row["line"], row["kind"]) for row in left} == {(9, "empty answer"), (10, "not reviewed"), (4, "leak")}
    assert all(row["source"].endswith("data.jsonl") and row["message"] for row in left)
    assert "3 examples left out" in err and "leak: 1 of the examples" in err and "data.jsonl:4" in err
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert manifest["examples"] == {"trained": 7, "held_out": 1, "left_out": 3}
    assert "7 examples" in out


def test_all_examples_leaked_is_an_error(lunheng: Any, tiny_model: str, tmp_path: Path, no_weights: None) -> None:
    made = recipe(tmp_path, tiny_model, ROWS[:2], 'evaluation = "data.jsonl"')
    code, _, err = lunheng("tune", "sft", "--recipe", made)
    assert code == 1 and "the evaluation set asks all of its 2 examples too" in err


def test_a_wrong_column(lunheng: Any, tiny_model: str, tmp_path: Path, no_weights: None) -> None:
    wrong = 'train = [{path = "data.jsonl", columns = {instruction = "问题", output = "output"}}]'
    made = Path(recipe(tmp_path, tiny_model, ROWS))
    made.write_text(made.read_text("utf-8").replace('train = ["data.jsonl"]', wrong), encoding="utf-8")
    code, _, err = lunheng("tune", "sft", "--recipe", str(made))
    assert code == 1 and "data.jsonl:1: has no 问题; it has instruction, output" in err


def test_an_unknown_template(lunheng: Any, tiny_model: str, tmp_path: Path, no_weights: None) -> None:
    made = recipe(tmp_path, tiny_model, ROWS)
    code, _, err = lunheng("tune", "sft", "--recipe", made, "--set", "model.template=chatlm")
    assert code == 1 and "model.template: 'chatlm' is neither one of chatml" in err


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The machine without its GPUs, and with as many free bytes of RAM as are asked for."""
    found = dataclasses.replace(hardware.probe(), accelerators=())

    def with_free(memory: int) -> None:
        less = dataclasses.replace(found, memory=memory, available=memory)
        monkeypatch.setattr("lunheng.tuning.run.probe", lambda *_: less)

    with_free(found.memory)
    return with_free


def test_a_paged_optimiser_without_a_gpu(
    lunheng: Any, tiny_model: str, tmp_path: Path, no_weights: None, no_gpu: Any
) -> None:
    changes = ("parameters.mode=qlora", "training.optimiser=paged_adamw_8bit")
    made = recipe(tmp_path, tiny_model, ROWS)
    code, _, err = lunheng("tune", "sft", "--recipe", made, *(part for c in changes for part in ("--set", c)))
    assert code == 1 and "training.optimiser: paged_adamw_8bit" in err and "no CUDA GPU here; take adamw" in err


def test_out_of_memory_is_predicted(
    lunheng: Any, tiny_model: str, tmp_path: Path, no_weights: None, no_gpu: Any
) -> None:
    no_gpu(64 << 20)
    code, _, err = lunheng("tune", "sft", "--recipe", recipe(tmp_path, tiny_model, ROWS))
    assert code == 1 and "needs about" in err and "GiB" in err
    assert json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))["status"] != "done"


def test_the_loader_is_what_would_have_been_called(
    lunheng: Any, tiny_model: str, tmp_path: Path, no_weights: None
) -> None:
    with pytest.raises(AssertionError, match="the model was loaded"):
        lunheng("tune", "sft", "--recipe", recipe(tmp_path, tiny_model, ROWS))
