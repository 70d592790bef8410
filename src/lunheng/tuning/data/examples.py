"""The nouns of training data: what a line becomes, whatever form it came in.

Called by ``formats`` (which makes them), ``check``, ``split`` and the trainers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an example came from."""

    source: str
    """The file."""
    line: int
    """Line of a JSONL or text file, row of a table, item of a JSON array; from 1."""

    def __str__(self) -> str:
        return f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: Role
    content: str
    """What the assistant thinks first stands at its head, in a ``<think>`` block."""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    """OpenAI's shape: {"type": "function", "function": {"name", "arguments"}}, but the arguments an object."""
    tool_call_id: str = ""
    """Of a tool's turn: the call that it answers."""
    name: str = ""
    """Who speaks, where that is said; of a tool's turn: the tool."""
    learnt: bool = True
    """Whether a turn of the assistant counts in the loss (OpenAI's weight)."""

    @property
    def text(self) -> str:
        """Everything that it says, its calls included."""
        calls = (json.dumps(call.get("function", call), ensure_ascii=False, default=str) for call in self.tool_calls)
        return "\n".join(part for part in (self.content, *calls) if part)

    def as_message(self) -> dict[str, Any]:
        """The form that chat templates take."""
        message: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            message["tool_calls"] = [dict(call) for call in self.tool_calls]
        named = {"tool_call_id": self.tool_call_id, "name": self.name}
        return message | {key: value for key, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A dialogue whose assistant turns are learnt (SFT)."""

    origin: Origin
    turns: tuple[Turn, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    group: str = ""
    """Examples of one group stay on one side of a split; empty: each by itself."""


@dataclass(frozen=True, slots=True)
class Preference:
    """A better and a worse continuation of one prompt (reward model, DPO)."""

    origin: Origin
    prompt: tuple[Turn, ...]
    chosen: tuple[Turn, ...]
    rejected: tuple[Turn, ...]
    group: str = ""
    margin: float | None = None
    """By how much it is better, where the data grades it: not below 0 (Touvron et al. 2023: 0 to 3)."""
    tools: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """A continuation with a thumb up or down (KTO)."""

    origin: Origin
    prompt: tuple[Turn, ...]
    completion: tuple[Turn, ...]
    good: bool
    group: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt with, for verifiable rewards, the reference answer (GRPO, RLOO, PPO)."""

    origin: Origin
    turns: tuple[Turn, ...]
    answer: str = ""
    group: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class RawText:
    """Running text (continued pre-training)."""

    origin: Origin
    text: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Triple:
    """A question, a passage that answers it, and passages that do not (embedders, rerankers)."""

    origin: Origin
    query: str
    positive: str
    negatives: tuple[str, ...] = ()
    score: float | None = None
    """How well the positive answers, where the data grades it: in [0, 1]."""
    group: str = ""


Example = Conversation | Preference | Judged | Prompt | RawText | Triple
Kind = Literal["conversation", "preference", "judged", "prompt", "text", "triple"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line, or what should be known of it."""

    origin: Origin
    kind: str
    """What is wrong in two or three plain words: what problems are counted by."""
    message: str
    fatal: bool = True
    """The line is of no use and goes to quarantine; otherwise it is only reported."""


def text_of(example: Example) -> str:
    """Everything that an example says, for comparing, counting and looking through."""
    match example:
        case Conversation(turns=turns) | Prompt(turns=turns):
            return "\n".join(t.text for t in turns)
        case Preference(prompt=prompt, chosen=chosen, rejected=rejected):
            return "\n".join(t.text for t in (*prompt, *chosen, *rejected))
        case Judged(prompt=prompt, completion=completion):
            return "\n".join(t.text for t in (*prompt, *completion))
        case RawText(text=text):
            return text
        case Triple(query=query, positive=positive, negatives=negatives):
            return "\n".join((query, positive, *negatives))


def question_of(example: Example) -> str:
    """What an example asks: the part that must not stand in the evaluation set too."""
    match example:
        case Conversation(turns=turns) | Prompt(turns=turns):
            return "\n".join(t.content for t in turns if t.role in ("user", "tool"))
        case Preference(prompt=prompt) | Judged(prompt=prompt):
            return "\n".join(t.content for t in prompt if t.role != "system")
        case RawText(text=text):
            return text
        case Triple(query=query):
            return query
