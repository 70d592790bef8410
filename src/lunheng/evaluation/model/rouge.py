"""ROUGE-L (Lin 2004): the longest common run of words between an answer and a reference, as an F-measure.

Called by ``answering``. Google's ``rouge-score`` does the counting, over the platform's own words: its own tokenizer
drops everything that is not ASCII, so that any Chinese answer would score 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from lunheng.errors import MissingExtraError
from lunheng.text import words


class _Words:
    def tokenize(self, text: str) -> list[str]:
        """Called by rouge-score."""
        return words(text)


@cache
def _scorer() -> Any:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise MissingExtraError("rouge-score", "eval") from error
    return RougeScorer(["rougeL"], tokenizer=_Words())


def rouge_l(answer: str, references: Sequence[str]) -> float:
    """The best F-measure over the references, in [0, 1].

    Raises:
        MissingExtraError: the extra ``eval`` is not installed.
    """
    return max(float(_scorer().score(reference, answer)["rougeL"].fmeasure) for reference in references)
