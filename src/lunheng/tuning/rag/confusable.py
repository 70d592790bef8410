"""Negatives that a language model writes: passages like the positive, and wrong in what was asked.

Called by ``lunheng tune data negatives --generate``, for sets that are too small to mine in. What the model gives counts only
where it is neither the positive nor nearly, nor another that it gave, does not hold the answer, and speaks of the same
thing in the same language.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lunheng.answering.passages import overlap
from lunheng.protocols import LLM
from lunheng.text.language import detect_language, is_chinese
from lunheng.tuning.data.similarity import key_of
from lunheng.tuning.rag.answers import holds_any
from lunheng.tuning.rag.false_negatives import ANSWERS, COPY, REPEATS, Wanted, near_copies
from lunheng.tuning.rag.journal import Journal, Outcome, Rejected, Written, in_seeded_order
from lunheng.types import Message

OFF_TOPIC = "speaks of something else"
RELATED = 0.3
"""Share of the query's words, or of the positive's, that a confusable passage has in common with it."""
_PROMPTS = {
    "zh": (
        "给定一个问题和回答它的正确文档。请写 {count} 个“容易混淆但错误”的文档：主题相关，关键词和表述相似，长度相近，"
        "但不能回答这个问题——说的是另一种情况、另一个对象，或关键细节不同。不要重复正确文档中的答案。只输出 JSON。\n\n"
        "问题：{query}\n\n正确文档：\n{positive}"
    ),
    "en": (
        "Here is a question and the document that answers it. Write {count} documents that are easy to confuse with it and "
        "wrong: on the same subject, with similar words and of similar length, but they do not answer the question, "
        "because they speak of another case or another thing, or differ in the decisive detail. Do not repeat the "
        "answer of the right document. Output JSON only.\n\nQuestion: {query}\n\nRight document:\n{positive}"
    ),
}


def schema(count: int) -> dict[str, Any]:
    """The JSON Schema of ``count`` passages at the most."""
    listed = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": count}
    return {"type": "object", "properties": {"negatives": listed}, "required": ["negatives"]}


def write_negatives(
    wanted: Sequence[Wanted],
    llm: LLM,
    output: Path,
    count: int = 3,
    seed: int = 0,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Have ``llm`` write up to ``count`` negatives of each query into ``output``; goes on where it stopped.

    Raises:
        DataError: the output was begun with other settings.
        ModelError: the model failed; what was made until then is kept.
    """
    by_id = {w.id: w for w in wanted}
    chosen = in_seeded_order(by_id, seed)[:limit]
    depends_on = {"what": "written negatives", "count": count, "seed": seed, "made_by": llm.fingerprint}
    with Journal(output, depends_on, still_there=lambda item: item in by_id) as journal:
        for done, item in enumerate(chosen, start=1):
            if item not in journal.done:
                journal.add(item, _of_query(by_id[item], llm, count))
            if progress is not None:
                progress(done, len(chosen))
    return journal.written()


def _of_query(one: Wanted, llm: LLM, count: int) -> Outcome:
    language = "zh" if is_chinese(one.positives[0]) else "en"
    prompt = _PROMPTS[language].format(count=count, query=one.query, positive=one.positives[0])
    tokens = min(count * (llm.count(one.positives[0]) + 40), max(llm.window - llm.count(prompt) - 64, 64))
    reply = llm.generate([Message("user", prompt)], schema=schema(count), max_tokens=tokens)
    about = {"id": one.id, "query": one.query}
    texts = _texts(reply.text)
    if texts is None:
        return Outcome(
            rejected=[Rejected("the model's reply is not the JSON asked for", {**about, "reply": reply.text[:500]})]
        )
    kept: list[str] = []
    rejected: list[Rejected] = []
    for text in texts[:count]:
        reason = wrong_with(text, one, kept)
        if reason is None:
            kept.append(text)
        else:
            rejected.append(Rejected(reason, {**about, "passage": text}))
    row = {
        "query": one.query,
        "positive": one.positives[0],
        "negatives": kept,
        "group": one.group or one.id,
        "query_id": one.id,
        "made_by": llm.fingerprint,
    }
    return Outcome([row] if kept else [], rejected, Counter({"written": len(texts[:count]), "negatives": len(kept)}))


def wrong_with(text: str, one: Wanted, taken: Sequence[str]) -> str | None:
    """Why a passage that a model wrote is no hard negative of ``one``; None where it is."""
    if len(key_of(text)) < 10:
        return "empty, or a few words"
    if near_copies([text], one.positives):
        return COPY
    if near_copies([text], taken):
        return REPEATS
    if detect_language(text) != detect_language(one.positives[0]):
        return "not in the positive's language"
    if holds_any(text, one.answers, one.query):
        return ANSWERS
    if max(overlap(one.query, text), overlap(text, one.positives[0])) < RELATED:
        return OFF_TOPIC
    return None


def _texts(reply: str) -> list[str] | None:
    try:
        found = json.loads(reply)
    except json.JSONDecodeError:
        return None
    listed = found.get("negatives") if isinstance(found, dict) else None
    if not isinstance(listed, list) or not all(isinstance(t, str) for t in listed):
        return None
    return [" ".join(t.split()) for t in listed] or None
