"""A reward model: which of two answers is better, as a difference of scores (Bradley-Terry). Called by ``methods``.

The base gets a new scoring head, which is trained whole in every mode and saved with the adapter. ``scoring`` opens
the result.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lunheng.tuning.arguments import arguments
from lunheng.tuning.data.examples import Preference
from lunheng.tuning.modes import trainable
from lunheng.tuning.on_disk import Columns
from lunheng.tuning.preflight import Pair, prepare_pairs
from lunheng.tuning.recipes import PreferencePart, Recipe
from lunheng.tuning.resuming import Resume
from lunheng.tuning.run import Trained, begin

if TYPE_CHECKING:
    from lunheng.tuning.callbacks import Report


def reward(recipe: Recipe, resume: Resume = False, report: Report | None = None) -> Trained:
    """Train a reward model on pairs; see ``methods.train``."""
    run = begin(recipe, resume, report)
    import trl

    from lunheng.tuning.llm.trainers import RewardTrainer, quiet

    tokenizer = run.tokenizer()
    graded = any(isinstance(e, Preference) and e.margin is not None for e in (*run.training, *run.held))
    columns: Columns = {"chosen_ids": "ids", "rejected_ids": "ids"}
    if graded:
        columns = {**columns, "margin": "number"}
    with run.rows(tokenizer, prepare_pairs, columns, partial(as_row, graded=graded)) as (training, held):
        recipe = run.recipe
        settings = arguments(
            recipe,
            trl.RewardConfig,
            len(training),
            held=held is not None,
            max_length=None,
            disable_dropout=not recipe.parameters.dropout,
            center_rewards_coefficient=(recipe.preference or PreferencePart()).center or None,
        )
        model = trainable(run, tokenizer, settings.max_steps, head="score")
        with quiet():
            trainer = RewardTrainer(
                model=model,
                args=settings,
                processing_class=tokenizer,
                train_dataset=training,
                eval_dataset=held,
            )
        return run.train(trainer)


def as_row(row: Pair, graded: bool) -> dict[str, Any]:
    """A row as TRL takes it when it is tokenised already; a pair without a margin is better by 0 at the least."""
    sides = (("chosen", row.chosen), ("rejected", row.rejected))
    columns: dict[str, Any] = {f"{side}_ids": [*answer.prompt, *answer.answer] for side, answer in sides}
    return {**columns, "margin": row.margin or 0.0} if graded else columns
