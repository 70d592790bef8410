"""A recipe to the method that trains by it. Called by ``lunheng tune METHOD`` and from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lunheng.errors import ConfigError
from lunheng.tuning.recipes import Recipe
from lunheng.tuning.resuming import Resume
from lunheng.tuning.run import Trained

if TYPE_CHECKING:
    from lunheng.tuning.callbacks import Report


def train(recipe: Recipe, resume: Resume = False, report: Report | None = None) -> Trained:
    """Train as ``recipe`` says.

    Args:
        resume: go on from the last whole checkpoint in the recipe's output, or from one by its step.
        report: called with (step, steps, what is said of it) as it goes.

    Raises:
        ConfigError, DataError, ModelError, MissingExtraError: before anything is trained.
        TrainingError: while it trains.
    """
    match recipe.method:
        case "sft":
            from lunheng.tuning.llm.sft import sft

            return sft(recipe, resume, report)
        case "clm":
            from lunheng.tuning.llm.clm import clm

            return clm(recipe, resume, report)
        case "reward":
            from lunheng.tuning.llm.reward import reward

            return reward(recipe, resume, report)
        case "dpo":
            from lunheng.tuning.llm.dpo import dpo

            return dpo(recipe, resume, report)
        case "kto":
            from lunheng.tuning.llm.kto import kto

            return kto(recipe, resume, report)
        case "embed":
            from lunheng.tuning.encoders.embedder import embed

            return embed(recipe, resume, report).trained
        case "rerank":
            from lunheng.tuning.encoders.reranker import rerank

            return rerank(recipe, resume, report).trained
        case "grpo":
            from lunheng.tuning.llm.grpo import grpo

            return grpo(recipe, resume, report)
        case "rloo":
            from lunheng.tuning.llm.rloo import rloo

            return rloo(recipe, resume, report)
        case "ppo":
            from lunheng.tuning.llm.ppo import ppo

            return ppo(recipe, resume, report)
        case other:
            raise ConfigError(f"method: {other} is not built yet")
