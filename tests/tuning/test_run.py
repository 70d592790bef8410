"""The course of a run: resumed to the same curve, stopped by a signal, never trodden on, all of it written down."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.errors import ConfigError, DataError, TrainingError
from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.callbacks import Divergence, Progress, read_log
from lunheng.tuning.manifest import read_manifest
from lunheng.tuning.methods import train
from lunheng.tuning.planning.disk import Written
from lunheng.tuning.recipes import Recipe, load_recipe, make_recipe
from lunheng.tuning.registry import forget_gone, listed
from lunheng.tuning.resuming import At, Resume, checkpoints

ROWS: list[dict[str, object]] = [
    {"instruction": f"第 {i % 5} 号门的代码 What is the code?", "output": f"KESTREL-{i % 5} 号。"} for i in range(40)
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "data.jsonl", [*ROWS, {"instruction": "空", "output": ""}])


def recipe(model: str, data: Path, output: Path, **changes: Any) -> Recipe:
    given: dict[str, Any] = {
        "method": "sft",
        "model": {"name": model},
        "data": {"train": str(data), "window": 128, "validation_share": 0.2},
        "output": str(output),
        "training": {"steps": 8, "batch": 4, "device_batch": 2, "learning_rate": 3e-3, "save_steps": 4},
    }
    return make_recipe(given, **changes)


def losses(output: Path) -> list[float]:
    return [entry["loss"] for entry in read_log(output / "log.jsonl") if "loss" in entry]


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_a_resumed_run_has_the_same_curve(tiny_model: str, data: Path, tmp_path: Path, mode: str) -> None:
    from safetensors.torch import load_file

    # Eight steps make an epoch: it stops and goes on in the second.
    dropout = {"parameters.mode": mode, "parameters.dropout": 0.1 if mode == "lora" else 0.0, "training.steps": 12}
    whole = train(recipe(tiny_model, data, tmp_path / "whole", **dropout))
    halved = recipe(tiny_model, data, tmp_path / "halved", **dropout)

    def stop_at_9(step: int, steps: int, text: str) -> None:
        if step == 9:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = train(halved, report=stop_at_9)
    assert stopped.manifest.status == "stopped" and 9 <= stopped.steps < 12 and not stopped.manifest.metrics
    with pytest.raises(ConfigError, match="holds a run already"):
        train(halved)
    resumed = train(halved, resume=True)
    assert resumed.manifest.status == "done" and resumed.steps == 12
    assert losses(tmp_path / "halved") == losses(tmp_path / "whole")  # to the last bit
    assert resumed.manifest.metrics == whole.manifest.metrics and resumed.manifest.before == whole.manifest.before
    (file,) = {p.name for p in whole.model.glob("*.safetensors")}
    one, other = load_file(whole.model / file), load_file(resumed.model / file)
    assert one.keys() == other.keys() and all((one[k] == other[k]).all() for k in one)


def test_what_a_run_leaves(tiny_model: str, data: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    trained = train(recipe(tiny_model, data, tmp_path / "out"), report=lambda step, steps, text: seen.append(step))
    made = read_manifest(trained.output)
    assert made == trained.manifest and made.status == "done" and made.steps == 8 and max(seen) == 8
    assert made.examples == {"trained": 32, "held_out": 8, "left_out": 1} and trained.left_out == 1
    assert 0 < made.parameters["trained"] < made.parameters["all"] and made.peak_bytes > 2**28
    assert made.metrics["loss"] < made.before["loss"] and trained.last_loss < trained.first_loss
    assert made.versions["torch"] and len(made.data["train"]) == 64
    again = load_recipe(trained.output / "recipe.toml")
    assert again.training.steps == 8 and again.data.train[0].path == data.absolute()
    assert (trained.output / "curves.png").read_bytes()[:4] == b"\x89PNG"
    (line,) = (trained.output / "quarantine.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line)["line"] == 41
    assert [run.output for run in listed()] == [trained.output]
    assert (trained.model / "chat_template.jinja").is_file()
    trained.output.rename(tmp_path / "moved")
    assert listed()[0].manifest is None and forget_gone() == 1 and not listed()


def test_what_has_changed_is_not_resumed(tiny_model: str, data: Path, tmp_path: Path) -> None:
    made = recipe(tiny_model, data, tmp_path / "out", **{"training.steps": 4})
    with pytest.raises(ConfigError, match="no checkpoint to resume from"):
        train(made, resume=True)
    train(made)
    with pytest.raises(ConfigError, match=r"\[training\] has changed"):
        train(recipe(tiny_model, data, tmp_path / "out", **{"training.steps": 4, "training.batch": 8}), resume=True)
    write_jsonl(data, ROWS)
    with pytest.raises(ConfigError, match="data has changed"):
        train(made, resume=True)


def test_another_base_of_the_same_name_is_not_resumed(tiny_model: str, data: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    from lunheng.tuning.made_of import digest_of

    base = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    made = recipe(str(base), data, tmp_path / "out", **{"training.steps": 2})
    begun = train(made).manifest
    assert begun.models == {"base": digest_of(base)}
    weights = load_file(base / "model.safetensors")
    save_file({name: tensor + 1e-3 for name, tensor in weights.items()}, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match="its base is another than when it began"):
        train(made, resume=True)
    other = recipe(str(base), data, tmp_path / "other", **{"training.steps": 2})
    assert train(other).manifest.id != begun.id, "the same recipe over another base is no repetition"
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    assert digest_of(base) == begun.models["base"]


def test_a_large_file_is_told_by_a_sample(tmp_path: Path) -> None:
    from lunheng.tuning.made_of import digest_of

    large = tmp_path / "model.safetensors"
    large.write_bytes(bytes(40_000_000))
    first = digest_of(tmp_path)
    large.write_bytes(bytes(39_999_999) + b"1")
    assert digest_of(tmp_path) != first, "its end is in the sample"
    large.write_bytes(bytes(40_000_001))
    assert digest_of(tmp_path) != first, "and so is its size"


def test_any_checkpoint_is_resumed_from(tiny_model: str, data: Path, tmp_path: Path) -> None:
    changes = {"training.steps": 8, "training.save_steps": 2, "training.keep": 4}
    whole = train(recipe(tiny_model, data, tmp_path / "out", **changes))
    curve = losses(whole.output)
    with pytest.raises(ConfigError, match="holds none of step 5; there are 2, 4, 6, 8"):
        train(recipe(tiny_model, data, tmp_path / "out", **changes), resume=At(5))

    seen: list[int] = []

    def stop_at_5(step: int, steps: int, text: str) -> None:
        seen.append(step)
        if step == 5:
            assert sorted(checkpoints(whole.output)) == [2, 4], "what came after is gone"
            os.kill(os.getpid(), signal.SIGTERM)

    train(recipe(tiny_model, data, tmp_path / "out", **changes), resume=At(2), report=stop_at_5)
    assert seen[0] == 3
    assert losses(whole.output) == curve[: len(losses(whole.output))] and len(losses(whole.output)) < 8
    again = train(recipe(tiny_model, data, tmp_path / "out", **changes), resume=True)
    assert losses(whole.output) == curve and again.manifest.metrics == whole.manifest.metrics


def test_the_rate_of_a_warm_up_stable_decay_schedule(tiny_model: str, data: Path, tmp_path: Path) -> None:
    changes = {"training.schedule": "wsd", "training.steps": 10, "training.warmup_share": 0.2}
    trained = train(recipe(tiny_model, data, tmp_path / "out", **changes))
    rates = [e["learning_rate"] / 3e-3 for e in read_log(trained.output / "log.jsonl") if "learning_rate" in e]
    assert len(rates) == 10 and rates[0] < rates[1] < 1, "it warms up"
    assert rates[2:8] == pytest.approx([1.0] * 6), "stands"
    assert 1 >= rates[8] > rates[9] < 0.6, "and falls over the last fifth"


def test_speed_is_that_of_the_steps_taken_now(monkeypatch: pytest.MonkeyPatch) -> None:
    class State:
        global_step, max_steps, num_input_tokens_seen = 1000, 2000, 0

    said: list[str] = []
    watch, now = Progress(lambda step, steps, text: said.append(text)), iter([100.0, 110.0])
    monkeypatch.setattr("lunheng.tuning.callbacks.time.monotonic", lambda: next(now))
    watch.on_train_begin(None, State(), None)  # a run that goes on at step 1000
    State.global_step = 1020
    watch.on_log(None, State(), None, {"loss": 1.0})
    assert said == ["loss 1, 2.00 steps/s"]


def test_it_computes_in_the_threads_that_the_probe_says(
    tiny_model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    import lunheng.tuning.run as course

    def run_with(wanted: int, resume: Resume = False) -> tuple[set[int], Any]:
        """The threads seen while it trains, and the manifest's."""
        seen: set[int] = set()
        found = dataclasses.replace(hardware, threads=wanted)
        monkeypatch.setattr(course, "probe", lambda folder: found)
        trained = train(
            recipe(tiny_model, data, tmp_path / "out", **{"training.steps": 4, "training.save_steps": 2}),
            resume,
            report=lambda step, steps, text: seen.add(torch.get_num_threads()),
        )
        return seen, trained.manifest.machine["threads"]

    hardware, before = course.probe(tmp_path), torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert run_with(3) == ({3}, 3) and torch.get_num_threads() == before
    assert run_with(2, At(2)) == ({3}, 3), "a resumed run keeps its threads: sums round by them"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert run_with(2, At(2)) == ({2}, 2)


def test_what_does_not_fit_on_the_disk_is_refused(
    tiny_model: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lunheng.tuning.run as course

    found = course.probe(tmp_path)
    made = recipe(tiny_model, data, tmp_path / "out", **{"parameters.mode": "full", "training.save_steps": 2})
    monkeypatch.setattr(course, "probe", lambda folder: dataclasses.replace(found, disk=155 * 2**20))
    with pytest.raises(
        ConfigError, match=r"3 checkpoint\(s\) at once of 0.04 GiB .*set training.keep = 1, take .*lora"
    ):
        train(made)
    assert not checkpoints(made.output)
    seen: list[Written] = []
    monkeypatch.setattr(course, "refuse_full", lambda recipe, written, free: seen.append(written))
    last = train(made).output / "checkpoints" / "checkpoint-8"
    held = sum((last / name).stat().st_size for name in ("model.safetensors", "optimizer.pt"))
    assert seen[0].model + seen[0].states == pytest.approx(held, rel=0.02), "as it was written"


def test_the_best_checkpoint_is_kept_and_patience_ends_it(tiny_model: str, data: Path, tmp_path: Path) -> None:
    changes = {"training.steps": 40, "training.save_steps": 2, "training.evaluate_steps": 2, "training.patience": 2}
    # So high a rate that it gets worse at once: two evaluations later it ends.
    made = recipe(tiny_model, data, tmp_path / "out", **changes, **{"training.learning_rate": 1.0, "training.keep": 1})
    trained = train(made)
    measured = {e["step"]: e["eval_loss"] for e in read_log(trained.output / "log.jsonl") if "eval_loss" in e}
    assert trained.steps < 40 and trained.manifest.metrics["loss"] == pytest.approx(
        min(loss for step, loss in measured.items() if step), rel=1e-5
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"training.device_batch": 3}, "no multiple of training.device_batch"),
        ({"training.evaluate_steps": 3}, "no multiple of training.evaluate_steps"),
        ({"training.patience": 3, "data.validation_share": 0.0}, "nothing to measure on"),
        ({"model.template": "nonsense"}, "neither one of chatml, llama3, gemma nor a Jinja file"),
    ],
)
def test_what_does_not_go_together(
    tiny_model: str, data: Path, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        train(recipe(tiny_model, data, tmp_path / "out", **changes))


def test_a_run_that_learns_nothing_fails(tiny_model: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no parameter has changed"):
        train(
            recipe(tiny_model, data, tmp_path / "out", **{"training.learning_rate": 1e-30, "parameters.mode": "full"})
        )
    made = read_manifest(tmp_path / "out")
    assert made.status == "failed" and "no parameter has changed" in made.error


def test_a_loss_that_is_no_number_ends_the_run(tiny_model: str, data: Path, tmp_path: Path) -> None:
    changes = {"training.learning_rate": 1e18, "training.clip": 1e30, "parameters.mode": "full", "training.steps": 20}
    with pytest.raises(TrainingError, match=r"lower training\.learning_rate"):
        train(recipe(tiny_model, data, tmp_path / "out", **changes))


def test_a_loss_that_rises_far_is_divergence() -> None:
    class State:
        global_step = 7

    class Arguments:
        learning_rate = 0.1

    watch = Divergence(bounded=True)
    for loss in [2.0] * 20 + [4.0] * 5:
        watch.on_log(Arguments(), State(), None, {"loss": loss})
    with pytest.raises(TrainingError, match="it diverges"):
        for _ in range(30):
            watch.on_log(Arguments(), State(), None, {"loss": 40.0})
    with pytest.raises(TrainingError, match="grad norm is nan"):
        watch.on_log(Arguments(), State(), None, {"loss": 1.0, "grad_norm": math.nan})


def test_packed_examples_do_not_see_each_other(tiny_model: str, data: Path, tmp_path: Path) -> None:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from lunheng.tuning.llm.sft import packed

    rows = [
        {"input_ids": list(range(10 * i + 5, 10 * i + 5 + n)), "labels": list(range(n))}
        for i, n in enumerate((5, 7, 4))
    ]
    (pack,) = packed(Dataset.from_list(rows), 16)
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)([pack])
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    with torch.no_grad():
        together = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0]
        starts = [*(batch["position_ids"][0] == 0).nonzero().flatten().tolist(), 16]
        for start, end in itertools.pairwise(starts):
            alone = model(input_ids=batch["input_ids"][:, start:end]).logits[0]
            assert torch.allclose(alone, together[start:end], atol=1e-5)
    trained = train(recipe(tiny_model, data, tmp_path / "out", **{"data.packing": True, "training.steps": 4}))
    assert trained.last_loss < trained.first_loss


def test_a_base_without_a_template(tiny_model: str, real_model: str, data: Path, tmp_path: Path) -> None:
    import shutil

    from transformers import AutoTokenizer

    base = tmp_path / "base"
    shutil.copytree(tiny_model, base)
    (base / "chat_template.jinja").unlink()
    with pytest.raises(ConfigError, match="has no chat template of its own"):
        train(recipe(str(base), data, tmp_path / "none"))
    trained = train(recipe(str(base), data, tmp_path / "llama3", **{"model.template": "llama3"}))
    tokenizer = AutoTokenizer.from_pretrained(trained.model)
    assert "<|eot_id|>" in tokenizer.get_vocab() and tokenizer.eos_token == "<|eot_id|>"
    assert trained.manifest.metrics["loss"] < trained.manifest.before["loss"]


def test_nothing_of_use_in_the_data(tiny_model: str, tmp_path: Path) -> None:
    empty = write_jsonl(tmp_path / "data.jsonl", [{"instruction": "x", "output": ""}])
    with pytest.raises(DataError, match="holds no example of use"):
        train(recipe(tiny_model, empty, tmp_path / "out"))


def test_the_peak_is_the_process_s_own() -> None:
    import subprocess
    import sys

    import numpy as np

    held = np.ones(2**28, dtype=np.uint8)  # a child of a process that holds much
    code = "from lunheng.tuning.planning.peak import peak_memory; print(peak_memory())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 0 < int(said) < held.nbytes


def test_on_a_gpu_the_peak_is_the_gpu_s(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from lunheng.tuning.planning.peak import begin_peak, peak_memory

    reserved, reset = {0: 5 * 2**30, 1: 7 * 2**30}, []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", reserved.__getitem__)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    begin_peak("cuda")
    assert reset == [0, 1] and peak_memory("cuda") == 7 * 2**30
    begin_peak("cpu")
    assert reset == [0, 1] and 0 < peak_memory("cpu") != 7 * 2**30
