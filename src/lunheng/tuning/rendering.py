"""Conversations to tokens and labels: the model's own chat template, and the loss on the assistant's words only.

Called by the trainers, and by the pre-flight, which shows what is learnt token by token. The mask does not depend on
markers in the template: each assistant turn is what the template adds when it is appended to the turns before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lunheng.errors import DataError
from lunheng.tuning.data.examples import Origin, Turn

IGNORED = -100
"""The label of a token that is not learnt (as in torch's cross entropy)."""


class ChatTokenizer(Protocol):
    """What is used of a transformers tokenizer."""

    chat_template: Any
    eos_token_id: int | None
    all_special_ids: Any
    added_tokens_decoder: Any

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any: ...
    def __call__(self, text: str, **options: Any) -> Any: ...
    def decode(self, token_ids: Any, **options: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Rendered:
    """One example as the model reads it."""

    origin: Origin
    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    """The id to predict, or ``IGNORED``."""

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.input_ids)

    @property
    def learnt(self) -> int:
        """Tokens that count in the loss."""
        return sum(label != IGNORED for label in self.labels)


def render(
    tokenizer: ChatTokenizer, origin: Origin, turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]] = ()
) -> Rendered:
    """Tokens of a conversation, with labels on every assistant turn, its end of turn included.

    Raises:
        DataError: the template refuses the conversation, or does not add each turn after the ones before.
    """
    messages = [turn.as_message() for turn in turns]
    whole = _text(tokenizer, origin, messages, tools, prompt=False)
    learnt: list[tuple[int, int]] = []
    for number, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        before = _text(tokenizer, origin, messages[:number], tools, prompt=True) if number else ""
        upto = _text(tokenizer, origin, messages[: number + 1], tools, prompt=False)
        if not whole.startswith(upto.rstrip()) or not upto.startswith(before):
            raise DataError(
                f"{origin}: the chat template rewrites earlier turns when turn {number + 1} is added, so that what is "
                "learnt cannot be told from what is given; train on its last turn alone, or name another template"
            )
        # White space after the end of turn belongs to the template, not to what the model says.
        learnt.append((len(before), len(upto.rstrip())))
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    ids, spans = encoded["input_ids"], encoded["offset_mapping"]
    labels = [
        token if any(start < end and a <= start and end <= b for a, b in learnt) else IGNORED
        for token, (start, end) in zip(ids, spans, strict=True)
    ]
    return Rendered(origin, tuple(ids), tuple(labels))


@dataclass(frozen=True, slots=True)
class Answered:
    """A prompt and one answer to it as the model reads them, one after the other."""

    origin: Origin
    prompt: tuple[int, ...]
    """The template's invitation to answer included."""
    answer: tuple[int, ...]
    """The end of turn included."""

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.prompt) + len(self.answer)

    @property
    def rendered(self) -> Rendered:
        """The same with the loss mask: the answer is learnt, the prompt is given."""
        return Rendered(self.origin, self.prompt + self.answer, (IGNORED,) * len(self.prompt) + self.answer)


def render_answer(tokenizer: ChatTokenizer, origin: Origin, prompt: Sequence[Turn], answer: Sequence[Turn]) -> Answered:
    """Tokens of ``answer`` (one turn, or several with a tool's in between) after ``prompt``.

    Raises:
        DataError: the template refuses them, or writes the prompt otherwise when it is answered.
    """
    messages = [turn.as_message() for turn in (*prompt, *answer)]
    before = _text(tokenizer, origin, messages[: len(prompt)], (), prompt=True)
    # White space after the end of turn belongs to the template, not to what the model says.
    whole = _text(tokenizer, origin, messages, (), prompt=False).rstrip()
    if not whole.startswith(before):
        raise DataError(
            f"{origin}: the chat template writes the prompt otherwise when it is answered, so that what is learnt "
            "cannot be told from what is given; name another template"
        )
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    ids, spans = tuple(encoded["input_ids"]), encoded["offset_mapping"]
    # A token over the border carries the answer's beginning: it is the answer's.
    border = next((n for n, (_, end) in enumerate(spans) if end > len(before)), len(ids))
    return Answered(origin, ids[:border], ids[border:])


def _text(
    tokenizer: ChatTokenizer,
    origin: Origin,
    messages: list[dict[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    prompt: bool,
) -> str:
    try:
        text = tokenizer.apply_chat_template(
            messages, tools=[dict(t) for t in tools] or None, tokenize=False, add_generation_prompt=prompt
        )
    except Exception as error:  # Jinja's own errors, and whatever the template raises, have no common class
        raise DataError(f"{origin}: the chat template refuses it ({error})") from error
    return str(text)
