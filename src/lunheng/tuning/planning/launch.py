"""What starts a recipe on several devices: accelerate's and DeepSpeed's configurations, and the commands.

Called by ``lunheng tune launch``. Every process runs the same ``lunheng tune METHOD``; the first alone writes.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lunheng.errors import ConfigError
from lunheng.tuning.recipes import Recipe

PORT = 29500
ACCELERATE, DEEPSPEED, SCRIPT = "accelerate.yaml", "deepspeed.json", "launch.sh"
_KINDS = {"ddp": "MULTI_GPU", "fsdp": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}


def launch_files(recipe: Recipe, recipe_file: Path, folder: Path, *, cpu: bool = False) -> Mapping[str, str]:
    """The texts of the files to write into ``folder``, by name.

    Args:
        recipe_file: the recipe, at the same place on every machine.
        cpu: whether the devices are processes on CPUs (only for ddp; by gloo).

    Raises:
        ConfigError: the recipe is for one device, or shares a model out over CPUs.
    """
    parallel = recipe.parallel
    if parallel.world == 1:
        raise ConfigError(
            f"parallel: the recipe is for one device, which needs no launcher; run lunheng tune {recipe.method} "
            "--recipe, or set parallel.devices and parallel.strategy"
        )
    if cpu and parallel.strategy != "ddp":
        raise ConfigError(f"parallel.strategy: {parallel.strategy} shares a model out over CUDA GPUs; on CPUs take ddp")
    made: dict[str, str] = {}
    if parallel.strategy in ("zero2", "zero3"):
        made[DEEPSPEED] = json.dumps(deepspeed_config(recipe), indent=2) + "\n"
    if not cpu:
        made[ACCELERATE] = _yaml(accelerate_config(recipe, folder))
    made[SCRIPT] = _script(recipe, recipe_file.absolute(), folder.absolute(), cpu)
    return made


def accelerate_config(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """The file of ``accelerate launch --config_file``; precision is set by the run, which looks at the GPUs."""
    parallel = recipe.parallel
    made: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": _KINDS[parallel.strategy],
        "num_machines": parallel.nodes,
        "num_processes": parallel.world,
        "main_training_function": "main",
        "rdzv_backend": "static",
        "same_network": True,
        "use_cpu": False,
    }
    if parallel.strategy == "fsdp":
        made["fsdp_config"] = {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_reshard_after_forward": True,
            "fsdp_offload_params": parallel.offload,
            "fsdp_cpu_ram_efficient_loading": True,
            "fsdp_state_dict_type": "FULL_STATE_DICT",
            "fsdp_activation_checkpointing": False,  # the run's own, as the memory estimate has chosen
        }
    if parallel.strategy in ("zero2", "zero3"):
        made["deepspeed_config"] = {
            "deepspeed_config_file": str(folder.absolute() / DEEPSPEED),
            "zero3_init_flag": parallel.strategy == "zero3",
        }
    return made


def deepspeed_config(recipe: Recipe) -> dict[str, Any]:
    """DeepSpeed's JSON; what the run decides is ``auto``, which transformers fills in."""
    parallel = recipe.parallel
    stage = {"zero2": 2, "zero3": 3}[parallel.strategy]
    zero: dict[str, Any] = {"stage": stage, "overlap_comm": True, "contiguous_gradients": True}
    if stage == 3:
        zero |= {
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "reduce_bucket_size": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,
        }
    if parallel.offload:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
        if stage == 3:
            zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    return {
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "bf16": {"enabled": "auto"},
        "fp16": {"enabled": "auto"},
        "zero_optimization": zero,
    }


def _script(recipe: Recipe, recipe_file: Path, folder: Path, cpu: bool) -> str:
    parallel = recipe.parallel
    work = f"-m lunheng tune {recipe.method} --recipe {shlex.quote(str(recipe_file))}"
    several = parallel.nodes > 1
    if cpu:
        start = f"torchrun --nnodes {parallel.nodes} --nproc-per-node {parallel.devices}"
        where = ' --node-rank "$1" --master-addr "$2" --master-port ' + str(PORT) if several else " --standalone"
    else:
        start = f"accelerate launch --config_file {shlex.quote(str(folder / ACCELERATE))}"
        where = ' --machine_rank "$1" --main_process_ip "$2" --main_process_port ' + str(PORT) if several else ""
    lines = ["#!/usr/bin/env bash"]
    if several:
        lines += [
            f"# On each of the {parallel.nodes} machines, with its number (0 to {parallel.nodes - 1}) and the first one's",
            f"# address: bash {SCRIPT} NUMBER ADDRESS. The recipe, its data and its base lie at the same place on all.",
        ]
    lines += ["set -euo pipefail", f'{start}{where} {work} "${{@:{3 if several else 1}}}"', ""]
    return "\n".join(lines)


def _yaml(value: Mapping[str, Any], indent: str = "") -> str:
    """YAML of names, truths, numbers and texts: JSON's scalars are YAML's."""
    lines = []
    for key, item in value.items():
        if isinstance(item, Mapping):
            lines.append(f"{indent}{key}:\n{_yaml(item, indent + '  ')}")
        else:
            lines.append(f"{indent}{key}: {json.dumps(item)}\n")
    return "".join(lines)
