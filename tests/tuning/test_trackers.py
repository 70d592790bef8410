"""Trackers: each run in its own folder, also the second of a process; nothing of them stays set; a missing one is named."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.errors import MissingExtraError, TrainingError
from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.methods import train
from lunheng.tuning.recipes import Recipe, make_recipe
from lunheng.tuning.run import Trained

ROWS: list[dict[str, object]] = [
    {"instruction": f"第 {i} 号门 Which?", "output": f"KESTREL-{i} 号。"} for i in range(10)
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a tracker leaves in the working folder is seen."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def recipe(model: str, tmp_path: Path, name: str, tracker: str, **changes: Any) -> Recipe:
    given: dict[str, Any] = {
        "method": "sft",
        "model": {"name": model},
        "data": {"train": str(write_jsonl(tmp_path / "data.jsonl", ROWS)), "window": 128, "validation_share": 0.2},
        "output": str(tmp_path / name),
        "training": {"steps": 2, "batch": 2, "trackers": [tracker]},
    }
    return make_recipe(given, **changes)


def two_runs(model: str, tmp_path: Path, tracker: str) -> list[Trained]:
    """Two runs in this process, with one that fails between them."""
    first = train(recipe(model, tmp_path, "first 甲", tracker))
    with pytest.raises(TrainingError):
        train(recipe(model, tmp_path, "failed", tracker, **{"training.learning_rate": 1e-300}))
    second = train(recipe(model, tmp_path, "second 乙", tracker, **{"training.steps": 3}))
    assert not {"TENSORBOARD_LOGGING_DIR", "MLFLOW_TRACKING_URI", "WANDB_DIR", "WANDB_MODE"} & os.environ.keys()
    assert not list(Path.cwd().iterdir())
    return [first, second]


def test_tensorboard(tiny_model: str, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for run in two_runs(tiny_model, tmp_path, "tensorboard"):
        events = accumulator.EventAccumulator(str(run.output / "tensorboard"))
        events.Reload()
        losses = events.Scalars("train/loss")
        assert [event.step for event in losses] == list(range(1, run.steps + 1))
        assert losses[0].value == pytest.approx(run.first_loss)
        measured = [event.value for event in events.Scalars("eval/loss")]
        assert measured == pytest.approx([run.manifest.before["loss"], run.manifest.metrics["loss"]])


def test_mlflow(tiny_model: str, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mlflow")
    for run in two_runs(tiny_model, tmp_path, "mlflow"):
        client = mlflow.MlflowClient(f"sqlite:///{run.output / 'mlflow.db'}")
        (experiment,) = [e for e in client.search_experiments() if e.name == "lunheng"]
        (kept,) = client.search_runs([experiment.experiment_id])
        assert kept.info.status == "FINISHED" and kept.info.run_name == run.output.name
        losses = client.get_metric_history(kept.info.run_id, "loss")
        assert [metric.step for metric in losses] == list(range(1, run.steps + 1))
        assert len(client.get_metric_history(kept.info.run_id, "eval_loss")) == 2


def test_wandb(tiny_model: str, tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="needs wandb")
    for run in two_runs(tiny_model, tmp_path, "wandb"):
        (folder,) = (run.output / "wandb").glob("offline-run-*")
        (file,) = folder.glob("*.wandb")
        assert b"eval/loss" in file.read_bytes()


def test_what_the_user_has_set_stands_above(tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "own"))
    run = train(recipe(tiny_model, tmp_path, "out", "tensorboard"))
    assert list((tmp_path / "own").glob("events*")) and not (run.output / "tensorboard").exists()
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == str(tmp_path / "own")


@pytest.mark.parametrize("tracker", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_one_is_named_before_anything_loads(
    tmp_path: Path, tracker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == tracker else find(name, *a))
    with pytest.raises(MissingExtraError, match=rf"{tracker} is not installed.*lunheng\[trackers\]"):
        train(recipe("no-model-of-this-name-is-looked-for", tmp_path, "out", tracker))
