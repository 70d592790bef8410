"""Kahneman-Tversky optimisation (Ethayarajh et al. 2024): single answers with a thumb up or down. Called by ``methods``.

The reference is held as in ``dpo``. How far the model has moved from it is estimated from mismatched pairs: each
prompt with the answer of its neighbour in the batch. So a batch holds two at the least, and its rows stay together:
they are shuffled once, by the seed, and then read in order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lunheng.errors import ConfigError, DataError
from lunheng.tuning.arguments import arguments, device_batch
from lunheng.tuning.llm.dpo import BETA, against_reference
from lunheng.tuning.on_disk import Columns, write_rows
from lunheng.tuning.preflight import Thumb, prepare_thumbs
from lunheng.tuning.recipes import PreferencePart, Recipe
from lunheng.tuning.resuming import Resume
from lunheng.tuning.run import Trained, begin

if TYPE_CHECKING:
    from lunheng.tuning.callbacks import Report

_LOSSES = {"kto": "kto", "apo_zero": "apo_zero_unpaired"}


def kto(recipe: Recipe, resume: Resume = False, report: Report | None = None) -> Trained:
    """Train on judged answers; see ``methods.train``.

    Raises:
        ConfigError: one example a batch, of which nothing can be estimated.
        DataError: all thumbs point the same way.
    """
    part = recipe.preference or PreferencePart()
    batch, loss = device_batch(recipe), part.loss or "kto"
    if batch < 2 and loss == "kto":
        raise ConfigError(
            "training.device_batch: kto estimates from a batch how far the model has moved, and one example is too "
            'few; take 2 or more (training.batch a multiple of it), or preference.loss = "apo_zero"'
        )
    run = begin(recipe, resume, report)
    import trl

    from lunheng.tuning.llm.trainers import ThumbTrainer

    tokenizer = run.tokenizer()
    with run.rows(tokenizer, prepare_thumbs, COLUMNS, as_row) as (training, held):
        recipe = run.recipe
        batch = device_batch(recipe)
        desirable, undesirable = weights(training["label"], part)
        settings = arguments(
            recipe,
            trl.KTOConfig,
            len(training),
            held=held is not None,
            max_length=None,
            disable_dropout=not recipe.parameters.dropout,
            precompute_ref_log_probs=part.precompute,
            beta=part.beta or BETA,
            loss_type=_LOSSES[loss],
            desirable_weight=desirable,
            undesirable_weight=undesirable,
            train_sampling_strategy="sequential",
        )
        order = random.Random(recipe.training.seed).sample(range(len(training)), len(training))
        training = beside(training, order, batch, run.tokens / "train.arrow")
        if held is not None:
            held = beside(held, range(len(held)), batch, run.tokens / "held.arrow")
        return against_reference(run, tokenizer, ThumbTrainer, settings, training, held)


def weights(good: Sequence[bool], part: PreferencePart) -> tuple[float, float]:
    """What a thumb up and a thumb down weigh: by default the rarer as much more as it is rarer (equation 8's range).

    Raises:
        DataError: there is only one of the two.
    """
    up = sum(good)
    down = len(good) - up
    if not up or not down:
        only = "good" if up else "bad"
        raise DataError(
            f"all {len(good)} answers are judged {only}: kto learns from both; take sft for good ones alone"
        )
    desirable, undesirable = part.desirable, part.undesirable
    if desirable is None and undesirable is None:
        return max(down / up, 1.0), max(up / down, 1.0)
    if undesirable is None:
        return float(desirable or 1.0), float(desirable or 1.0) * up / down
    return (undesirable * down / up if desirable is None else desirable), undesirable


COLUMNS: Columns = {"prompt_ids": "ids", "completion_ids": "ids", "label": "flag"}


def as_row(row: Thumb) -> dict[str, Any]:
    """A row as TRL's collator takes it, but for its neighbour's answer."""
    return {"prompt_ids": row.answer.prompt, "completion_ids": row.answer.answer, "label": row.good}


def beside(rows: Any, order: Sequence[int], batch: int, path: Path) -> Any:
    """``rows`` in ``order``, beside each answer that of its neighbour in its batch of ``batch``; written to ``path``."""

    def made() -> Iterator[dict[str, Any]]:
        for place, row in enumerate(order):
            start = place - place % batch
            others = [n for n in range(start, min(start + batch, len(order))) if n != place]
            # As TRL rotates them; a last row that is alone in its batch takes the one before.
            neighbour = place - 1 if place > start or not others else others[-1]
            yield {**rows[row], "KL_completion_ids": rows[order[neighbour]]["completion_ids"]}

    return write_rows(made(), {**COLUMNS, "KL_completion_ids": "ids"}, path)
