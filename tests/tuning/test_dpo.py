"""DPO: held-out pairs come apart, as the saved model itself says; resumed to the same curve; every loss, both languages."""

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
from lunheng.tuning.methods import train
from lunheng.tuning.recipes import Recipe, make_recipe
from lunheng.tuning.rendering import render_answer
from lunheng.tuning.trained import find_trained, open_base, open_tokenizer, open_trained

GOOD, BAD = "请看第三章。See 3.", "不知道。No."


def row(number: int) -> dict[str, object]:
    return {
        "prompt": f"第 {number % 7} 号门? How?",
        "chosen": f"{GOOD} {number % 3}",
        "rejected": f"{BAD} {number % 3}",
    }


ROWS = [row(i) for i in range(24)]
# Three in batches of two: the last is smaller. Their doors are others than those that are trained on.
HELD = [{**row(i), "prompt": f"第 {i + 10} 号门? How?"} for i in (5, 11, 13)]


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    train_on = write_jsonl(tmp_path / "data.jsonl", [*ROWS, {**row(1), "rejected": f"{GOOD} 1"}])
    return {"train": str(train_on), "evaluation": str(write_jsonl(tmp_path / "held.jsonl", HELD))}


def recipe(model: str, data: dict[str, str], output: Path, **changes: Any) -> Recipe:
    given: dict[str, Any] = {
        "method": "dpo",
        "model": {"name": model},
        "data": {**data, "window": 128},
        "output": str(output),
        "training": {"steps": 6, "batch": 4, "device_batch": 2, "learning_rate": 3e-3, "save_steps": 3},
    }
    return make_recipe(given, **changes)


def losses(output: Path) -> list[float]:
    return [entry["loss"] for entry in read_log(output / "log.jsonl") if "loss" in entry]


@pytest.mark.parametrize("mode", ["full", "lora", "qlora", "pissa"])
def test_pairs_come_apart_as_the_saved_model_says(
    tiny_model: str, data: dict[str, str], tmp_path: Path, mode: str, log_prob: Callable[..., float]
) -> None:
    trained = train(recipe(tiny_model, data, tmp_path / "out", **{"parameters.mode": mode}))
    made = trained.manifest
    assert made.examples == {"trained": 24, "held_out": 3, "left_out": 1} and trained.last_loss < trained.first_loss
    assert trained.first_loss == pytest.approx(0.6931, abs=1e-3)  # model and reference are one
    assert made.before["rewards/margins"] == pytest.approx(0, abs=1e-5) and made.metrics["rewards/accuracies"] == 1.0
    found = find_trained(trained.output)
    opened, tokenizer = open_trained(found), open_tokenizer(found)
    before = open_base(find_trained(tiny_model), four_bit=mode == "qlora")
    margins = []
    for example in HELD:
        asked = [Turn("user", str(example["prompt"]))]
        moved = []
        for side in ("chosen", "rejected"):
            row = render_answer(tokenizer, Origin("x", 1), asked, [Turn("assistant", str(example[side]))])
            moved.append(log_prob(opened, row.prompt, row.answer) - log_prob(before, row.prompt, row.answer))
        margins.append(0.1 * (moved[0] - moved[1]))
    assert made.metrics["rewards/margins"] == pytest.approx(sum(margins) / 3, abs=2e-3)
    if mode == "lora":  # nothing but the adapter is saved
        names = {p.name for p in trained.model.iterdir() if p.is_dir() or p.suffix == ".safetensors"}
        assert names == {"adapter_model.safetensors"}


@pytest.mark.parametrize(
    "changes", [{"parameters.mode": "full"}, {"parameters.mode": "lora", "training.by_length": False}]
)
def test_a_resumed_run_has_the_same_curve(
    tiny_model: str, data: dict[str, str], tmp_path: Path, changes: dict[str, Any]
) -> None:
    changes = {**changes, "preference.precompute": changes["parameters.mode"] == "full", "training.steps": 9}
    whole = train(recipe(tiny_model, data, tmp_path / "whole", **changes))
    halved = recipe(tiny_model, data, tmp_path / "halved", **changes)

    def stop_at_7(step: int, steps: int, text: str) -> None:  # in the second epoch
        if step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    assert train(halved, report=stop_at_7).manifest.status == "stopped"
    resumed = train(halved, resume=True)
    assert losses(tmp_path / "halved") == losses(tmp_path / "whole")
    assert resumed.manifest.metrics == whole.manifest.metrics


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"preference.loss": "ipo"}, 25.0),  # (0 - 1 / (2 beta)) squared
        ({"preference.loss": "hinge"}, 1.0),
        ({"preference.loss": "robust", "preference.label_smoothing": 0.2}, 0.6931),
        ({"preference.loss": "apo_zero"}, 1.0),
        ({"preference.loss": "sigmoid_norm", "preference.beta": 2.0}, 0.6931),
        ({"preference.precompute": True}, 0.6931),
    ],
)
def test_every_loss_begins_where_its_paper_says(
    tiny_model: str, data: dict[str, str], tmp_path: Path, changes: dict[str, Any], first: float
) -> None:
    trained = train(recipe(tiny_model, data, tmp_path / "out", **changes, **{"training.steps": 2}))
    assert trained.first_loss == pytest.approx(first, rel=1e-3)
    assert trained.manifest.metrics["rewards/margins"] > trained.manifest.before["rewards/margins"]


def test_without_a_reference(
    tiny_model: str, data: dict[str, str], tmp_path: Path, log_prob: Callable[..., float]
) -> None:
    changes = {"preference.reference_free": True, "parameters.mode": "full", "training.steps": 2}
    made = train(recipe(tiny_model, data, tmp_path / "out", **changes)).manifest
    opened, tokenizer = open_base(find_trained(tiny_model)), open_tokenizer(find_trained(tiny_model))
    margin = 0.0
    for example in HELD:
        for side, sign in (("chosen", 1), ("rejected", -1)):
            asked = [Turn("user", str(example["prompt"]))]
            row = render_answer(tokenizer, Origin("x", 1), asked, [Turn("assistant", str(example[side]))])
            margin += sign * log_prob(opened, row.prompt, row.answer) / 3
    assert made.before["rewards/margins"] == pytest.approx(0.1 * margin, abs=1e-3)  # of the likelihoods alone


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"preference.label_smoothing": 0.1}, "only the loss robust takes it"),
        ({"preference.loss": "kto"}, "dpo has no kto; it has sigmoid, ipo"),
        ({"preference.loss": "apo_zero", "preference.reference_free": True}, "take sigmoid_norm"),
        ({"preference.desirable": 2.0}, "dpo does not know it; it knows beta"),
        ({"data.packing": True}, "data.packing: is for sft"),
    ],
)
def test_what_does_not_go_together(
    tiny_model: str, data: dict[str, str], tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        recipe(tiny_model, data, tmp_path / "out", **changes)


def test_what_is_too_long(tiny_model: str, tmp_path: Path) -> None:
    long = [
        {**row(1), "prompt": "很长的问题 a long question " * 40},  # the window holds nothing of the answer
        {**row(2), "chosen": "甲 " * 100 + "好", "rejected": "甲 " * 100 + "坏"},  # the difference is cut off
        {**row(3), "chosen": GOOD * 20},  # its end is cut off
    ]
    data = {"train": str(write_jsonl(tmp_path / "data.jsonl", [*ROWS, *long])), "validation_share": 0.0}
    with pytest.raises(DataError, match=r"data\.jsonl:25: .* over the window of 128; raise data\.window"):
        train(recipe(tiny_model, data, tmp_path / "refused"))  # type: ignore[arg-type]
    changes = {"data.too_long": "truncate", "training.steps": 2}
    trained = train(recipe(tiny_model, data, tmp_path / "cut", **changes))  # type: ignore[arg-type]
    kept = (trained.output / "quarantine.jsonl").read_text("utf-8")
    assert "its prompt alone has" in kept and "the same to the model" in kept
    assert trained.manifest.examples == {"trained": 25, "held_out": 0, "left_out": 2}
    assert any(w.startswith("truncated: 2 of the examples") for w in trained.manifest.warnings)


@pytest.mark.slow
def test_a_real_model_learns_to_prefer(real_model: str, tmp_path: Path) -> None:
    """It answers at length; pairs say that short is better. Held-out pairs are of other subjects."""
    subjects = [
        "rain",
        "snow",
        "wind",
        "sand",
        "salt",
        "iron",
        "gold",
        "wood",
        "glass",
        "paper",
        "bread",
        "milk",
        "tea",
        "rice",
        "wheat",
        "corn",
    ]
    rows: list[dict[str, object]] = [
        {
            "prompt": f"What is {s}?",
            "chosen": f"In brief: {s} is a common thing.",
            "rejected": f"Well, {s} is a very interesting topic, and there is a lot to say about it.",
        }
        for s in subjects
    ]
    data = {
        "train": str(write_jsonl(tmp_path / "data.jsonl", rows[:12])),
        "evaluation": str(write_jsonl(tmp_path / "held.jsonl", rows[12:])),
    }
    changes = {"training.learning_rate": 5e-4, "training.steps": 6, "training.batch": 4, "training.device_batch": 2}
    made = train(recipe(real_model, data, tmp_path / "out", **changes)).manifest
    assert made.before["rewards/accuracies"] == 0.5 and made.metrics["rewards/accuracies"] == 1.0
    assert made.metrics["rewards/margins"] > 0.1 and made.metrics["loss"] < made.before["loss"]
    assert made.metrics["chosen_likelier"] >= made.before["chosen_likelier"]
