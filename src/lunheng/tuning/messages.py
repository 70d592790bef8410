"""Turns as a chat template takes them, and the text that it makes of them.

Called by ``rendering`` and by the methods that let a model answer. Templates want the same thing in different shapes:
thinking in a field of its own or at the head of the answer, a call's arguments as an object or as JSON text.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lunheng.errors import DataError
from lunheng.tuning.data.examples import Origin, Turn

_THINKING = re.compile(r"\s*<think>(.*?)</think>\s*(.*)", re.DOTALL)
_FIELD = re.compile(r"""\b(?:message|msg|m)(?:\.|\[['"]|\.get\(['"])(reasoning_content|reasoning|thinking)\b""")


class ChatTokenizer(Protocol):
    """What is used of a transformers tokenizer."""

    chat_template: Any
    eos_token: Any
    eos_token_id: int | None
    all_special_ids: Any
    added_tokens_decoder: Any

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any: ...
    def __call__(self, text: str, **options: Any) -> Any: ...
    def decode(self, token_ids: Any, **options: Any) -> Any: ...


def thought_and_said(content: str) -> tuple[str, str]:
    """What stands in a ``<think>`` block at the head of an answer, and what follows it."""
    found = _THINKING.fullmatch(content)
    return (found[1].strip("\n"), found[2]) if found else ("", content)


@functools.lru_cache(maxsize=16)
def _thought_fields(template: str) -> tuple[str, ...]:
    """The fields of a message that a template reads thinking from."""
    return tuple(sorted(set(_FIELD.findall(template))))


def messages_for(tokenizer: ChatTokenizer, turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """``turns`` as the tokenizer's template takes them: thinking in the fields that it reads, where it reads any."""
    fields = _thought_fields(tokenizer.chat_template) if isinstance(tokenizer.chat_template, str) else ()
    made = []
    for turn in turns:
        message = turn.as_message()
        thought, said = thought_and_said(turn.content) if turn.role == "assistant" else ("", turn.content)
        if thought and fields:
            message |= {"content": said, **dict.fromkeys(fields, thought)}
        made.append(message)
    return made


def text_of_turns(
    tokenizer: ChatTokenizer,
    origin: Origin,
    turns: Sequence[Turn],
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    prompt: bool,
) -> str:
    """What the model reads of ``turns``; with ``prompt``, the invitation to answer included.

    Raises:
        DataError: the template refuses them.
    """
    messages = messages_for(tokenizer, turns)
    options = {"tools": [dict(t) for t in tools] or None, "tokenize": False, "add_generation_prompt": prompt}
    try:
        try:
            return str(tokenizer.apply_chat_template(messages, **options))
        except TypeError:
            # DeepSeek's templates join a call's arguments to text, where most write an object as JSON themselves.
            if not any(turn.tool_calls for turn in turns):
                raise
            return str(tokenizer.apply_chat_template([_written(m) for m in messages], **options))
    except Exception as error:  # Jinja's own errors, and whatever the template raises, have no common class
        raise DataError(f"{origin}: the chat template refuses it ({error})") from error


def _written(message: dict[str, Any]) -> dict[str, Any]:
    """The same with the arguments of its calls as JSON text."""
    if "tool_calls" not in message:
        return message
    calls = [
        {
            **call,
            "function": {
                **call["function"],
                "arguments": json.dumps(call["function"]["arguments"], ensure_ascii=False),
            },
        }
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}
