"""Follow-up questions: condensed into standalone ones before anything is searched. Called by ``chat``."""

from __future__ import annotations

from collections.abc import Sequence

from lunheng.answering import prompts
from lunheng.answering.writer import question_language
from lunheng.protocols import LLM
from lunheng.types import Message


def condense(llm: LLM, history: Sequence[Message], question: str) -> str:
    """The standalone form of ``question``; itself where there is no history."""
    if not history:
        return question
    messages = prompts.condense_messages(history, question, question_language(question))
    lines = llm.generate(messages, max_tokens=96).text.strip().splitlines()
    rewritten = lines[0].strip('「」"“” ') if lines else ""
    # A model that answers or rambles is worse than the question as it stands.
    return rewritten if 0 < len(rewritten) <= 4 * len(question) + 80 else question
