"""BIG-bench hard (Suzgun et al. 2022): a json file a task, ``{"examples": [{"input": ..., "target": ...}]}``.

Called by ``tasks``. Exact match of the answer that the text comes to, by task.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lunheng.evaluation.model.asking import Progress, answers, silent
from lunheng.evaluation.model.overlap import units
from lunheng.evaluation.model.rows import Row
from lunheng.evaluation.model.scores import Metric, given, mean
from lunheng.protocols import LLM
from lunheng.text import detect_language
from lunheng.types import Message

_COMES_TO = re.compile(r"(?:answer is|答案[是为]|答案[:：]|answer:)[:：]?\s*(.+)", re.IGNORECASE)
_LETTER = re.compile(r"^[(（]?([A-Z])[)）.、．:：]")
_ASK = {
    "zh": "请一步一步地思考，最后一行写“答案是”和答案本身。",
    "en": 'Think step by step. End with a line that says "The answer is" and the answer alone.',
}


def final_answer(text: str) -> str:
    """What stands after the last "the answer is"; where it does not say so, the last line."""
    found = _COMES_TO.findall(text)
    if found:
        return str(found[-1]).strip().strip('*"“”')
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def is_right(text: str, target: str) -> bool:
    """Whether an answer comes to ``target``; of a lettered choice, (A), the letter is enough."""
    answer = final_answer(text)
    wanted = _LETTER.match(target.strip())
    if wanted and len(target.strip()) <= 3:
        given_letter = _LETTER.match(answer) or re.match(r"^([A-Z])\s*[。.]?$", answer)
        return bool(given_letter) and given_letter is not None and given_letter.group(1) == wanted.group(1)
    # Brackets are the answer in some tasks (dyck languages), and punctuation does not count in units.
    return units(answer) == units(target) if units(target) else "".join(answer.split()) == "".join(target.split())


def measure_big_bench_hard(
    model: LLM, rows: Sequence[Row], max_tokens: int, progress: Progress = silent
) -> tuple[tuple[Metric, ...], list[dict[str, Any]]]:
    """Exact match, and each item.

    Raises:
        DataError: a row has no input or no target.
        ModelError: the model cannot be asked.
    """
    inputs = [row.text("input", "question", "prompt") for row in rows]
    targets = [row.text("target", "answer") for row in rows]
    asked = [(Message("user", f"{q}\n\n{_ASK['zh' if detect_language(q) == 'zh' else 'en']}"),) for q in inputs]
    texts = answers(model, asked, max_tokens, progress)
    right = [is_right(text, target) for text, target in zip(texts, targets, strict=True)]
    records = [
        {"question": inputs[n], "answer": texts[n], "right": targets[n], "correct": right[n]} for n in range(len(rows))
    ]
    return given(mean("exact_match", right)), records
