"""KTO: thumbs up and down part, as the saved model itself says; weights from the balance; resumed to the same curve."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.errors import ConfigError, DataError
from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.callbacks import read_log
from lunheng.tuning.data.examples import Origin, Turn
from lunheng.tuning.llm.kto import COLUMNS, as_row, beside, weights
from lunheng.tuning.methods import train
from lunheng.tuning.on_disk import write_rows
from lunheng.tuning.preflight import Thumb
from lunheng.tuning.recipes import PreferencePart, Recipe, make_recipe
from lunheng.tuning.rendering import Answered, render_answer
from lunheng.tuning.trained import find_trained, open_base, open_tokenizer, open_trained

GOOD, BAD = "请看第三章。See 3.", "不知道。No."


def row(number: int) -> dict[str, object]:
    good = number % 3 > 0
    return {
        "prompt": f"第 {number % 7} 号门? How?",
        "completion": f"{GOOD if good else BAD} {number % 5}",
        "label": good,
    }


HELD = [row(i) for i in (30, 31, 32, 33, 34)]


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    train_on = write_jsonl(tmp_path / "data.jsonl", [row(i) for i in range(25)])
    return {"train": str(train_on), "evaluation": str(write_jsonl(tmp_path / "held.jsonl", HELD))}


def recipe(model: str, data: dict[str, str], output: Path, **changes: Any) -> Recipe:
    given: dict[str, Any] = {
        "method": "kto",
        "model": {"name": model},
        "data": {**data, "window": 128},
        "output": str(output),
        "training": {"steps": 6, "batch": 4, "device_batch": 2, "learning_rate": 3e-3, "save_steps": 3},
    }
    return make_recipe(given, **changes)


@pytest.mark.parametrize("mode", ["full", "lora", "qlora"])
def test_thumbs_part_as_the_saved_model_says(
    tiny_model: str, data: dict[str, str], tmp_path: Path, mode: str, log_prob: Callable[..., float]
) -> None:
    made = train(recipe(tiny_model, data, tmp_path / "out", **{"parameters.mode": mode})).manifest
    assert made.before["rewards/accuracies"] == 0.5 and made.metrics["rewards/accuracies"] > 0.5
    assert made.metrics["loss"] < made.before["loss"]
    found = find_trained(tmp_path / "out")
    opened, tokenizer = open_trained(found), open_tokenizer(found)
    before = open_base(find_trained(tiny_model), four_bit=mode == "qlora")
    rewards: dict[bool, list[float]] = {True: [], False: []}
    for example in HELD:
        answer = [Turn("assistant", str(example["completion"]))]
        row = render_answer(tokenizer, Origin("x", 1), [Turn("user", str(example["prompt"]))], answer)
        moved = log_prob(opened, row.prompt, row.answer) - log_prob(before, row.prompt, row.answer)
        rewards[bool(example["label"])].append(0.1 * moved)
    margin = sum(rewards[True]) / len(rewards[True]) - sum(rewards[False]) / len(rewards[False])
    assert made.metrics["rewards/margins"] == pytest.approx(margin, abs=2e-3) and margin > 0


def test_a_resumed_run_has_the_same_curve(tiny_model: str, data: dict[str, str], tmp_path: Path) -> None:
    changes = {"training.steps": 9, "preference.precompute": True}
    whole = train(recipe(tiny_model, data, tmp_path / "whole", **changes))
    halved = recipe(tiny_model, data, tmp_path / "halved", **changes)

    def stop_at_7(step: int, steps: int, text: str) -> None:  # in the second epoch
        if step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    assert train(halved, report=stop_at_7).manifest.status == "stopped"
    resumed = train(halved, resume=True)
    curves = [
        [e["loss"] for e in read_log(tmp_path / name / "log.jsonl") if "loss" in e] for name in ("whole", "halved")
    ]
    assert curves[0] == curves[1] and resumed.manifest.metrics == whole.manifest.metrics


def test_without_an_estimate_of_the_divergence(tiny_model: str, data: dict[str, str], tmp_path: Path) -> None:
    changes = {"preference.loss": "apo_zero", "training.device_batch": 1, "training.steps": 3}
    made = train(recipe(tiny_model, data, tmp_path / "out", **changes)).manifest
    assert made.metrics["loss"] < made.before["loss"]


def thumb(number: int, good: bool) -> Thumb:
    return Thumb(Answered(Origin("x", number), (1, 2), (number,)), good)


def test_both_sides_weigh_the_same() -> None:
    rows = [i < 9 for i in range(12)]  # nine up, three down
    assert weights(rows, PreferencePart()) == (1.0, 3.0)
    assert weights([i < 3 for i in range(12)], PreferencePart()) == (3.0, 1.0)
    assert weights(rows, PreferencePart(desirable=2.0)) == (2.0, 6.0)
    assert weights(rows, PreferencePart(undesirable=2.0)) == (pytest.approx(2 / 3), 2.0)
    assert weights(rows, PreferencePart(desirable=1.0, undesirable=1.0)) == (1.0, 1.0)
    with pytest.raises(DataError, match="all 3 answers are judged good"):
        weights(rows[:3], PreferencePart())


def test_each_prompt_has_its_neighbours_answer(tmp_path: Path) -> None:
    rows = write_rows((as_row(thumb(i, True)) for i in range(5)), COLUMNS, tmp_path / "rows.arrow")
    turned = beside(rows, [4, 3, 2, 1, 0], 2, tmp_path / "turned.arrow")
    assert [ids for (ids,) in turned["KL_completion_ids"]] == [3, 4, 1, 2, 1]
    made = beside(rows, range(5), 2, tmp_path / "beside.arrow")
    assert [ids for (ids,) in made["KL_completion_ids"]] == [1, 0, 3, 2, 3]  # the last is alone in its batch


def test_one_example_a_batch_is_too_few(tiny_model: str, data: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one example is too few"):
        train(recipe(tiny_model, data, tmp_path / "out", **{"training.device_batch": 1}))
