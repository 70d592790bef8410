"""Supervised fine-tuning: the loss on the assistant's words only. Called by ``lunheng tune sft``.

TRL's trainer over rows that are tokenised and labelled here, so that what is learnt is what the pre-flight shows.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.errors import ConfigError
from lunheng.tuning.bases import base_folder, hub_offline
from lunheng.tuning.data.loading import DataSource, load, write_quarantine
from lunheng.tuning.data.splitting import split
from lunheng.tuning.modes import load_base, wrap
from lunheng.tuning.preflight import Prepared, prepare
from lunheng.tuning.recipes import Recipe

QUARANTINE = "quarantine.jsonl"
NOT_HONOURED = (
    *("model.template", "model.precision", "data.packing", "parameters.plus_ratio", "parameters.save_embeddings"),
    *("training.optimiser", "training.save_steps", "training.evaluate_steps", "training.keep", "training.patience"),
)
"""Keys of a recipe that this method does not act on so far: other values than the defaults are refused, not ignored."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a run."""

    output: Path
    steps: int
    first_loss: float
    last_loss: float
    validation_loss: float | None
    left_out: int


def sft(recipe: Recipe) -> Trained:
    """Train as ``recipe`` says.

    Raises:
        DataError, ModelError, ConfigError: before anything is trained.
    """
    import torch
    import trl
    from transformers import AutoTokenizer

    _refuse_what_is_not_honoured(recipe)
    folder = base_folder(recipe.model.name)
    sources = [DataSource(s.path, s.weight, s.columns) for s in recipe.data.train]
    loaded = load(sources, recipe.kind, recipe.training.seed)
    if recipe.data.evaluation:
        training = list(loaded.examples)
        held = list(
            load([DataSource(s.path, s.weight, s.columns) for s in recipe.data.evaluation], recipe.kind).examples
        )
    else:
        training, held = split(loaded.examples, recipe.data.validation_share, recipe.training.seed)
    with hub_offline():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        rows = prepare(tokenizer, training, recipe.data.window, recipe.data.too_long)  # type: ignore[arg-type]
        validation = prepare(tokenizer, held, recipe.data.window, "truncate") if held else None  # type: ignore[arg-type]
        left_out = write_quarantine([*loaded.problems, *rows.problems], recipe.output / QUARANTINE)
        torch.manual_seed(recipe.training.seed)
        model = load_base(folder, recipe.parameters, torch.float32)
        arguments = _arguments(recipe, len(rows.rows))
        model = wrap(model, recipe.parameters, arguments.max_steps)
        trainer = trl.SFTTrainer(
            model=model,
            args=arguments,
            processing_class=tokenizer,
            train_dataset=_dataset(rows),
            eval_dataset=_dataset(validation) if validation else None,
        )
        trainer.train()
        measured = trainer.evaluate()["eval_loss"] if validation else None
        trainer.save_model(str(recipe.output / "model"))
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Trained(recipe.output, trainer.state.global_step, losses[0], losses[-1], measured, left_out)


def _refuse_what_is_not_honoured(recipe: Recipe) -> None:
    for key in NOT_HONOURED:
        section, name = key.split(".")
        part = getattr(recipe, section)
        default = next(f.default for f in dataclasses.fields(part) if f.name == name)
        if getattr(part, name) != default:
            raise ConfigError(f"recipe: sft does not act on {key} so far; remove it")


def _dataset(prepared: Prepared) -> Any:
    from datasets import Dataset

    return Dataset.from_list([{"input_ids": list(r.input_ids), "labels": list(r.labels)} for r in prepared.rows])


def _arguments(recipe: Recipe, rows: int) -> Any:
    import math

    import trl

    training = recipe.training
    device = training.device_batch or 1
    steps = training.steps or math.ceil(rows * training.epochs / training.batch)
    return trl.SFTConfig(
        output_dir=str(recipe.output / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=device,
        gradient_accumulation_steps=max(training.batch // device, 1),
        learning_rate=training.learning_rate or (2e-5 if recipe.parameters.mode == "full" else 2e-4),
        lr_scheduler_type=training.schedule if training.schedule != "wsd" else "warmup_stable_decay",
        warmup_steps=round(training.warmup_share * steps),
        weight_decay=training.weight_decay,
        max_grad_norm=training.clip,
        seed=training.seed,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=bool(training.checkpointing),
        max_length=None,
        train_sampling_strategy="group_by_length" if training.by_length else "random",
        logging_steps=1,
        save_strategy="no",
        report_to=list(training.trackers) or "none",
        disable_tqdm=True,
    )
