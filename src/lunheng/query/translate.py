"""The question in the other languages of the collection, so that its words can match there too.

Called by the strategies. An embedder that reads both languages still prefers passages in the question's own
script, and BM25 has nothing to say across languages; a short translation mends both.
"""

from __future__ import annotations

from collections.abc import Mapping

from lunheng.protocols import LLM
from lunheng.text.language import detect_language
from lunheng.types import Message

_LEAST_SHARE = 0.05
"""Share of the chunks that a language needs to be worth a translation."""
_EXAMPLES = {
    "en": (
        Message("system", "Translate each question into English. Output only the translation."),
        Message("user", "出差住酒店每晚最多报销多少钱？"),
        Message("assistant", "What is the maximum reimbursement for a hotel per night on a business trip?"),
    ),
    "zh": (
        Message("system", "把每个问题翻译成中文。只输出译文。"),
        Message("user", "What is the maximum reimbursement for a hotel per night on a business trip?"),
        Message("assistant", "出差住酒店每晚最多报销多少钱？"),
    ),
}
"""With an example a small model translates; told only in words, it answers."""


def other_languages(question: str, shares: Mapping[str, float]) -> list[str]:
    """Chinese and English, as far as the collection holds enough of them and the question is in another."""
    own = detect_language(question)
    return [name for name in _EXAMPLES if name != own and shares.get(name, 0.0) >= _LEAST_SHARE]


def translate(llm: LLM, question: str, language: str) -> str | None:
    """``question`` in ``language``; None where the model gave something else.

    Raises:
        ModelError: the model failed.
    """
    answer = llm.generate([*_EXAMPLES[language], Message("user", question)], max_tokens=96)
    lines = [line.strip() for line in answer.text.splitlines() if line.strip()]
    if not lines or detect_language(lines[0]) != language or len(lines[0]) > 6 * len(question) + 40:
        return None
    return lines[0]
