"""A language model says where the subject changes; what it says is checked against the text.

Called by the semantic chunker where ``chunking.boundaries`` is ``llm``. The model sees a window of numbered sentences
and gives, as JSON, the number of each sentence that begins a new subject together with its first words (as LumberChunker
does, Duarte et al. 2024, one cut at a time). A boundary counts only if there is a sentence of that number and it does
begin with those words; the rest are dropped and counted. Windows overlap by the last piece, so that no window's edge
becomes a boundary by itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.chunking.splitting import Span
from lunheng.errors import ModelError
from lunheng.protocols import LLM
from lunheng.text.language import detect_language
from lunheng.types import Message

_ANSWER = 400
"""Tokens that the model may write."""
_WINDOW = 1_500
"""Tokens of sentences that it reads at once: small models lose count in more."""
_SHOWN = 300
"""Characters of a sentence that are shown."""
_WORDS = 40
"""Characters of the first words that are compared at the most."""

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "boundaries": {
            "type": "array",
            "maxItems": 20,
            "items": {
                "type": "object",
                "properties": {"sentence": {"type": "integer"}, "begins": {"type": "string"}},
                "required": ["sentence", "begins"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["boundaries"],
    "additionalProperties": False,
}
_ENGLISH = """The numbered sentences below follow one another in a document. Where does a new subject begin? Answer with \
JSON: {{"boundaries": [{{"sentence": its number, "begins": "its first five words, copied"}}, ...]}}. Name only sentences that \
begin a new subject, in order; if there is none, give an empty list.

{sentences}"""
_CHINESE = """下面是一份文档中依次相接的句子，前面有编号。哪些句子开始了新的话题？用 JSON 回答：\
{{"boundaries": [{{"sentence": 编号, "begins": "该句开头的几个字，照抄"}}, ...]}}。只列出开始新话题的句子，按顺序；没有就给空列表。

{sentences}"""


class BoundaryReader:
    """Asks a language model for boundaries."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm

    def boundaries(self, text: str, runs: Sequence[Sequence[Span]]) -> tuple[list[NDArray[np.bool_]], tuple[str, ...]]:
        """For each run of sentences whether to cut after each but its last; and notes on what was dropped."""
        found: list[NDArray[np.bool_]] = []
        dropped = failed = 0
        for sentences in runs:
            cut = np.zeros(max(0, len(sentences) - 1), dtype=np.bool_)
            first = 0
            while first < len(sentences) - 1:
                last = self._window(text, sentences, first)
                proposed = self._ask(text, sentences[first:last])
                if proposed is None:
                    failed += 1
                    proposed = []
                held = [n for n, words in proposed if self._exists(text, sentences[first:last], n, words)]
                dropped += len(proposed) - len(held)
                for n in held:
                    if n > 1:  # the first sentence of a window begins nothing by being first
                        cut[first + n - 2] = True
                if last == len(sentences):
                    break
                # On from the last boundary, so that the piece after it is read whole.
                first = first + max(held) - 1 if held and max(held) > 1 else last - 1 if last - 1 > first else last
            found.append(cut)
        notes = []
        if dropped:
            notes.append(f"{dropped} boundaries that the language model proposed are not in the text and were dropped")
        if failed:
            notes.append(f"the language model gave no boundaries for {failed} windows; they are cut by size alone")
        return found, tuple(notes)

    def _window(self, text: str, sentences: Sequence[Span], first: int) -> int:
        """Past the last sentence that is read together with ``first``; at least one more."""
        room = min(_WINDOW, self._llm.window - _ANSWER - 300)
        last, used = first, 0
        while last < len(sentences):
            used += self._llm.count(_shown(text, sentences[last])) + 4
            if used > room and last > first + 1:
                break
            last += 1
        return last

    def _ask(self, text: str, sentences: Sequence[Span]) -> list[tuple[int, str]] | None:
        """(number, first words) of each boundary; None where the model fails or gives no such JSON."""
        listed = "\n".join(f"[{n}] {_shown(text, span)}" for n, span in enumerate(sentences, start=1))
        template = _CHINESE if detect_language(listed).startswith("zh") else _ENGLISH
        try:
            answer = self._llm.generate(
                [Message("user", template.format(sentences=listed))], schema=_SCHEMA, max_tokens=_ANSWER
            )
            given = json.loads(answer.text)["boundaries"]
            return [(int(b["sentence"]), str(b["begins"])) for b in given]
        except (ModelError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def _exists(text: str, sentences: Sequence[Span], number: int, words: str) -> bool:
        """Whether sentence ``number`` begins with ``words``, white space and case aside."""
        if not 1 <= number <= len(sentences):
            return False
        begins = "".join(words.split()).rstrip(".…").lower()[:_WORDS]
        sentence = "".join(_shown(text, sentences[number - 1]).split()).lower()
        return bool(begins) and sentence.startswith(begins)


def _shown(text: str, span: Span) -> str:
    return " ".join(text[span[0] : min(span[1], span[0] + _SHOWN)].split())
