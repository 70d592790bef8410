"""A reward model that was trained, opened again: what is an answer to a prompt worth to it?

Called by the methods that learn from rewards (ppo, rloo, grpo) and by the tests. Prompt and answer are rendered here
as they were when it was trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.errors import DataError, ModelError
from lunheng.tuning.data.examples import Origin, Turn
from lunheng.tuning.rendering import render_answer
from lunheng.tuning.trained import find_trained, open_tokenizer, open_trained

BATCH = 8


@dataclass(frozen=True, slots=True)
class RewardModel:
    """A model that gives one number for a prompt and its answer."""

    model: Any
    tokenizer: Any
    window: int
    """Tokens that it can read."""

    def score(
        self,
        prompts: Sequence[Sequence[Turn]],
        answers: Sequence[str],
        tools: Sequence[Sequence[Mapping[str, Any]]] | None = None,
    ) -> list[float]:
        """What each of ``answers`` is worth as the assistant's next turn after the prompt at the same place.

        Args:
            tools: those of each prompt; None: none has any.

        The scale is the model's own: only differences between answers to one prompt mean something (Bradley-Terry).

        Raises:
            DataError: a prompt with its answer is longer than the model can read, or the template refuses it.
        """
        rows = [
            render_answer(self.tokenizer, Origin("prompt", number), prompt, [Turn("assistant", answer)], given)
            for number, (prompt, answer, given) in enumerate(
                zip(prompts, answers, tools or [()] * len(prompts), strict=True), start=1
            )
        ]
        return self.score_tokens([row.prompt + row.answer for row in rows])

    def score_tokens(self, rows: Sequence[Sequence[int]]) -> list[float]:
        """The same for what is rendered already.

        Raises:
            DataError: a row is empty or longer than the model can read.
        """
        import torch

        for number, row in enumerate(rows, start=1):
            if not 0 < len(row) <= self.window:
                raise DataError(
                    f"prompt {number} with its answer has {len(row):,} tokens, and the reward model reads "
                    f"{self.window:,}; shorten the prompts or the answers"
                )
        scores = [0.0] * len(rows)
        by_length = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(by_length), BATCH):
            places = by_length[start : start + BATCH]
            padded = self.tokenizer.pad(
                {"input_ids": [list(rows[i]) for i in places]}, padding_side="right", return_tensors="pt"
            ).to(self.model.device)
            with torch.no_grad():
                logits = self.model(**padded).logits.squeeze(-1).float()
            for place, value in zip(places, logits.tolist(), strict=True):
                scores[place] = value
        return scores


def open_reward_model(place: Path | str) -> RewardModel:
    """The reward model at ``place``: the folder of a run of ``lunheng tune reward``, or of its model.

    Raises:
        NotFoundError: there is no model.
        ModelError: it is a model of another kind.
    """
    found = find_trained(place)
    if not found.gives_scores:
        raise ModelError(f"{place}: is no reward model; train one with lunheng tune reward")
    model, tokenizer = open_trained(found, head="score"), open_tokenizer(found)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Where a text ends is told by its padding, so that the model must know it as the tokenizer does.
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return RewardModel(model, tokenizer, getattr(model.config.get_text_config(), "max_position_embeddings", 2**31))
