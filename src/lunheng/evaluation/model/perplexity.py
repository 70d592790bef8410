"""Perplexity: how surprised a model is by a text, per token and per byte; by a sliding window.

Called by ``tasks`` and by ``forgetting``. Per token it compares models of one tokenizer only; per byte it compares any
(Gao et al. 2020, bits per byte). Each token is read after as much of what stands before it as the window gives, at
least ``window - stride`` tokens once there are that many.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import DataError
from lunheng.evaluation.model.asking import Progress, silent
from lunheng.evaluation.model.rows import read_rows, read_text
from lunheng.evaluation.model.scores import Metric
from lunheng.protocols import LikelihoodModel
from lunheng.types import content_id

DEFAULT_WINDOW = 1024
"""Tokens, at the most: a longer context costs more memory than it gains."""

_PROBE = "The quick brown fox, 3.14 and naïve 敏捷的棕色狐狸跳过了懒狗。 def f(x):\n    return x"
"""Two tokenizers that cut this alike are the same."""


def read_texts(path: Path) -> list[str]:
    """The documents: a plain text or Markdown file is one, a row of any other file has it in ``text``.

    Raises:
        DataError: there is none.
    """
    if path.suffix in (".txt", ".md"):
        text = read_text(path)
        if not text.strip():
            raise DataError(f"{path}: is empty; there is nothing to measure")
        return [text]
    return [row.text("text", "content") for row in read_rows(path)]


def windows(length: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """(begin, end, first): read the tokens from begin to end, and score those from first on. Each is scored once.

    Raises:
        DataError: a stride that is not between 1 and the window.
    """
    if not 0 < stride <= window:
        raise DataError(f"stride {stride}: must be between 1 and the window, which is {window}")
    scored = 0
    while scored < length:
        end = min(length, window if scored == 0 else scored + stride)
        yield max(0, end - window), end, scored
        scored = end


def text_log_probability(model: LikelihoodModel, text: str, window: int, stride: int) -> tuple[float, int]:
    """The natural log of the text's probability, and its tokens."""
    tokens = model.encode(text)
    spans = list(windows(len(tokens), window, stride))
    logs = model.token_log_probabilities([tokens[begin:end] for begin, end, _ in spans])
    total = sum(float(log[first - begin :].sum()) for log, (begin, _, first) in zip(logs, spans, strict=True))
    return total, len(tokens)


def measure_perplexity(
    model: LikelihoodModel,
    texts: Sequence[str],
    window: int | None = None,
    stride: int | None = None,
    progress: Progress = silent,
) -> tuple[Metric, Metric, Metric]:
    """Perplexity per token, per UTF-8 byte, and bits per byte.

    Args:
        window: tokens read at once; None: the model's, 1,024 at the most. One is left for the start token.
        stride: how far it moves; None: half of it.

    Raises:
        DataError: there is no text.
    """
    if not texts:
        raise DataError("perplexity: there is no text to measure")
    window = min(window or DEFAULT_WINDOW, model.window - 1)
    stride = stride or max(1, window // 2)
    rows: list[tuple[float, int, int]] = []
    for number, text in enumerate(texts, 1):
        rows.append((*text_log_probability(model, text, window, stride), len(text.encode())))
        progress(number, len(texts))
    table = np.array(rows, np.float64)
    items = tuple(range(len(rows)))
    tokenizer = content_id(*map(str, model.encode(_PROBE)))
    return (
        Metric("perplexity", table[:, [0, 1]], _perplexity, items, higher_is_better=False, unit=tokenizer),
        Metric("byte_perplexity", table[:, [0, 2]], _perplexity, items, higher_is_better=False),
        Metric("bits_per_byte", table[:, [0, 2]], _bits, items, higher_is_better=False),
    )


def _perplexity(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(-totals[..., 0] / totals[..., 1]))


def _bits(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-totals[..., 0] / totals[..., 1] / math.log(2))
