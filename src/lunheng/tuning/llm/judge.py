"""What a completion is worth to a run: its recipe's reward functions and reward model, weighed and added.

Called by ``grpo``, ``rloo`` and ``ppo`` while they train, and by ``policy`` when it measures. Nothing that fails becomes
a zero: it ends the run with the name of what failed.
"""

from __future__ import annotations

import json
import math
import numbers
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lunheng.errors import ConfigError, DataError, TrainingError
from lunheng.tuning.data.examples import Prompt, text_of
from lunheng.tuning.llm.rewards import RewardFunction, json_of, load_function
from lunheng.tuning.reinforcement_parts import RewardPart

Score = Callable[[Sequence[Prompt], Sequence[str]], list[float]]
"""Prompts and a completion of each to what each completion is worth."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the rewards that are added."""

    name: str
    weight: float
    score: Score


@dataclass(frozen=True, slots=True)
class Judge:
    """The rewards of a run."""

    parts: tuple[Part, ...]

    def scores(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> dict[str, list[float]]:
        """What each part gives each completion, unweighed.

        Raises:
            TrainingError: a part failed, or gave what is no number.
        """
        return {part.name: part.score(prompts, completions) for part in self.parts}

    def total(self, scores: dict[str, list[float]]) -> list[float]:
        """The weighed sums of ``scores``."""
        return [
            sum(part.weight * value for part, value in zip(self.parts, row, strict=True))
            for row in zip(*(scores[part.name] for part in self.parts), strict=True)
        ]


def make_judge(part: RewardPart) -> Judge:
    """The judge that a recipe asks for.

    Raises:
        ConfigError: a function or the reward model cannot be loaded.
    """
    weights = part.weights or (1.0,) * (len(part.functions) + (part.model is not None))
    made: list[Part] = []
    for name, weight in zip(part.functions, weights, strict=False):
        function = json_of(_schema(part)) if name == "valid_json" and part.schema else load_function(name)
        made.append(Part(name.rpartition(":")[2], weight, _each(name, function)))
    if part.model is not None:
        made.append(Part("reward_model", weights[-1], _by_model(part.model)))
    return Judge(tuple(made))


def _schema(part: RewardPart) -> dict[str, object]:
    assert part.schema is not None
    try:
        schema = json.loads(part.schema.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"reward.schema: {part.schema} cannot be read as JSON ({error})") from error
    if not isinstance(schema, dict):
        raise ConfigError(f"reward.schema: {part.schema} holds no JSON object")
    return schema


def _by_model(folder: str) -> Score:
    import torch

    from lunheng.tuning.llm.scoring import open_reward_model

    model = open_reward_model(folder)
    if torch.cuda.is_available():
        model.model.to(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")

    def score(prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        return model.score([p.turns for p in prompts], completions, [p.tools for p in prompts])

    return score


def _each(name: str, function: RewardFunction) -> Score:
    """``function`` over many, its failures named."""

    def score(prompts: Sequence[Prompt], completions: Sequence[str]) -> list[float]:
        return [
            _one(name, function, prompt, completion) for prompt, completion in zip(prompts, completions, strict=True)
        ]

    return score


def _one(name: str, function: RewardFunction, prompt: Prompt, completion: str) -> float:
    said = f"{completion[:80]!r}{'...' if len(completion) > 80 else ''}"
    try:
        value: Any = function(text_of(prompt), completion, prompt.answer)
    except Exception as error:  # whatever the user's function raises
        raise TrainingError(
            f"the reward {name} failed on {prompt.origin}, completion {said}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise TrainingError(
            f"the reward {name} gave {value!r} for {prompt.origin}, completion {said}; it must be a number"
        )
    return float(value)


def check_answers(part: RewardPart, prompts: Sequence[Prompt]) -> None:
    """Refuse data without reference answers where the rewards stand on them.

    Raises:
        DataError: names the first prompt without one.
    """
    if "exact_answer" not in part.functions:
        return
    without = next((prompt for prompt in prompts if not prompt.answer.strip()), None)
    if without is not None:
        raise DataError(f"{without.origin}: exact_answer needs a reference answer; add answer, or another reward")
