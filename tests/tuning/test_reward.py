"""Reward models: the better answer scores higher, only what is meant to is trained, and the saved model scores alike."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.errors import DataError, ModelError
from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.callbacks import read_log
from lunheng.tuning.data.examples import Turn
from lunheng.tuning.llm.scoring import open_reward_model
from lunheng.tuning.methods import train
from lunheng.tuning.recipes import Recipe, make_recipe

GOOD, BAD = "请看手册第三章。See chapter 3.", "不知道。No idea."
ROWS: list[dict[str, object]] = [
    {"prompt": f"第 {i % 7} 号门怎么开? How?", "chosen": f"{GOOD} {i % 3}", "rejected": f"{BAD} {i % 3}"}
    for i in range(40)
]


def recipe(model: str, data: Path, output: Path, **changes: Any) -> Recipe:
    given: dict[str, Any] = {
        "method": "reward",
        "model": {"name": model},
        "data": {"train": str(data), "window": 128, "validation_share": 0.2},
        "output": str(output),
        "training": {"steps": 12, "batch": 4, "learning_rate": 3e-3},
    }
    return make_recipe(given, **changes)


@pytest.mark.parametrize("mode", ["full", "lora", "qlora"])
def test_the_better_answer_scores_higher(tiny_model: str, tmp_path: Path, mode: str) -> None:
    import torch

    from lunheng.tuning.trained import find_trained, open_trained

    data = write_jsonl(tmp_path / "data.jsonl", ROWS)
    trained = train(recipe(tiny_model, data, tmp_path / "out", **{"parameters.mode": mode}))
    made = trained.manifest
    assert trained.last_loss < trained.first_loss
    assert made.metrics["accuracy"] == 1.0 > made.before["accuracy"] and made.metrics["margin"] > made.before["margin"]
    judge = open_reward_model(trained.output)
    prompts = [[Turn("user", "第 3 号门怎么开? How?")]] * 3
    scores = judge.score(prompts, [f"{GOOD} 1", f"{BAD} 1", f"{GOOD} 1"])
    assert scores[0] > scores[1] and scores[0] == pytest.approx(scores[2], abs=1e-6)
    # Alone, among others that pad it, and opened a second time: the same.
    assert open_reward_model(trained.model).score(prompts[:1], [f"{GOOD} 1"]) == pytest.approx(scores[:1], abs=1e-5)
    if mode != "full":  # the base is as it was
        opened, base = judge.model, open_trained(find_trained(tiny_model), "score")
        names = {name for name, _ in opened.named_parameters() if "lora_" in name or "modules_to_save" in name}
        assert any("score" in name for name in names) and any("lora_B" in name for name in names)
        for name, weight in base.named_parameters():
            if mode == "lora" and "score" not in name:
                plain = name.replace("_proj.weight", "_proj.base_layer.weight")
                assert torch.equal(opened.get_parameter(f"base_model.model.{plain}"), weight), name


def test_a_resumed_run_has_the_same_curve(tiny_model: str, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", ROWS)
    changes = {"training.save_steps": 6, "parameters.dropout": 0.1}
    whole = train(recipe(tiny_model, data, tmp_path / "whole", **changes))
    halved = recipe(tiny_model, data, tmp_path / "halved", **changes)

    def stop_at_9(step: int, steps: int, text: str) -> None:  # in the second epoch
        if step == 9:
            os.kill(os.getpid(), signal.SIGTERM)

    assert train(halved, report=stop_at_9).manifest.status == "stopped"
    resumed = train(halved, resume=True)
    curves = [
        [e["loss"] for e in read_log(tmp_path / name / "log.jsonl") if "loss" in e] for name in ("whole", "halved")
    ]
    assert curves[0] == curves[1] and resumed.manifest.metrics == whole.manifest.metrics


def test_margins_count_and_scores_are_pulled_to_0(tiny_model: str, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", [{**row, "margin": 3} if i % 2 else row for i, row in enumerate(ROWS)])
    changes = {"training.steps": 2, "preference.center": 0.5}
    trained = train(recipe(tiny_model, data, tmp_path / "graded", **changes))
    plain = train(recipe(tiny_model, write_jsonl(tmp_path / "plain.jsonl", ROWS), tmp_path / "plain", **changes))
    assert trained.first_loss > plain.first_loss + 0.5  # logsigmoid(0 - 3) of every second pair


def test_what_is_no_reward_model_or_too_long_for_it(tiny_model: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no reward model"):
        open_reward_model(tiny_model)
    data = write_jsonl(tmp_path / "data.jsonl", ROWS)
    judge = open_reward_model(train(recipe(tiny_model, data, tmp_path / "out", **{"training.steps": 2})).output)
    with pytest.raises(DataError, match="the reward model reads 512"):
        judge.score([[Turn("user", "x")]], ["很长 " * 600])
