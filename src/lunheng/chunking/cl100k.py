"""OpenAI's cl100k tokens, for those who count and pay in them: ``chunking.tokenizer = "cl100k"``.

Called by ``make_chunker``. The vocabulary is inside the package bpe-openai (extra ``cl100k``); tiktoken would fetch it.
"""

from __future__ import annotations

from typing import Any

from lunheng.errors import MissingExtraError
from lunheng.protocols import Tokenizer


class Cl100kTokenizer:
    """Implements ``Tokenizer``."""

    def __init__(self) -> None:
        """Read the vocabulary.

        Raises:
            MissingExtraError: bpe-openai is not installed.
        """
        try:
            from bpe_openai import get_encoding
        except ImportError as error:
            raise MissingExtraError("bpe-openai", "cl100k") from error
        self._encoding: Any = get_encoding("cl100k_base")

    def count(self, text: str) -> int:
        """Tokens of ``text``; what looks like a special token is text."""
        return len(self._ids(text))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Offsets of each token; the several tokens of one character all begin at it."""
        _, starts = self._encoding.decode_with_offsets(self._ids(text))
        following = [*starts, len(text)][1:]
        return [(start, max(end, min(start + 1, len(text)))) for start, end in zip(starts, following, strict=True)]

    def _ids(self, text: str) -> list[int]:
        # A lone surrogate has no UTF-8: it counts as the question mark that stands for it.
        return list(self._encoding.encode_ordinary(text.encode("utf-8", "replace").decode()))


class WithinWindow:
    """Counts with one tokenizer what another's window still holds; beyond that, with whichever counts more."""

    def __init__(self, tokenizer: Tokenizer, model: Tokenizer, room: int) -> None:
        """``room``: tokens of ``model`` that no chunk may exceed, whatever ``tokenizer`` says."""
        self._tokenizer = tokenizer
        self._model = model
        self._room = room

    def count(self, text: str) -> int:
        """Over every cap as soon as the model's window is exceeded."""
        own, models = self._tokenizer.count(text), self._model.count(text)
        return own if models <= self._room else max(own, models)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """As the first tokenizer cuts."""
        return self._tokenizer.spans(text)
