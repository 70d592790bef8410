"""Follow-up questions: condensed into standalone ones before anything is searched. Called by ``chat``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lunheng.answering import facts, prompts
from lunheng.answering.writer import question_language
from lunheng.protocols import LLM
from lunheng.text.normalise import normalise
from lunheng.types import Message

_ASKS = re.compile(
    r"[?？吗呢]|什么|多少|几|哪|谁|怎|如何|为何|是否|多[久长大远]"
    r"|^\W*(?:what|which|who|whose|whom|when|where|why|how|is|are|was|were|do|does|did|can|could|may|must|should|will|has|have)\b",
    re.I,
)
"""What makes a sentence a question, in both languages."""


def condense(llm: LLM, history: Sequence[Message], question: str) -> str:
    """The standalone form of ``question``; itself where there is no history."""
    if not history:
        return question
    messages = prompts.condense_messages(history, question, question_language(question))
    lines = llm.generate(messages, max_tokens=96).text.strip().splitlines()
    rewritten = lines[0].strip('「」"“” ') if lines else ""
    # A model that rambles is worse than the question as it stands.
    if not 0 < len(rewritten) <= 4 * len(question) + 80:
        return question
    if _invents(rewritten, " ".join([*(m.content for m in history), question])):
        before = next((m.content for m in reversed(history) if m.role == "user"), "")
        return f"{before} {question}".strip()
    return rewritten


def _invents(rewritten: str, conversation: str) -> bool:
    """Whether a rewritten question answers itself: it is a statement, or holds a number or name nobody mentioned."""
    said, known = facts.extract(rewritten), facts.extract(conversation)
    values = {q.value for q in said.quantities} - {q.value for q in known.quantities}
    statement = "?" in conversation.replace("？", "?") and not _ASKS.search(rewritten)
    return bool(statement or values or {n for n in said.names if normalise(n) not in normalise(conversation)})
