"""What this machine cannot run is refused before anything loads, with the nearest thing that works.

Called by the course of a run, and by ``lunheng tune plan`` for the machine that is planned for.
"""

from __future__ import annotations

import importlib.util
import os

from lunheng.errors import ConfigError, MissingExtraError
from lunheng.tuning.planning.hardware import Hardware
from lunheng.tuning.recipes import FOUR_BIT, Recipe


def refuse(recipe: Recipe, hardware: Hardware) -> None:
    """Say no to what ``hardware`` has no means for.

    Raises:
        ConfigError: names the key, the reason and what works here.
        MissingExtraError: a library that the recipe needs is not installed.
    """
    _refuse_optimiser(recipe, hardware)
    _refuse_four_bit(recipe, hardware)
    _refuse_precision(recipe, hardware)
    if recipe.parallel.strategy in ("fsdp", "zero2", "zero3") and hardware.device != "cuda":
        raise ConfigError(
            f"parallel.strategy: {recipe.parallel.strategy} shares a model out over CUDA GPUs, and there is none here; "
            "take ddp, which runs on CPUs too"
        )


def refuse_start(recipe: Recipe) -> None:
    """Say no to a start in another number of processes than the recipe plans for, or without what starts them.

    Raises:
        ConfigError, MissingExtraError: see ``refuse``.
    """
    started, planned = int(os.environ.get("WORLD_SIZE", "1")), recipe.parallel.world
    if started != planned:
        raise ConfigError(
            f"parallel: the recipe plans for {planned} device(s), and {started} process(es) were started; "
            + ("start it with what lunheng tune launch writes" if planned > started else "set devices and strategy")
        )
    if recipe.parallel.strategy in ("zero2", "zero3") and importlib.util.find_spec("deepspeed") is None:
        raise MissingExtraError("deepspeed", "tune", "pip install deepspeed")


def _refuse_optimiser(recipe: Recipe, hardware: Hardware) -> None:
    optimiser = recipe.training.optimiser
    if optimiser == "paged_adamw_8bit" and hardware.device != "cuda":
        raise ConfigError(
            "training.optimiser: paged_adamw_8bit moves its pages between a CUDA GPU and RAM, and there is no CUDA GPU "
            "here; take " + ("adamw_8bit" if hardware.four_bit and hardware.device == "cpu" else "adamw")
        )
    if optimiser == "adamw_8bit" and not hardware.four_bit:
        raise ConfigError(
            "training.optimiser: adamw_8bit is bitsandbytes', which is not installed; run: pip install 'lunheng[tune]', "
            "or take adafactor, which keeps as little"
        )
    if optimiser == "adamw_8bit" and hardware.device == "mps":
        raise ConfigError("training.optimiser: bitsandbytes has no 8-bit optimiser for Apple's GPUs; take adafactor")


def _refuse_four_bit(recipe: Recipe, hardware: Hardware) -> None:
    mode = recipe.parameters.mode
    if mode not in FOUR_BIT:
        return
    nearest = {"qadalora": "adalora"}.get(mode, "lora")
    if not hardware.four_bit:
        raise ConfigError(
            f"parameters.mode: {mode} needs bitsandbytes, which is not installed; run: pip install 'lunheng[tune]', "
            f"or take {nearest}"
        )
    if hardware.device == "mps":
        raise ConfigError(f"parameters.mode: {mode} does not train on Apple's GPUs; take {nearest}")


def _refuse_precision(recipe: Recipe, hardware: Hardware) -> None:
    wanted = recipe.model.precision
    if wanted == "bfloat16" and hardware.precision != "bfloat16":
        raise ConfigError(
            f"model.precision: this {hardware.device} does not multiply bfloat16 itself, and emulating it is some 20 "
            f"times slower; take {hardware.precision}, or leave it to auto"
        )
    if wanted == "float16" and hardware.device != "cuda":
        raise ConfigError(
            f"model.precision: float16 trains on CUDA GPUs alone, where its loss is scaled; take {hardware.precision}, "
            "or leave it to auto"
        )
