"""When an answer written by transformers ends: at a stop string, or where its JSON is whole.

Called by ``provider``, which hands both to ``generate`` of transformers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lunheng.errors import ModelError


class Cut:
    """A stopping criterion: gives the text piece by piece, nothing from a stop string on."""

    def __init__(
        self, decode: Callable[[list[int]], str], start: int, stop: Sequence[str], take: Callable[[str], bool]
    ) -> None:
        """Watch what is written after the first ``start`` tokens; ``take`` gets each piece and says whether to stop."""
        self._decode, self._start, self._stop, self._take = decode, start, [mark for mark in stop if mark], take
        self._given = 0
        self._text = ""
        self.stopped = False
        """Whether a stop string was met."""

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        """Called by transformers after each token."""
        import torch

        text = self._cut(self._decode(input_ids[0, self._start :].tolist()))
        left = self._give(text if self.stopped else text[: len(text) - self._held_back(text)])
        return torch.full((input_ids.shape[0],), self.stopped or left, dtype=torch.bool, device=input_ids.device)

    def finish(self, tokens: list[int]) -> str:
        """Give what was held back, and the whole text."""
        text = self._text if self.stopped else self._cut(self._decode(tokens))
        self._give(text)
        return text

    def _cut(self, text: str) -> str:
        found = [at for at in (text.find(mark) for mark in self._stop) if at >= 0]
        if found:
            self.stopped = True
            text = text[: min(found)]
        self._text = text
        return text

    def _held_back(self, text: str) -> int:
        """Characters at the end that may still change: half a character's bytes, or the beginning of a stop string."""
        if text.endswith("\ufffd"):
            return len(text) - len(text.rstrip("\ufffd"))
        return max(
            (n for mark in self._stop for n in range(1, len(mark)) if text.endswith(mark[:n])),
            default=0,
        )

    def _give(self, text: str) -> bool:
        piece, self._given = text[self._given :], max(self._given, len(text))
        return self._take(piece) if piece else False


def json_mask(tokenizer: Any, schema: Mapping[str, Any], start: int) -> Callable[[Any, Any], Any]:
    """A logits processor that lets only JSON through that fits ``schema``; it is written after ``start`` tokens.

    Args:
        tokenizer: of llguidance.

    Raises:
        ModelError: the schema uses what the grammar engine does not know.
    """
    from llguidance import LLMatcher

    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_json_schema(json.dumps(schema)))
    if matcher.is_error():
        raise ModelError(f"the JSON schema cannot be followed: {matcher.get_error()}")
    seen = start

    def mask(input_ids: Any, scores: Any) -> Any:
        import torch

        nonlocal seen
        for token in input_ids[0, seen:].tolist():
            matcher.consume_token(token)
        seen = input_ids.shape[1]
        bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)
        allowed = np.unpackbits(bits, bitorder="little")[: scores.shape[1]].astype(bool)
        return scores.masked_fill(~torch.from_numpy(allowed).to(scores.device), -torch.inf)

    return mask
