"""The parts of a recipe that only reinforcement learning has: what is rewarded, and how ppo learns from it.

Called by ``recipes``, of which it is a part.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

if TYPE_CHECKING:
    from lunheng.tuning.recipes import Recipe

_STRICT = ConfigDict(extra="forbid")


WRITTEN_AT_A_TIME = 32
"""Completions that are generated together: without gradients a batch costs little memory, and the memory estimate
counts it."""


@dataclass(frozen=True, config=_STRICT)
class RewardPart:
    """Of ppo, rloo and grpo."""

    functions: tuple[str, ...] = ()
    """Verifiable rewards: exact_answer, cites_source, valid_json, same_language, or package.module:function."""
    model: str | None = None
    """A reward model's folder."""
    weights: tuple[float, ...] = ()
    """One for each function, then one for the model; none: all 1."""
    schema: Path | None = None
    """A JSON Schema's file, for valid_json."""
    samples: Annotated[int, Field(ge=1)] = 4
    """Completions a prompt; they count in ``training.batch``."""
    completion_tokens: Annotated[int, Field(ge=1)] = 128
    """Tokens of a completion at the most; with its prompt it must fit ``data.window``."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    kl: Annotated[float, Field(ge=0)] = 0.05
    """What straying from the reference (the model as it was) costs."""

    def within(self, folder: Path) -> RewardPart:
        """The same with its paths relative to ``folder``."""
        return dataclasses.replace(
            self,
            schema=folder / self.schema if self.schema else None,
            model=str(folder / self.model) if self.model else None,
        )


@dataclass(frozen=True, config=_STRICT)
class ProximalPart:
    """Of ppo (Schulman et al. 2017; the defaults are those of Ouyang et al. 2022 and Huang et al. 2024)."""

    epochs: Annotated[int, Field(ge=1)] = 4
    """Times that each batch of completions is learnt from."""
    minibatches: Annotated[int, Field(ge=1)] = 1
    """Optimiser steps in each of these; ``training.batch`` times as many completions are written at a time."""
    clip: Annotated[float, Field(gt=0)] = 0.2
    """How far a token's probability may move, as a share, before it is learnt from no more."""
    value_clip: Annotated[float, Field(gt=0)] | None = 0.2
    """How far a value may move in the same sense; None: as far as it likes."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The discount of later rewards, a token."""
    gae_lambda: Annotated[float, Field(ge=0, le=1)] = 0.95
    """Of generalised advantage estimation: 0 trusts the values, 1 the rewards."""
    value_learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Of the value head, which begins from nothing."""
    missing_end_penalty: Annotated[float, Field(ge=0)] = 1.0
    """Taken from the reward of a completion that does not end by itself."""
    whiten_rewards: bool = False
    """Divide the rewards of a batch by their standard deviation."""
    kl_target: Annotated[float, Field(gt=0)] | None = None
    """Steer ``reward.kl`` so that a completion strays by so many nats (Ziegler et al. 2019); None: it stays."""
    kl_horizon: Annotated[int, Field(ge=1)] = 10_000
    """Completions over which it is steered."""


def check_reward(recipe: Recipe, reward: RewardPart | None) -> None:
    """Refuse what does not go together.

    Raises:
        ValueError: names the key.
    """
    if reward is None or not (reward.functions or reward.model):
        raise ValueError(
            f"{recipe.method} needs a reward: [reward] functions = [...], or model = the folder of a reward model, "
            "trained with the method reward"
        )
    parts = len(reward.functions) + (reward.model is not None)
    if reward.weights and len(reward.weights) != parts:
        raise ValueError(f"reward.weights: {len(reward.weights)} weights for {parts} rewards; give one for each")
    if reward.schema and "valid_json" not in reward.functions:
        raise ValueError("reward.schema: only valid_json reads it; add it to reward.functions")
    if recipe.training.batch % reward.samples:
        raise ValueError(
            f"training.batch: {recipe.training.batch} completions a step are no multiple of reward.samples, "
            f"{reward.samples} a prompt"
        )
    if recipe.method != "ppo" and reward.samples < 2:
        raise ValueError(f"reward.samples: {recipe.method} compares the completions of one prompt; take 2 or more")
    if recipe.method == "ppo" and recipe.parallel.world > 1:
        raise ValueError("parallel.devices: ppo runs in one process; take rloo or grpo, which run on many devices")
    if recipe.parameters.dropout:
        raise ValueError(
            f"parameters.dropout: {recipe.method} compares probabilities before and after a step, and dropout would be "
            "noise in both; set it to 0"
        )
    if recipe.data.too_long == "truncate":
        raise ValueError('data.too_long: a prompt that is cut asks something else; take "drop" or "refuse"')
