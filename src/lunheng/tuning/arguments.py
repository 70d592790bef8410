"""A recipe to transformers' training arguments, which TRL's and sentence-transformers' configurations extend.

Called by every trainer; what only one method knows it passes by name.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any, Literal

from lunheng.errors import ConfigError
from lunheng.tuning.recipes import FOUR_BIT, Recipe

CHECKPOINTS = "checkpoints"
_OPTIMISERS = {
    "adamw": "adamw_torch",
    "adamw_8bit": "adamw_bnb_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
    "adafactor": "adafactor",
}
_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup", "wsd": "warmup_stable_decay"}
DECAY_SHARE = 0.2
"""Of the steps, in which a warm-up-stable-decay schedule falls (Hu et al. 2024, MiniCPM: a tenth and more suffices)."""
DEVICE_BATCH = 4
"""Examples at a time on one device, where the recipe leaves it open and no estimate says more."""
_TOUCHING_FEW = {"ia3": 3e-3, "prefix": 1e-2, "prompt": 3e-2, "ptuning": 1e-2, "bottleneck": 1e-3}
"""Learning rates of the modes that train few parameters (the ones of their papers)."""


def steps_of(recipe: Recipe, rows: int) -> int:
    """Optimiser steps of a run over ``rows`` examples."""
    training = recipe.training
    return training.steps or max(math.ceil(rows * training.epochs / training.batch), 1)


def learning_rate(recipe: Recipe) -> float:
    """The recipe's, or what the method's and the mode's papers use.

    Preference methods take a tenth of what supervised training takes: their gradients are those of whole answers.
    """
    if recipe.training.learning_rate is not None:
        return recipe.training.learning_rate
    mode = recipe.parameters.mode
    rate = 2e-5 if mode == "full" else _TOUCHING_FEW.get(mode, 2e-4)
    return rate if recipe.method in ("clm", "sft", "embed", "rerank") else rate / 10


def with_optimiser(recipe: Recipe, device: str) -> Recipe:
    """The recipe with the optimiser that it leaves open.

    Over a base in 4 bits it is QLoRA's, whose states move to RAM where a long batch needs the GPU's memory.
    """
    if recipe.training.optimiser != "auto":
        return recipe
    paged = device == "cuda" and recipe.parameters.mode in FOUR_BIT
    chosen: Literal["adamw", "paged_adamw_8bit"] = "paged_adamw_8bit" if paged else "adamw"
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, optimiser=chosen))


def device_batch(recipe: Recipe) -> int:
    """Examples at a time on each device.

    Raises:
        ConfigError: the batch cannot be divided so.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    batch, given = recipe.training.batch, recipe.training.device_batch
    if batch % world:
        raise ConfigError(f"training.batch: {batch} examples cannot be shared by {world} processes; take a multiple")
    share = batch // world
    if given is None:
        return max(size for size in range(1, min(share, DEVICE_BATCH) + 1) if share % size == 0)
    if share % given:
        raise ConfigError(
            f"training.batch: {batch} is no multiple of training.device_batch, {given}"
            + (f", times {world} processes" if world > 1 else "")
        )
    return given


def arguments(
    recipe: Recipe,
    config_class: Any,
    rows: int,
    *,
    held: bool,
    best: str = "eval_loss",
    greater: bool = False,
    **own: Any,
) -> Any:
    """``config_class`` (TrainingArguments or a child of it) as the recipe says.

    Args:
        rows: examples trained on.
        held: whether there are held-out examples to measure on.
        best: the metric that picks the best checkpoint; ``greater``: whether more of it is better.
        own: what only this method's configuration knows; it stands above the common ones.

    Raises:
        ConfigError: keys that do not go together.
    """
    import torch

    cuda = torch.cuda.is_available()
    training = with_optimiser(recipe, "cuda" if cuda else "cpu").training
    steps, share = steps_of(recipe, rows), device_batch(recipe)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    common: dict[str, Any] = {
        "output_dir": str(recipe.output / CHECKPOINTS),
        "max_steps": steps,
        "per_device_train_batch_size": share,
        "per_device_eval_batch_size": share,
        "gradient_accumulation_steps": training.batch // world // share,
        "learning_rate": learning_rate(recipe),
        "lr_scheduler_type": _SCHEDULES[training.schedule],
        "warmup_steps": round(training.warmup_share * steps),
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.clip,
        "optim": _OPTIMISERS[training.optimiser],
        "seed": training.seed,
        "data_seed": training.seed,
        "use_cpu": not cuda,
        "bf16": recipe.model.precision == "bfloat16",
        "fp16": recipe.model.precision == "float16",
        "activation_checkpointing": bool(training.checkpointing),
        "activation_checkpointing_kwargs": {"use_reentrant": False} if training.checkpointing else None,
        "logging_steps": 1,
        # Otherwise a loss that is no number is logged as the last good one, and nobody sees it.
        "logging_nan_inf_filter": False,
        "include_num_input_tokens_seen": "non_padding",
        "report_to": "none",  # ``trackers`` adds them
        "disable_tqdm": True,
        **_saving(recipe, steps, held, best, greater),
    }
    if training.schedule == "wsd":
        common["lr_scheduler_kwargs"] = {"num_decay_steps": max(round(DECAY_SHARE * steps), 1)}
    return config_class(**{**common, **own})


def _saving(recipe: Recipe, steps: int, held: bool, best: str, greater: bool) -> Mapping[str, Any]:
    """When it is measured and saved, and which checkpoints are kept."""
    training = recipe.training
    save, measure = training.save_steps, training.evaluate_steps
    if (training.patience or measure) and not held:
        key = "patience" if training.patience else "evaluate_steps"
        raise ConfigError(
            f"training.{key}: there is nothing to measure on; name data.evaluation, or a data.validation_share above 0"
        )
    if training.patience and measure is None:
        measure = save or max(steps // 10, 1)
    if measure and save and save % measure:
        raise ConfigError(
            f"training.save_steps: {save} is no multiple of training.evaluate_steps, {measure}; "
            "the best checkpoint can only be one that was measured"
        )
    save = save or measure or max(steps // 5, 50)
    saving: dict[str, Any] = {"save_strategy": "steps", "save_steps": save, "save_total_limit": training.keep}
    if measure:
        saving |= {
            "eval_strategy": "steps",
            "eval_steps": measure,
            "load_best_model_at_end": True,
            "metric_for_best_model": best,
            "greater_is_better": greater,
        }
    return saving
