"""How many tokens any stretch of a document has, after cutting its text into tokens once.

Called by every chunker. Text is tokenised in pieces of bounded length (a tokenizer's memory grows
with its input), and the starts of the tokens are kept in one sorted array: counting a stretch is
then two binary searches. A stretch tokenised by itself may come out a token or two different, so
chunks are counted exactly once they are cut; see ``assembly``. A text that is never cut, as most short
ones, is only counted, once.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lunheng.protocols import Tokenizer

PIECE = 20_000
"""Characters tokenised at a time."""


class TokenMap:
    """Token positions in one text."""

    def __init__(self, text: str, tokenizer: Tokenizer) -> None:
        self.text = text
        self.tokenizer = tokenizer

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return _token_starts(self.text, self.tokenizer)

    @cached_property
    def whole(self) -> int:
        """Tokens of the text, counted as a model will count it."""
        return self.tokenizer.count(self.text)

    def count(self, start: int, end: int) -> int:
        """Tokens that begin in ``text[start:end]``."""
        if (start, end) == (0, len(self.text)) and end <= PIECE:
            return self.whole
        first, last = np.searchsorted(self._starts, (start, end))
        return int(last - first)

    def end_after(self, start: int, tokens: int) -> int:
        """Where the stretch of ``tokens`` tokens from ``start`` on ends."""
        first = int(np.searchsorted(self._starts, start))
        last = first + max(tokens, 1)
        return int(self._starts[last]) if last < len(self._starts) else len(self.text)

    def start_before(self, end: int, tokens: int) -> int:
        """Where the stretch of ``tokens`` tokens up to ``end`` begins."""
        last = int(np.searchsorted(self._starts, end))
        return int(self._starts[last - tokens]) if last > tokens else 0


def _token_starts(text: str, tokenizer: Tokenizer) -> NDArray[np.int64]:
    parts: list[NDArray[np.int64]] = []
    start = 0
    while start < len(text):
        end = _piece_end(text, start)
        spans = tokenizer.spans(text[start:end])
        parts.append(np.fromiter((s for s, _ in spans), dtype=np.int64, count=len(spans)) + start)
        start = end
    # A byte-level tokenizer gives several tokens to one character: their starts are equal, and sorted.
    return np.maximum.accumulate(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)


def _piece_end(text: str, start: int) -> int:
    """The end of the piece from ``start``: at a line or word end, where there is one near the limit."""
    limit = start + PIECE
    if limit >= len(text):
        return len(text)
    for mark in ("\n", " "):
        cut = text.rfind(mark, start + PIECE // 2, limit)
        if cut > 0:
            return cut + 1
    return limit
