"""Reinforcement learning from a reward model, or from reward functions, by proximal policy optimisation.

Called by ``methods``. The way of Ouyang et al. 2022: policy, value head, reward, and a penalty for straying from the
model as it was; the loop is ``ppo_trainer``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lunheng.tuning.arguments import arguments
from lunheng.tuning.llm.policy import make_task, measure_greedily
from lunheng.tuning.modes import trainable
from lunheng.tuning.recipes import Recipe
from lunheng.tuning.reinforcement_parts import ProximalPart
from lunheng.tuning.resuming import Resume
from lunheng.tuning.run import Trained, begin

if TYPE_CHECKING:
    from lunheng.tuning.callbacks import Report


def ppo(recipe: Recipe, resume: Resume = False, report: Report | None = None) -> Trained:
    """Train on prompts, by their rewards; see ``methods.train``."""
    run = begin(recipe, resume, report)
    from transformers import TrainingArguments

    from lunheng.tuning.llm.ppo_trainer import ProximalTrainer

    part = recipe.ppo or ProximalPart()
    tokenizer = run.tokenizer()
    task = make_task(run, tokenizer)
    run.settle()
    recipe = run.recipe
    settings = arguments(
        recipe,
        TrainingArguments,
        len(task.prompts) * task.reward.samples * part.epochs,
        held=bool(task.held),
        best="eval_reward",
        greater=True,
        remove_unused_columns=False,
        include_num_input_tokens_seen="no",  # the trainer counts them, completions included
    )
    model = trainable(run, tokenizer, settings.max_steps)
    trainer = ProximalTrainer(model, settings, tokenizer, task, part)
    measure_greedily(trainer, tokenizer, task)
    return run.train(trainer, bounded=False)
