"""How likely a GGUF model finds a text: the probabilities of the next token, asked of llama.cpp once for each token.

Called by ``llamacpp``. llama.cpp gives them for what it writes and not for what it reads, so every token costs a
request (the state of what stands before it is kept): right for multiple choice, slow for the perplexity of long texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import ModelError
from lunheng.models.llms.continuation import joined_tokens
from lunheng.types import Likelihood

Ask = Callable[[Sequence[int], int], dict[int, float]]
"""Tokens, and how many are wanted, to the log-probabilities of the likeliest next ones."""
_LIKELIEST = 1_000
"""How many tokens are asked for at first; a rarer one costs the list of all."""
_ALL = 1_000_000


class NextTokens:
    """What llama.cpp expects after each beginning; remembered while this object lives."""

    def __init__(self, ask: Ask, start: int, window: int, name: str) -> None:
        self._ask, self._start, self._window, self._name = ask, start, window, name
        self._known: dict[tuple[int, ...], dict[int, float]] = {}

    def log_likelihood(self, encode: Callable[[str], list[int]], prompt: str, continuation: str) -> Likelihood:
        """Of the continuation after the prompt.

        Raises:
            ModelError: the continuation is empty, or fills the window by itself.
        """
        tokens, count = joined_tokens(encode, self._start, self._window - 1, prompt, continuation)
        places = range(len(tokens) - count, len(tokens))
        logs = [self._log(tokens[:at], tokens[at]) for at in places]
        greedy = all(self._best(tokens[:at]) == tokens[at] for at in places)
        return Likelihood(float(sum(logs)), count, greedy)

    def log_probabilities(self, sequence: Sequence[int]) -> NDArray[np.float64]:
        """Of each token after those before it, the first after the start token.

        Raises:
            ModelError: there are as many tokens as the window, or more.
        """
        if len(sequence) >= self._window:
            raise ModelError(f"{self._name}: a text has {len(sequence)} tokens and the window is {self._window}")
        tokens = [self._start, *sequence]
        return np.array([self._log(tokens[:at], tokens[at]) for at in range(1, len(tokens))], np.float64)

    def _log(self, before: Sequence[int], token: int) -> float:
        if token not in (found := self._after(before, _LIKELIEST)):
            found = self._after(before, _ALL)
        if token not in found:
            raise ModelError(f"{self._name}: llama.cpp gives no probability for the token {token}")
        return found[token]

    def _best(self, before: Sequence[int]) -> int:
        found = self._after(before, _LIKELIEST)
        return max(found, key=lambda token: found[token])

    def _after(self, before: Sequence[int], count: int) -> dict[int, float]:
        key = tuple(before)
        if len(self._known.get(key, ())) < min(count, _LIKELIEST) or count == _ALL:
            self._known[key] = self._ask(before, count)
        return self._known[key]
