"""Which of two answers is better, by a language model that is asked twice, with the answers' places swapped.

Called by preferences. A model that judges favours a place (Zheng et al. 2023, MT-Bench: GPT-4 changes its mind in a
third of the cases when the answers are swapped): only what it says both times counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

from lunheng.protocols import LLM
from lunheng.text.language import is_chinese
from lunheng.types import Message

Choice = Literal["A", "B", "tie"]
Compare = Callable[[str, str, str], Choice | None]
"""A question, answer A and answer B, to the better one; None: no verdict that can be read."""
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"better": {"type": "string", "enum": ["A", "B", "tie"]}},
    "required": ["better"],
}
_PROMPTS = {
    "zh": (
        "下面是一个问题和两个回答。哪一个更正确、更完整、更切题？长短和先后不算优劣。一样好就答 tie。只输出 JSON。\n\n"
        "问题：{question}\n\n回答 A：\n{one}\n\n回答 B：\n{other}"
    ),
    "en": (
        "Here is a question with two answers. Which one is more correct, complete and to the point? Length and order do not "
        "count. Say tie where they are equally good. Output JSON only.\n\n"
        "Question: {question}\n\nAnswer A:\n{one}\n\nAnswer B:\n{other}"
    ),
}


def model_compare(judge: LLM) -> Compare:
    """Asks ``judge`` once."""

    def compare(question: str, one: str, other: str) -> Choice | None:
        prompt = _PROMPTS["zh" if is_chinese(question) else "en"].format(question=question, one=one, other=other)
        reply = judge.generate([Message("user", prompt)], schema=_SCHEMA, max_tokens=32).text
        try:
            said = json.loads(reply)
        except json.JSONDecodeError:
            return None
        better = said.get("better") if isinstance(said, dict) else None
        return better if better in ("A", "B", "tie") else None

    return compare


def both_ways(compare: Compare, question: str, one: str, other: str) -> Choice | str:
    """``A`` (one), ``B`` (other), or why there is no winner."""
    first, second = compare(question, one, other), compare(question, other, one)
    if first is None or second is None:
        return "the judge gave no verdict that can be read"
    back: dict[Choice, Choice] = {"A": "B", "B": "A", "tie": "tie"}
    if first != back[second]:
        return "the judge changed its mind when the answers were swapped"
    return "the judge finds them equally good" if first == "tie" else first
