"""A language model that remembers: the same prompt to the same model is answered once.

Made by the knowledge base around its model; the cache itself is in the catalog, which empties it whenever a
document is removed or replaced. Only deterministic calls (temperature 0) are remembered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from lunheng.protocols import LLM
from lunheng.types import Completion, Message, content_id


class CompletionCache(Protocol):
    """Remembers completions by model fingerprint and prompt hash."""

    def get(self, fingerprint: str, prompt_hash: str) -> Completion | None: ...

    def put(self, fingerprint: str, prompt_hash: str, completion: Completion) -> None: ...


class CachedLLM:
    """``llm`` with ``cache`` before it; an ``LLM`` itself."""

    def __init__(self, llm: LLM, cache: CompletionCache) -> None:
        self._llm = llm
        self._cache = cache

    def close(self) -> None:
        """Free the model, where it can be freed."""
        close = getattr(self._llm, "close", None)
        if close is not None:
            close()

    @property
    def fingerprint(self) -> str:
        return self._llm.fingerprint

    @property
    def window(self) -> int:
        return self._llm.window

    def count(self, text: str) -> int:
        return self._llm.count(text)

    def generate(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] = (),
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Completion:
        key = _key(messages, schema, stop, max_tokens)
        if temperature == 0 and (known := self._cache.get(self.fingerprint, key)):
            return known
        made = self._llm.generate(messages, schema=schema, stop=stop, max_tokens=max_tokens, temperature=temperature)
        if temperature == 0:
            self._cache.put(self.fingerprint, key, made)
        return made

    def stream(
        self,
        messages: Sequence[Message],
        *,
        stop: Sequence[str] = (),
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Iterator[str]:
        key = _key(messages, None, stop, max_tokens)
        if temperature == 0 and (known := self._cache.get(self.fingerprint, key)):
            yield known.text
            return
        pieces: list[str] = []
        for piece in self._llm.stream(messages, stop=stop, max_tokens=max_tokens, temperature=temperature):
            pieces.append(piece)
            yield piece
        if temperature == 0:  # only a stream that was read to its end is remembered
            self._cache.put(self.fingerprint, key, Completion("".join(pieces), self.fingerprint))


def _key(messages: Sequence[Message], schema: Mapping[str, Any] | None, stop: Sequence[str], max_tokens: int) -> str:
    asked = [(m.role, m.content) for m in messages]
    return content_id(json.dumps([asked, schema, list(stop), max_tokens], ensure_ascii=False, sort_keys=True))
