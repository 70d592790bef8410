"""Every prompt and every fixed sentence of an answer, in both languages.

Called by the strategies. The system prompt never changes between questions, so that an in-process
model reads it once and keeps it in its cache. It offers no words for a refusal: a small model that
may refuse does so half of the time with the answer before its eyes (12 of 28 right against 21, see
benchmarks/answers.py), and whether the sources say it is for the gate and the check to decide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lunheng.types import Message, Source

Reason = Literal["missing", "denied", "in part", "nowhere", "uncited", "stranger", "rival", "elsewhere", "outside"]


@dataclass(frozen=True, slots=True)
class Phrases:
    """The words of one language."""

    system: str
    sources: str
    question: str
    missing: str
    """Said when the confidence is too low; ``{question}``."""
    closest: str
    """Follows, where there are passages to list."""
    failed: str
    """Said when no sentence passed the check; ``{reasons}``."""
    left_out: str
    """Appended when some sentences did not pass; ``{count}``."""
    reasons: Mapping[Reason, str]
    """Why a sentence did not pass, or not wholly."""
    between_reasons: str
    extractive: str
    condense: str
    rewrite: str
    page: str


PHRASES = {
    "zh": Phrases(
        system=(
            "你是严谨的助手，只根据资料回答问题。资料可能是中文或英文，用中文写一个完整的句子作答，句末用方括号标出资料编号，"
            "例如：外包人员的年假为 12 天[1]。数字、日期和名称照抄资料，注意问题问的是哪一种情况。问题问了几件事，就回答几件事。"
        ),
        sources="资料",
        question="问题",
        missing="在这些文档中没有找到这个问题的答案：「{question}」。",
        closest="下面列出的是最接近的段落。",
        failed="资料不足以可靠地回答这个问题：写出的回答没有通过与资料的核对（{reasons}）。请直接查看下面的来源。",
        left_out="（另有 {count} 句未能在资料中核实，已略去。）",
        reasons={
            "missing": "资料中没有“{what}”",
            "denied": "资料的说法与此相反",
            "in part": "意思只有部分相符（相似度 {cosine:.2f}）",
            "nowhere": "资料中没有哪一句这样说（相似度 {cosine:.2f}）",
            "uncited": "没有标注来源；最接近的是 [{n}]，但{reason}",
            "stranger": "问题问的是“{what}”，这处资料没有提到",
            "rival": "资料说的是另一种情况；更贴近问题的是：{what}",
            "elsewhere": "这处资料说的是别的事",
            "outside": "资料说的是“{what}”，问题里的数不在其中",
        },
        between_reasons="；",
        extractive="（以下为资料原文摘录，未使用语言模型。）",
        condense=(
            "把最后一个问题改写成一个不依赖上文就能看懂的完整问题。只输出改写后的问题，不要回答。如果它已经完整，原样输出。"
        ),
        rewrite="用{count}种不同的说法改写下面的问题，用词不同但意思相同。每行一个，不要编号，不要回答。",
        page="第{page}页",
    ),
    "en": Phrases(
        system=(
            "You are a careful assistant. Answer the question from the sources only; they may be in Chinese or English. "
            "Write one complete English sentence that ends with the number of its source in square brackets, like: "
            "The annual leave of contractors is 12 days [1]. Copy numbers, dates and names from the sources, for the "
            "case that is asked. Answer every part of the question."
        ),
        sources="Sources",
        question="Question",
        missing="No answer to “{question}” was found in the documents.",
        closest=" The closest passages are listed below.",
        failed=(
            "The sources are not enough for a reliable answer: what was written did not pass the check against them "
            "({reasons}). Please read the sources below."
        ),
        left_out="({count} more sentence(s) could not be confirmed in the sources and were left out.)",
        reasons={
            "missing": "“{what}” is not in the source",
            "denied": "the source says the opposite",
            "in part": "the meaning agrees only in part (cosine {cosine:.2f})",
            "nowhere": "no sentence of the source says it (cosine {cosine:.2f})",
            "uncited": "it cites no source, and of the nearest, [{n}]: {reason}",
            "stranger": "the question is about “{what}”, which the source does not mention",
            "rival": "the source says it of another case; nearer to the question is: {what}",
            "elsewhere": "the source speaks of something else",
            "outside": "the source speaks of “{what}”, and the number asked about is not within it",
        },
        between_reasons="; ",
        extractive="(Quoted from the documents; no language model was used.)",
        condense=(
            "Rewrite the last question as one complete question that can be understood without the conversation. "
            "Output only the rewritten question; do not answer it. If it is complete already, repeat it."
        ),
        rewrite=(
            "Rewrite the question below in {count} different ways, with other words and the same meaning. "
            "One per line, no numbering, no answers."
        ),
        page="page {page}",
    ),
}

_REFUSALS = re.compile(
    r"资料(?:中|里)?(?:并)?(?:没有|未)(?:提到|提及|说明|找到|包含|提供|相关)|(?:没有|未)(?:提到|提及|相关(?:信息|内容|资料))|无法(?:从资料|根据资料|回答)"
    r"|没有找到这个问题的答案|^no answer to .+ was found"
    r"|sources? (?:do(?:es)? not|don't|doesn't|did not) (?:say|mention|contain|provide|specify|state|include)"
    r"|not (?:mentioned|specified|provided|stated) in the (?:sources?|documents?|given)|no information (?:about|on|is|regarding)",
    re.I,
)


def phrases(language: str) -> Phrases:
    """The words for a question's language; English where it is neither Chinese nor English."""
    return PHRASES.get(language, PHRASES["en"])


def is_refusal(text: str) -> bool:
    """Whether the model said that the sources do not say: a short text with such a phrase."""
    return len(text) < 200 and bool(_REFUSALS.search(text))


def label(source: Source, language: str) -> str:
    """Where a source stands: title or file name, heading path, page."""
    metadata = source.hit.chunk.metadata
    where = [metadata.title or metadata.source.rsplit("/", 1)[-1], *metadata.heading_path]
    if metadata.page_number is not None:
        where.append(phrases(language).page.format(page=metadata.page_number))
    return " › ".join(dict.fromkeys(w for w in where if w))


def answer_messages(question: str, sources: Sequence[Source], language: str) -> list[Message]:
    """The messages that ask a model to answer ``question`` from ``sources``, in their prompt order."""
    words = phrases(language)
    blocks = "\n\n".join("\n".join((f"[{s.n}] {label(s, language)}", *s.shown)) for s in sources)
    return [
        Message("system", words.system),
        Message("user", f"{words.sources}:\n{blocks}\n\n{words.question}: {question}"),
    ]


def condense_messages(history: Sequence[Message], question: str, language: str) -> list[Message]:
    """The messages that ask for a standalone form of a follow-up question."""
    turns = "\n".join(f"{m.role}: {m.content}" for m in history[-4:])
    return [Message("system", phrases(language).condense), Message("user", f"{turns}\nuser: {question}")]


def rewrite_messages(question: str, count: int, language: str) -> list[Message]:
    """The messages that ask for ``count`` other wordings of ``question`` (multi-query retrieval)."""
    return [Message("system", phrases(language).rewrite.format(count=count)), Message("user", question)]
