"""Direct preference optimisation (Rafailov et al. 2023) and its kin: the better of two answers. Called by ``methods``.

With an adapter, the reference is the base with the adapter switched off, and no second model is held. TRL is given
the base and the adapter apart for that: of a wrapped model, it would keep a copy of the adapter as the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from lunheng.tuning.arguments import arguments
from lunheng.tuning.modes import adapter_config, parameters_of, ready
from lunheng.tuning.on_disk import Columns
from lunheng.tuning.preflight import Pair, prepare_pairs
from lunheng.tuning.recipes import PreferencePart, Recipe
from lunheng.tuning.resuming import Resume
from lunheng.tuning.run import Run, Trained, begin

if TYPE_CHECKING:
    from lunheng.tuning.callbacks import Report

BETA = 0.1
SMOOTHING = 0.1
"""Of the robust loss: what its authors recommend."""


def dpo(recipe: Recipe, resume: Resume = False, report: Report | None = None) -> Trained:
    """Train on pairs; see ``methods.train``."""
    run = begin(recipe, resume, report)
    import trl

    from lunheng.tuning.llm.trainers import PairTrainer

    tokenizer = run.tokenizer()
    with run.rows(tokenizer, prepare_pairs, COLUMNS, as_row) as (training, held):
        recipe = run.recipe
        part = recipe.preference or PreferencePart()
        settings = arguments(
            recipe,
            trl.DPOConfig,
            len(training),
            held=held is not None,
            max_length=None,
            disable_dropout=not recipe.parameters.dropout,
            precompute_ref_log_probs=part.precompute or part.reference_free,
            beta=part.beta or BETA,
            **losses(part),
        )
        kind = partial(PairTrainer, reference_free=part.reference_free)
        return against_reference(run, tokenizer, kind, settings, training, held)


def against_reference(
    run: Run, tokenizer: Any, kind: Callable[..., Any], settings: Any, training: Any, held: Any
) -> Trained:
    """Train with a trainer of ``kind``, which compares with the model that the run begins as. Called by ``kto`` too."""
    from lunheng.tuning.llm.trainers import quiet, reference_of

    base = ready(run, tokenizer)
    reference = reference_of(base, run.recipe)
    with quiet():
        trainer = kind(
            model=base,
            ref_model=reference,
            args=settings,
            processing_class=tokenizer,
            train_dataset=training,
            eval_dataset=held,
            peft_config=adapter_config(base, parameters_of(run), settings.max_steps),
        )
    if settings.precompute_ref_log_probs:
        trainer.ref_model = None  # it has said all that it is asked
    return run.train(trainer)


def losses(part: PreferencePart) -> dict[str, Any]:
    """TRL's settings for the recipe's loss."""
    loss = part.loss or "sigmoid"
    own: dict[str, Any] = {"loss_type": [loss]}
    if part.supervised:
        own = {"loss_type": [loss, "sft"], "loss_weights": [1.0, part.supervised]}
    if loss == "robust":
        own["label_smoothing"] = part.label_smoothing or SMOOTHING
    return own


COLUMNS: Columns = {"prompt_ids": "ids", "chosen_ids": "ids", "rejected_ids": "ids"}


def as_row(row: Pair) -> dict[str, Any]:
    """A row as TRL's collator takes it."""
    return {"prompt_ids": row.chosen.prompt, "chosen_ids": row.chosen.answer, "rejected_ids": row.rejected.answer}
