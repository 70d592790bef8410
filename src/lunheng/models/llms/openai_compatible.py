"""Chats through any OpenAI-compatible server: OpenAI, vLLM, SGLang, TGI, Ollama, LM Studio, DeepSeek, DashScope.

Called through ``lunheng.models.load_llm`` when ``models.llm`` is ``endpoint``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from lunheng.config import EndpointSettings
from lunheng.errors import ModelError
from lunheng.models.endpoint import Endpoint
from lunheng.types import Completion, Message, content_id

_ASCII_CHARACTERS_PER_TOKEN = 3
"""Fewer than any current tokenizer needs for English, so that the estimate errs upward."""


class OpenAICompatibleLLM:
    """Implements ``LLM`` over ``/chat/completions``. Thread-safe."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings)

    @property
    def fingerprint(self) -> str:
        """Changes with the server's address and the model's name."""
        return content_id("endpoint", self._settings.base_url, self._settings.model)

    @property
    def window(self) -> int:
        """As set in ``llm_endpoint.window``."""
        return self._settings.window

    def count(self, text: str) -> int:
        """An upper estimate: the server's tokenizer is not at hand."""
        ascii_characters = sum(c.isascii() for c in text)
        other = len(text) - ascii_characters
        return math.ceil(ascii_characters / _ASCII_CHARACTERS_PER_TOKEN + other * 1.5)

    def generate(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] = (),
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Completion:
        """The model's answer; with ``schema``, JSON that fits it, as far as the server can.

        Raises:
            ModelUnavailableError: the server gave nothing at every attempt.
            ModelError: it refused, or its answer has no text.
        """
        payload = self._payload(messages, stop, max_tokens, temperature)
        if schema is not None:
            payload["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": dict(schema), "strict": True},
            }
        return read_completion(self._endpoint.post("chat/completions", payload), self._settings.model)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        stop: Sequence[str] = (),
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Iterator[str]:
        """The answer piece by piece. Closing the iterator closes the connection, which stops the server."""
        payload = {**self._payload(messages, stop, max_tokens, temperature), "stream": True}
        with closing(self._endpoint.stream("chat/completions", payload)) as events:
            for event in events:
                for choice in event.get("choices") or ():
                    if piece := (choice.get("delta") or {}).get("content"):
                        yield piece

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()

    def _payload(
        self, messages: Sequence[Message], stop: Sequence[str], max_tokens: int, temperature: float
    ) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "model": self._settings.model,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
        }
        if stop:
            payload["stop"] = list(stop)
        return payload


def read_completion(answer: Mapping[str, Any], model: str) -> Completion:
    """What the server of ``model`` answered at ``/chat/completions``.

    Raises:
        ModelError: it has another shape.
    """
    try:
        choice = answer["choices"][0]
        usage = answer.get("usage") or {}
        return Completion(
            choice["message"].get("content") or "",
            str(answer.get("model") or model),
            int(usage.get("prompt_tokens", 0)),
            int(usage.get("completion_tokens", 0)),
            choice.get("finish_reason") or "stop",
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ModelError(f"model {model}: the server's answer has another shape: {str(answer)[:300]}") from error
