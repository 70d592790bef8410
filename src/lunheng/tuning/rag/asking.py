"""Questions of a chunk by a language model: JSON that fits a schema, and each pair checked before it counts.

Called by qa. The model is asked in the chunk's language. What it gives is data, not truth: a question that points at
"the passage above", that is in another language, or whose answer the chunk does not hold, is rejected with its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lunheng.protocols import LLM
from lunheng.text.language import detect_language
from lunheng.text.segmentation import terms
from lunheng.tuning.rag.answers import holds_answer
from lunheng.tuning.rag.journal import Rejected
from lunheng.tuning.rag.templates import Draft
from lunheng.types import Chunk, Message

LONGEST = 300
"""Characters of a question."""
HELD = 0.6
"""Share of an answer's own words that the chunk must hold: a model words things its own way."""
_TOKENS_A_PAIR = 160
_SYSTEM = {
    "zh": (
        "你为一个知识库编写问答。读下面的资料，写 {count} 个不同的问题，每个问题都能只凭这份资料回答，并给出完整的一句答案。"
        "问题要像读者自己会问的那样，单独看也能明白：写出所问事物的名称，不要说“资料中”“上文”“该公司”。"
        "数字、日期和名称照抄资料。只输出 JSON。"
    ),
    "en": (
        "You write questions and answers for a knowledge base. Read the source and write {count} different questions that "
        "this source alone answers, each with its answer as one complete sentence. A question is what a reader would ask, "
        "and is clear by itself: name what it is about, and do not say “the passage”, “the text” or “above”. Copy numbers, "
        "dates and names from the source. Output JSON only."
    ),
}
_SOURCE = {"zh": "资料", "en": "Source"}
_POINTS = re.compile(
    r"(?:根据|依据|按照|在)?(?:上述|以上|上文|下文|本文|文中|这段|该段|资料(?:中|里|提到)|材料(?:中|里)|文本)"
    r"|\b(?:the|this|that)\s+(?:passage|text|source|excerpt|paragraph|above|given (?:text|passage|source))\b|\baccording to the (?:passage|text|source)",
    re.I,
)


def schema(count: int) -> dict[str, Any]:
    """The JSON Schema of ``count`` pairs at the most."""
    pair = {
        "type": "object",
        "properties": {"question": {"type": "string"}, "answer": {"type": "string"}},
        "required": ["question", "answer"],
    }
    pairs = {"type": "array", "items": pair, "minItems": 1, "maxItems": count}
    return {"type": "object", "properties": {"pairs": pairs}, "required": ["pairs"]}


def messages(chunk: Chunk, count: int) -> list[Message]:
    """What the model is asked, in the chunk's language."""
    language = _language(chunk)
    title = chunk.metadata.title
    shown = chunk.full_text if not title or title in chunk.full_text else f"{title}\n{chunk.full_text}"
    return [
        Message("system", _SYSTEM[language].format(count=count)),
        Message("user", f"{_SOURCE[language]}:\n{shown}"),
    ]


def ask_model(llm: LLM, chunk: Chunk, count: int) -> tuple[list[Draft], list[Rejected]]:
    """(pairs that hold, what was rejected) of one call.

    Raises:
        ModelError: the model failed; nothing is noted of the chunk then.
    """
    reply = llm.generate(messages(chunk, count), schema=schema(count), max_tokens=count * _TOKENS_A_PAIR)
    pairs = _pairs(reply.text)
    if pairs is None:
        return [], [Rejected("the model's reply is not the JSON asked for", {"reply": reply.text[:500]})]
    good: list[Draft] = []
    bad: list[Rejected] = []
    for pair in pairs[:count]:
        draft = Draft(" ".join(pair["question"].split()), " ".join(pair["answer"].split()), "llm")
        reason = wrong_with(draft, chunk)
        if reason is None:
            good.append(draft)
        else:
            bad.append(Rejected(reason, {"question": draft.question, "answer": draft.answer}))
    return good, bad


def wrong_with(draft: Draft, chunk: Chunk) -> str | None:
    """Why a pair that a model wrote is of no use; None where it is."""
    if not draft.question or not draft.answer:
        return "an empty question or answer"
    if len(draft.question) > LONGEST:
        return "a question too long"
    if _POINTS.search(draft.question):
        return "the question points at its passage"
    if detect_language(draft.question) not in (_language(chunk), "und"):
        return "not in the passage's language"
    if not set(terms(draft.answer, for_query=True)) - set(terms(draft.question)):
        return "the answer says nothing that the question does not"
    if not holds_answer(chunk.full_text, draft.answer, draft.question, HELD):
        return "the passage does not hold the answer"
    return None


def _language(chunk: Chunk) -> str:
    return "zh" if chunk.metadata.language == "zh" else "en"


def _pairs(text: str) -> list[Mapping[str, str]] | None:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return None
    pairs = found.get("pairs") if isinstance(found, dict) else None
    if not isinstance(pairs, list) or not pairs:
        return None
    texts: list[Mapping[str, str]] = [
        p for p in pairs if isinstance(p, dict) and all(isinstance(p.get(k), str) for k in ("question", "answer"))
    ]
    return texts or None
