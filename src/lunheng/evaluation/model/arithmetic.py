"""Word problems with a number as the answer, in GSM8K's form (Cobbe et al. 2021): ``... #### 42``.

Called by ``tasks``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from lunheng.errors import DataError
from lunheng.evaluation.model.asking import Progress, answers, silent
from lunheng.evaluation.model.rows import Row
from lunheng.evaluation.model.scores import Metric, given, mean
from lunheng.protocols import LLM
from lunheng.text import detect_language, simplify
from lunheng.types import Message

_NUMBER = re.compile(r"(?<![A-Za-z0-9_.])[-−]?\s?\$?\s?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_MARK = "####"
_ASK = {
    "zh": "请一步一步地计算，最后一行只写“#### ”和得数。",
    "en": 'Work it out step by step. End with a line that holds "#### " and the number alone.',
}


def final_number(text: str, *, marked: bool = False) -> Decimal | None:
    """The number that stands after the last ``####``; without that mark the last number, unless it must be ``marked``."""
    plain = simplify(text)
    _, mark, after = plain.rpartition(_MARK)
    if mark:
        found = _NUMBER.search(after)
        return _decimal(found.group()) if found else None
    numbers = [] if marked else _NUMBER.findall(plain)
    return _decimal(numbers[-1]) if numbers else None


def measure_arithmetic(
    model: LLM, rows: Sequence[Row], max_tokens: int, progress: Progress = silent
) -> tuple[tuple[Metric, ...], list[dict[str, Any]]]:
    """``accuracy`` takes the last number of an answer, ``accuracy_marked`` only one after ``####``. And each item.

    Raises:
        DataError: a row has no question, or no number in its answer.
        ModelError: the model cannot be asked.
    """
    questions = [row.text("question", "prompt", "instruction") for row in rows]
    right: list[Decimal] = []
    for row in rows:
        number = final_number(row.references()[0])
        if number is None:
            raise DataError(f"{row.where}: the answer holds no number; GSM8K's form ends with #### 42")
        right.append(number)
    asked = [(Message("user", f"{q}\n\n{_ASK['zh' if detect_language(q) == 'zh' else 'en']}"),) for q in questions]
    texts = answers(model, asked, max_tokens, progress)
    loose = [final_number(text) == wanted for text, wanted in zip(texts, right, strict=True)]
    strict = [final_number(text, marked=True) == wanted for text, wanted in zip(texts, right, strict=True)]
    records = [
        {"question": questions[n], "answer": texts[n], "right": str(right[n]), "correct": loose[n]}
        for n in range(len(rows))
    ]
    return given(mean("accuracy", loose), mean("accuracy_marked", strict)), records


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(re.sub(r"[,$\s]", "", text).replace("−", "-")).normalize()
    except InvalidOperation:
        return None
