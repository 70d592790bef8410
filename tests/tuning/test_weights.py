"""Parameters that several devices share out: they are counted and compared whole, and what DeepSpeed cannot do is said."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

import torch

from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.recipes import make_recipe
from lunheng.tuning.run import begin
from lunheng.tuning.weights import fingerprint, size


class FakeZero3(torch.nn.Module):
    """A layer as DeepSpeed leaves it between steps: its parameter is empty, and what it holds lies elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.held = torch.arange(12.0)
        self.weight = torch.nn.Parameter(torch.empty(0))
        self.weight.ds_numel = 12
        self.weight.holder = self


@contextmanager
def fake_gathered(parameters: list[Any]) -> Iterator[None]:
    """In the place of deepspeed.zero.GatheredParameters: whole inside, empty outside."""
    for parameter in parameters:
        parameter.data = parameter.holder.held.clone()
    yield
    for parameter in parameters:
        parameter.data = torch.empty(0)


def test_shared_out_by_zero3(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = types.SimpleNamespace(zero=types.SimpleNamespace(GatheredParameters=fake_gathered))
    monkeypatch.setitem(sys.modules, "deepspeed", fake)
    model = FakeZero3()
    before = fingerprint(model)
    assert before == (506.0,) and size(model.weight) == 12 and model.weight.numel() == 0
    model.held[3] += 1
    assert fingerprint(model) != before


def test_shared_out_by_fsdp(tmp_path: Path) -> None:
    from torch import distributed
    from torch.distributed.fsdp import fully_shard

    model = torch.nn.Linear(4, 3)
    whole = fingerprint(model)
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        mesh = distributed.init_device_mesh("cpu", (1,))
        fully_shard(model, mesh=mesh)
        assert fingerprint(model) == whole and [size(p) for p in model.parameters()] == [12, 3]
        model(torch.ones(1, 4)).sum().backward()
        torch.optim.SGD(model.parameters(), 0.1).step()
        assert fingerprint(model) != whole
    finally:
        distributed.destroy_process_group()


def test_what_deepspeed_cannot_measure_is_said(tiny_model: str, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", [{"instruction": f"第 {i} 号", "output": f"好 {i}"} for i in range(8)])
    given = {
        "method": "sft",
        "model": {"name": tiny_model},
        "data": {"train": str(data), "validation_share": 0.5},
        "output": str(tmp_path / "out"),
    }
    run = begin(make_recipe(given))

    class FakeDeepSpeedTrainer:
        is_deepspeed_enabled = True

        def evaluate(self) -> None:
            raise ValueError("ZeRO inference only makes sense with ZeRO Stage 3 - please adjust your config")

    run._measure_before(FakeDeepSpeedTrainer())
    assert not run.manifest.before and any("cannot measure before the first step" in w for w in run.manifest.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["zero2", "zero3"])
def test_deepspeed_itself(tiny_model: str, tmp_path: Path, strategy: str) -> None:
    """Two processes on this CPU, for which a run is refused otherwise."""
    pytest.importorskip("deepspeed", reason="needs deepspeed")
    from lunheng.tuning.planning.launch import launch_files

    data = write_jsonl(tmp_path / "data.jsonl", [{"prompt": f"说 {n}", "completion": f"{n} 好"} for n in range(16)])
    (tmp_path / "r.toml").write_text(
        f'method = "sft"\noutput = "out"\n[model]\nname = "{tiny_model}"\n[data]\ntrain = "{data}"\n'
        "validation_share = 0.25\nwindow = 64\n[training]\nsteps = 3\nbatch = 4\ndevice_batch = 2\n"
        f'checkpointing = false\n[parallel]\ndevices = 2\nstrategy = "{strategy}"\n'
    )
    code = (
        "import json, lunheng.tuning.run as run\nfrom lunheng.tuning.methods import train\n"
        "from lunheng.tuning.recipes import load_recipe\nrun.refuse = lambda *given: None\n"
        f"made = train(load_recipe({str(tmp_path / 'r.toml')!r})).manifest\n"
        "assert made.status == 'done' and made.metrics and not made.before, made\n"
        "assert made.parameters['all'] > 1_000_000 > made.parameters['trained'] > 0, made.parameters\n"
    )
    (tmp_path / "work.py").write_text(code)
    from lunheng.tuning.recipes import load_recipe

    files = launch_files(load_recipe(tmp_path / "r.toml"), tmp_path / "r.toml", tmp_path)
    (tmp_path / "deepspeed.json").write_text(files["deepspeed.json"])
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(tmp_path / "deepspeed.json"),
        "ACCELERATE_DEEPSPEED_ZERO3_INIT": str(strategy == "zero3").lower(),
    }
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*start, str(tmp_path / "work.py")], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
