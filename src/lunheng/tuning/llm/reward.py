"""A reward model: which of two answers is better, as a difference of scores (Bradley-Terry). Called by ``methods``.

The base gets a new scoring head, which is trained whole in every mode and saved with the adapter. ``scoring`` opens
the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lunheng.tuning.arguments import arguments
from lunheng.tuning.modes import trainable
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
    training, held = run.rows(tokenizer, prepare_pairs)
    recipe = run.recipe
    graded = any(row.margin is not None for row in (*training, *held))
    settings = arguments(
        recipe,
        trl.RewardConfig,
        len(training),
        held=bool(held),
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
            train_dataset=dataset(training, graded),
            eval_dataset=dataset(held, graded) if held else None,
        )
    return run.train(trainer)


def dataset(rows: Sequence[Pair], graded: bool) -> Any:
    """Rows as TRL takes them when they are tokenised already; a pair without a margin is better by 0 at the least."""
    from datasets import Dataset

    made = []
    for row in rows:
        columns: dict[str, Any] = {
            f"{side}_ids": [*answer.prompt, *answer.answer]
            for side, answer in (("chosen", row.chosen), ("rejected", row.rejected))
        }
        made.append({**columns, "margin": row.margin or 0.0} if graded else columns)
    return Dataset.from_list(made)
