"""The memory estimate: parameters as published, peaks as measured, a refusal that names what would fit."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.errors import ConfigError, MissingExtraError, ModelError, OutOfMemoryPredictedError
from lunheng.models.store import installed
from lunheng.tuning.bases import base_folder
from lunheng.tuning.planning.architectures import architecture, shipped
from lunheng.tuning.planning.generation import written_at_once
from lunheng.tuning.planning.hardware import Accelerator, Hardware
from lunheng.tuning.planning.memory import choices, estimate, settle, with_choices
from lunheng.tuning.planning.refusals import refuse, refuse_start
from lunheng.tuning.planning.rehearsal import rehearse, weights_of
from lunheng.tuning.recipes import Recipe, make_recipe

GIB = 2**30
MODEL = "smollm2-135m-instruct"
CPU = Hardware("cpu", 2.0, 2, 24 * GIB, 20 * GIB, 100 * GIB, cpu_bfloat16=False)


def gpus(number: int, gib: int, capability: tuple[int, int] = (8, 0)) -> Hardware:
    each = Accelerator("cuda", "a GPU", gib * GIB, gib * GIB, capability)
    return Hardware("cpu", 8.0, 8, 64 * GIB, 60 * GIB, 100 * GIB, False, (each,) * number)


def recipe(name: str = MODEL, method: str = "sft", **parts: Any) -> Recipe:
    data = {"train": "a.jsonl", "window": 128} | parts.pop("data", {})
    named = {"name": name} | parts.pop("model", {})
    return make_recipe({"method": method, "model": named, "data": data, "output": "out"} | parts)


@pytest.mark.parametrize(
    ("model", "method", "millions"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "sft", 7615.6),
        ("Qwen/Qwen2.5-7B", "sft", 7615.6),  # the same in another tuning
        ("Qwen/Qwen2.5-72B-Instruct", "sft", 72706.2),
        ("meta-llama/Llama-3.3-70B-Instruct", "sft", 70553.7),
        ("Qwen/Qwen3-8B", "sft", 8190.7),
        ("Qwen/Qwen2.5-0.5B-Instruct", "sft", 494.0),
        (MODEL, "sft", 134.5),
        ("BAAI/bge-m3", "embed", 567.8),
        ("BAAI/bge-large-zh-v1.5", "embed", 325.5),
        ("BAAI/bge-reranker-v2-m3", "rerank", 567.8),
    ],
)
def test_parameters_are_as_many_as_published(model: str, method: str, millions: float) -> None:
    found = weights_of(recipe(model, method, parameters={"mode": "full"}), architecture(model))
    assert found.base / 1e6 == pytest.approx(millions, abs=0.1)
    assert found.trained / 1e6 == pytest.approx(millions, rel=0.002)  # a fresh score is learnt besides
    assert found.equal


def test_an_unknown_model_names_the_known() -> None:
    with pytest.raises(ModelError, match=r"how it is built is not known.*Qwen/Qwen3-8B"):
        architecture("nobody/nothing-1b")
    assert set(shipped()) >= {"BAAI/bge-m3", "Qwen/Qwen2.5-7B-Instruct"}


def test_what_an_adapter_trains() -> None:
    config = architecture("Qwen/Qwen2.5-7B-Instruct")
    lora = weights_of(recipe(parameters={"mode": "lora", "rank": 16}), config, "bfloat16")
    four_bit = weights_of(recipe(parameters={"mode": "qlora", "rank": 16}), config, "bfloat16")
    assert lora.trained == four_bit.trained == 40_370_176  # peft's own count of it
    assert four_bit.four_bit == 28 * (2 * 3584 * 3584 + 2 * 3584 * 512 + 3 * 3584 * 18944)
    assert lora.bytes > 4 * four_bit.bytes / 2
    assert (lora.states, lora.gradients) == (8 * lora.trained, 4 * lora.trained)


@pytest.mark.parametrize(("mode", "checkpointing"), [("full", False), ("lora", True)])
def test_two_depths_tell_of_all(mode: str, checkpointing: bool) -> None:
    from lunheng.tuning.planning.rehearsal import shallower

    config = shallower(architecture(MODEL), 6)
    asked = recipe(parameters={"mode": mode, "rank": 4})
    whole = rehearse(asked, config, 1, checkpointing=checkpointing, equal=False)
    line = rehearse(asked, config, 1, checkpointing=checkpointing)
    assert line.peak == pytest.approx(whole.peak, rel=0.005) and line.flops == pytest.approx(whole.flops, rel=1e-6)


def test_what_is_left_open_is_chosen() -> None:
    config = architecture(MODEL)
    asked = recipe(training={"batch": 8})
    found, roomy = settle(asked, config, CPU)
    chosen = {"device_batch": 4, "checkpointing": False, "precision": "float32", "optimiser": "adamw"}
    assert choices(found) == chosen
    assert with_choices(asked, choices(found)) == found and roomy.fits
    tight = dataclasses.replace(CPU, available=round(estimate(asked, config, CPU, batch=1).total / 0.94))
    assert settle(asked, config, tight)[1].batch == 1
    asked = recipe(training={"batch": 8}, data={"window": 1024})
    need = estimate(asked, config, CPU, batch=1, checkpointing=True).total
    assert need < 0.95 * estimate(asked, config, CPU, batch=1).total
    tight = dataclasses.replace(CPU, available=round(need / 0.94))
    assert choices(settle(asked, config, tight)[0])["checkpointing"] is True


def test_what_does_not_fit_says_what_would() -> None:
    asked = recipe("Qwen/Qwen3-8B", parameters={"mode": "full"}, training={"batch": 1})
    with pytest.raises(
        OutOfMemoryPredictedError, match=r'needs about 1\d\d\.\d GiB.*optimiser 61.*mode = "qlora"'
    ) as error:
        settle(asked, architecture("Qwen/Qwen3-8B"), gpus(1, 24))
    assert "24.0 GiB of cuda memory are free" in str(error.value)


def test_sharing_out_divides_what_is_held() -> None:
    config = architecture("Qwen/Qwen3-8B")
    parts = {"parameters": {"mode": "full"}, "training": {"batch": 8}}
    alone = estimate(recipe("Qwen/Qwen3-8B", **parts), config, gpus(1, 80))
    eight = {"devices": 8, "strategy": "fsdp"}
    shared = estimate(recipe("Qwen/Qwen3-8B", **parts, parallel=eight), config, gpus(8, 80))
    assert shared.fits and not alone.fits
    for part in ("weights", "gradients", "optimiser"):
        assert shared.parts[part] == pytest.approx(alone.parts[part] / 8, rel=1e-6)
    away = estimate(recipe("Qwen/Qwen3-8B", **parts, parallel={**eight, "offload": True}), config, gpus(8, 80))
    assert away.total < shared.total - shared.parts["optimiser"]


def test_completions_are_counted_as_many_as_are_written_at_once() -> None:
    config = architecture(MODEL)
    reward = {"functions": ["valid_json"], "completion_tokens": 100}

    def asked(method: str, batch: int = 8, share: float = 0.0, **parts: Any) -> Recipe:
        training = {"batch": batch, "device_batch": 1, "checkpointing": True}
        data = {"validation_share": share, "window": 128}
        return recipe(method=method, data=data, training=training, reward=reward, **parts)

    counts = [written_at_once(asked(*case)) for case in (("grpo",), ("grpo", 8, 0.1), ("rloo", 64, 0.1), ("ppo", 64))]
    assert counts == [8, 32, 64, 32]
    assert written_at_once(asked("ppo", ppo={"minibatches": 2})) == 16
    few, many = (estimate(asked("grpo", batch), config, CPU).parts for batch in (64, 128))
    keys_and_values = 2 * 30 * 3 * 64 * 128 * 4  # of SmolLM2-135M, of a completion to the end of the window
    grown = many["generation"] - few["generation"]
    assert 64 * keys_and_values < grown < 64 * keys_and_values * 1.3


@pytest.mark.parametrize("method", ["embed", "rerank"])
def test_an_encoder_that_cannot_fit_is_not_loaded(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lunheng.testing.tiny_encoder import make_tiny_encoder
    from lunheng.tuning import run
    from lunheng.tuning.encoders import embedder, reranker
    from lunheng.tuning.methods import train

    def loaded(*_: object) -> None:
        raise AssertionError("the model was loaded")

    texts = ["how do I open it", "turn the key", "怎么打开", "转动钥匙"]
    rows = [{"query": texts[2 * (n % 2)], "positive": texts[2 * (n % 2) + 1], "group": str(n)} for n in range(8)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    base = make_tiny_encoder(tmp_path / "tiny", texts)
    tight = dataclasses.replace(CPU, available=2**20)
    monkeypatch.setattr(run, "probe", lambda output: tight)
    monkeypatch.setattr(embedder, "_load", loaded)
    monkeypatch.setattr(reranker, "_load", loaded)
    data = {"train": str(tmp_path / "a.jsonl"), "validation_share": 0.5}
    with pytest.raises(OutOfMemoryPredictedError, match="needs about"):
        train(
            make_recipe({"method": method, "model": {"name": str(base)}, "data": data, "output": str(tmp_path / "o")})
        )


@pytest.mark.parametrize(
    ("parts", "machine", "says"),
    [
        ({"training": {"optimiser": "paged_adamw_8bit"}}, CPU, "no CUDA GPU here; take adamw_8bit"),
        ({"model": {"precision": "bfloat16"}}, CPU, "20 times slower; take float32"),
        ({"model": {"precision": "bfloat16"}}, gpus(1, 16, (7, 5)), "take float16"),
        ({"model": {"precision": "float16"}}, CPU, "CUDA GPUs alone"),
        ({"parallel": {"devices": 2, "strategy": "fsdp"}}, CPU, "take ddp"),
    ],
)
def test_what_the_machine_cannot_run(parts: dict[str, Any], machine: Hardware, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        refuse(recipe(**parts), machine)


def test_without_bitsandbytes() -> None:
    bare = dataclasses.replace(CPU, four_bit=False)
    for mode, nearest in (("qlora", "lora"), ("qadalora", "adalora")):
        with pytest.raises(ConfigError, match=f"needs bitsandbytes.*or take {nearest}$"):
            refuse(recipe(parameters={"mode": mode}), bare)
    with pytest.raises(ConfigError, match="take adafactor"):
        refuse(recipe(training={"optimiser": "adamw_8bit"}), bare)
    apple = dataclasses.replace(CPU, accelerators=(Accelerator("mps", "M", GIB, GIB, None),))
    with pytest.raises(ConfigError, match="Apple's GPUs; take lora"):
        refuse(recipe(parameters={"mode": "qlora"}), apple)
    refuse(recipe(parameters={"mode": "qlora"}, training={"optimiser": "paged_adamw_8bit"}), gpus(1, 24))


def test_a_start_in_another_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    two = recipe(parallel={"devices": 2, "strategy": "ddp"})
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ConfigError, match="lunheng tune launch"):
        refuse_start(two)
    monkeypatch.setenv("WORLD_SIZE", "2")
    refuse_start(two)
    with pytest.raises(ConfigError, match="1 device"):
        refuse_start(recipe())
    with pytest.raises(MissingExtraError, match="pip install deepspeed"):
        refuse_start(recipe(parallel={"devices": 2, "strategy": "zero3"}))


RUN = """
import json, sys
from lunheng.tuning.methods import train
from lunheng.tuning.recipes import load_recipe
made = train(load_recipe(sys.argv[1])).manifest
print(json.dumps([made.peak_bytes, sum(made.estimate.values()), dict(made.settled)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["lora", "full"])
def test_within_a_fifth_of_the_measured_peak(tmp_path: Path, mode: str) -> None:
    """A process of its own, whose peak is its own; the table over more is in benchmarks/reports/tuning_memory.md."""
    if installed(MODEL) is None:
        pytest.skip(f"needs the model: lunheng models pull {MODEL}")
    rows = [{"prompt": "Count. 数一数。", "completion": "one 二 three 四 " * 100}] * 4
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(
        f'method = "sft"\noutput = "out"\n[model]\nname = "{base_folder(MODEL)}"\n'
        '[data]\ntrain = "a.jsonl"\nwindow = 64\ntoo_long = "truncate"\nvalidation_share = 0\n'
        f'[parameters]\nmode = "{mode}"\n[training]\nsteps = 2\nbatch = 2\nlearning_rate = 1e-4\n'
    )
    done = subprocess.run([sys.executable, "-c", RUN, str(tmp_path / "recipe.toml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peak, expected, settled = json.loads(done.stdout.splitlines()[-1])
    assert expected == pytest.approx(peak, rel=0.2), (expected / 2**20, peak / 2**20)
    assert settled == {"device_batch": 2, "checkpointing": False, "precision": "float32", "optimiser": "adamw"}


@pytest.mark.parametrize(
    ("mode", "optimiser", "cuda", "taken"),
    [
        ("qlora", "auto", True, "paged_adamw_8bit"),
        ("qadalora", "auto", True, "paged_adamw_8bit"),
        ("lora", "auto", True, "adamw"),
        ("qlora", "auto", False, "adamw"),
        ("qlora", "adamw", True, "adamw"),
    ],
)
def test_the_optimiser_of_four_bits_is_paged_on_cuda(
    mode: str, optimiser: str, cuda: bool, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from lunheng.tuning.arguments import arguments

    asked = recipe(parameters={"mode": mode}, training={"optimiser": optimiser, "steps": 8})
    settled, _ = settle(asked, architecture(MODEL), gpus(1, 80) if cuda else CPU)
    assert settled.training.optimiser == taken
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    given: dict[str, Any] = {}
    arguments(asked, given.update, 8, held=False)
    assert given["optim"] == {"adamw": "adamw_torch"}.get(taken, taken) and given["use_cpu"] is not cuda
