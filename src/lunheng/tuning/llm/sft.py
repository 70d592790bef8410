"""Supervised fine-tuning: the loss on the assistant's words only. Called by ``methods``.

TRL's trainer over rows that are tokenised and labelled here, so that what is learnt is what the pre-flight shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lunheng.tuning.arguments import arguments
from lunheng.tuning.modes import trainable
from lunheng.tuning.on_disk import Columns
from lunheng.tuning.preflight import prepare
from lunheng.tuning.recipes import Recipe
from lunheng.tuning.rendering import Rendered
from lunheng.tuning.resuming import Resume
from lunheng.tuning.run import Trained, begin

if TYPE_CHECKING:
    from lunheng.tuning.callbacks import Report

PACKED = {"padding_free": True, "dataset_kwargs": {"skip_prepare_dataset": True}}
"""TRL's settings for rows that are packed already: positions begin anew with each, and so does what attention sees."""


def sft(recipe: Recipe, resume: Resume = False, report: Report | None = None) -> Trained:
    """Train on conversations; see ``methods.train``."""
    run = begin(recipe, resume, report)
    import trl

    from lunheng.tuning.llm.trainers import ConversationTrainer

    tokenizer = run.tokenizer()
    data = recipe.data
    with run.rows(tokenizer, prepare, COLUMNS, as_row) as (training, held):
        recipe = run.recipe
        own: dict[str, Any] = {"max_length": None}
        if data.packing:
            own |= PACKED
            training = packed(training, data.window)
        settings = arguments(recipe, trl.SFTConfig, len(training), held=held is not None, **own)
        trainer = ConversationTrainer(
            model=trainable(run, tokenizer, settings.max_steps),
            args=settings,
            processing_class=tokenizer,
            train_dataset=training,
            eval_dataset=held,
        )
        return run.train(trainer)


COLUMNS: Columns = {"input_ids": "ids", "labels": "ids"}


def as_row(row: Rendered) -> dict[str, Any]:
    """A row as TRL takes it when it is tokenised already."""
    return {"input_ids": row.input_ids, "labels": row.labels}


def packed(rows: Any, window: int) -> Any:
    """Several rows in each window, by best-fit decreasing (Ding et al. 2024), none cut."""
    import trl

    return trl.pack_dataset(rows, window, "bfd")
