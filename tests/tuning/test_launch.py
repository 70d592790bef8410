"""Several processes: what is written to start them, and two of them on this CPU that learn what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.cli.main import app
from lunheng.errors import ConfigError
from lunheng.models.store import installed
from lunheng.testing.tiny_model import make_tiny_model, write_jsonl
from lunheng.tuning.bases import base_folder
from lunheng.tuning.planning.launch import accelerate_config, deepspeed_config, launch_files
from lunheng.tuning.recipes import Recipe, make_recipe

WORDS = "smollm2-135m-instruct"


def recipe(**parallel: Any) -> Recipe:
    raw = {"method": "sft", "model": {"name": "m"}, "data": {"train": "a.jsonl"}, "output": "out"}
    return make_recipe({**raw, "parameters": {"mode": "full"}, "training": {"batch": 64}, "parallel": parallel})


def test_fsdp_over_eight_gpus(tmp_path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    made = launch_files(recipe(devices=8, strategy="fsdp"), tmp_path / "r.toml", tmp_path)
    (tmp_path / "accelerate.yaml").write_text(made["accelerate.yaml"])
    read = load_config_from_file(str(tmp_path / "accelerate.yaml"))  # accelerate's own reader refuses unknown keys
    assert (read.distributed_type.value, read.num_processes, read.num_machines) == ("FSDP", 8, 1)
    assert read.fsdp_config["fsdp_version"] == 2 and read.fsdp_config["fsdp_offload_params"] is False
    assert f"accelerate launch --config_file {tmp_path / 'accelerate.yaml'} -m lunheng tune sft" in made["launch.sh"]


def test_zero3_over_two_machines(tmp_path: Path) -> None:
    asked = recipe(devices=4, nodes=2, strategy="zero3", offload=True)
    made = launch_files(asked, tmp_path / "r.toml", tmp_path)
    zero = json.loads(made["deepspeed.json"])["zero_optimization"]
    assert zero["stage"] == 3 and zero["offload_param"] == zero["offload_optimizer"]
    assert accelerate_config(asked, tmp_path)["num_processes"] == 8
    assert '--machine_rank "$1" --main_process_ip "$2"' in made["launch.sh"] and '"${@:3}"' in made["launch.sh"]
    assert (
        "offload_param" not in deepspeed_config(recipe(devices=2, strategy="zero2", offload=True))["zero_optimization"]
    )


def test_what_needs_no_launcher_or_no_cpus() -> None:
    with pytest.raises(ConfigError, match="one device"):
        launch_files(recipe(), Path("r.toml"), Path())
    with pytest.raises(ConfigError, match="on CPUs take ddp"):
        launch_files(recipe(devices=2, strategy="fsdp"), Path("r.toml"), Path(), cpu=True)


def losses(output: Path) -> list[float]:
    lines = (output / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    if installed(WORDS) is None:
        pytest.skip(f"needs the model: lunheng models pull {WORDS}")
    make_tiny_model(tmp_path / "base", base_folder(WORDS))
    rows = [{"prompt": f"Say {n}. 说 {n}。", "completion": f"{n} {n} 好"} for n in range(24)]
    write_jsonl(tmp_path / "a.jsonl", rows)  # type: ignore[arg-type]
    (tmp_path / "r.toml").write_text(
        'method = "sft"\noutput = "one"\n[model]\nname = "base"\n[data]\ntrain = "a.jsonl"\nvalidation_share = 0\n'
        'window = 64\n[parameters]\nmode = "full"\n'
        "[training]\nsteps = 5\nbatch = 4\ndevice_batch = 2\ncheckpointing = false\nlearning_rate = 1e-2\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("WORLD_SIZE", None)
    alone = [sys.executable, "-m", "lunheng", "tune", "sft", "--recipe", str(tmp_path / "r.toml"), "--json"]
    done = subprocess.run(alone, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    both = {"parallel.devices": "2", "parallel.strategy": "ddp", "output": str(tmp_path / "two")}
    changes = [text for key, value in both.items() for text in ("--set", f"{key}={value}")]
    command = ["tune", "launch", "--recipe", str(tmp_path / "r.toml"), "--write", str(tmp_path / "launch"), "--cpu"]
    assert CliRunner().invoke(app, [*command, *changes]).exit_code == 0
    done = subprocess.run(
        ["bash", str(tmp_path / "launch" / "launch.sh"), "--json"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) == 5 and one[-1] < one[0]
    assert two == pytest.approx(one, abs=2e-3)
    assert json.loads((tmp_path / "two" / "manifest.json").read_text("utf-8"))["status"] == "done"
    names = {path.name for path in (tmp_path / "two").iterdir()}
    assert names == {path.name for path in (tmp_path / "one").iterdir()}, "the first process alone writes"


def test_ray_trains_by_ddp_alone(tmp_path: Path) -> None:
    pytest.importorskip("ray.train", reason="needs the extra 'ray'")
    from lunheng.tuning.planning.ray import train_on_ray

    with pytest.raises(ConfigError, match="take ddp"):
        train_on_ray(recipe(devices=2, strategy="fsdp"), tmp_path / "r.toml")


@pytest.mark.slow
def test_two_workers_of_ray(tmp_path: Path) -> None:
    pytest.importorskip("ray.train", reason="needs the extra 'ray'")
    if installed(WORDS) is None:
        pytest.skip(f"needs the model: lunheng models pull {WORDS}")
    make_tiny_model(tmp_path / "base", base_folder(WORDS))
    write_jsonl(tmp_path / "a.jsonl", [{"prompt": f"说 {n}", "completion": f"{n} 好"} for n in range(8)])
    (tmp_path / "r.toml").write_text(
        'method = "sft"\noutput = "out"\n[model]\nname = "base"\n[data]\ntrain = "a.jsonl"\nvalidation_share = 0\n'
        "window = 64\n[training]\nsteps = 3\nbatch = 4\ndevice_batch = 2\ncheckpointing = false\n"
        '[parallel]\ndevices = 2\nstrategy = "ddp"\n'
    )
    command = ["tune", "launch", "--recipe", str(tmp_path / "r.toml"), "--write", str(tmp_path / "launch")]
    done = CliRunner().invoke(app, [*command, "--cpu", "--ray"], catch_exceptions=False)
    assert done.exit_code == 0 and "done after 3 steps" in done.output
    assert len(losses(tmp_path / "out")) == 3
