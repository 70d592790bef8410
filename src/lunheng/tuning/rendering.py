"""Conversations to tokens and labels: the model's own chat template, and the loss on the assistant's words only.

Called by the trainers, and by the pre-flight, which shows what is learnt token by token. The mask does not depend on
markers in the template: what is learnt of a turn is what the model has to write after the prompt that it is served,
the end of turn included. Where a template writes earlier turns otherwise once they are answered (Qwen3 takes their
thinking away), no one text holds all of that: then each turn of the assistant is a row by itself, and the turns before
it stand there as the model will see them.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lunheng.errors import DataError
from lunheng.tuning.data.examples import Origin, Turn
from lunheng.tuning.messages import ChatTokenizer, text_of_turns, thought_and_said

IGNORED = -100
"""The label of a token that is not learnt (as in torch's cross entropy)."""
_OPEN, _CLOSED = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Rendered:
    """One row as the model reads it."""

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


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What the model is given, and what it has to write then."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class _Script:
    """A conversation, and how the template writes any beginning of it."""

    tokenizer: ChatTokenizer
    origin: Origin
    turns: tuple[Turn, ...]
    tools: tuple[Mapping[str, Any], ...]
    _written: dict[tuple[int, bool], str] = dataclasses.field(default_factory=dict, init=False, compare=False)

    def text(self, upto: int, prompt: bool = False) -> str:
        """The first ``upto`` turns, with the invitation to answer or without; written once, however often asked."""
        if (upto, prompt) not in self._written:
            self._written[upto, prompt] = text_of_turns(
                self.tokenizer, self.origin, self.turns[:upto], self.tools, prompt=prompt
            )
        return self._written[upto, prompt]

    def wrong(self, message: str) -> DataError:
        """Says it of this conversation."""
        return DataError(f"{self.origin}: {message}")


def render(
    tokenizer: ChatTokenizer, origin: Origin, turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]] = ()
) -> tuple[Rendered, ...]:
    """Tokens of a conversation, with labels on every turn of the assistant that is to be learnt.

    Returns:
        One row, or one for each of those turns where the template rewrites earlier ones; none without such a turn.

    Raises:
        DataError: the template refuses the conversation, or leaves something of it out.
    """
    script = _Script(tokenizer, origin, tuple(turns), tuple(tools))
    places = [number for number, turn in enumerate(turns) if turn.role == "assistant" and turn.learnt]
    if not places:
        return ()
    whole = script.text(len(turns))
    spoken = [_spoken(script, place, place + 1) for place in places]
    _check_heard(script, whole)
    spans = _spans(script, whole, spoken)
    if spans is not None:
        return (_row(script, whole, spans),)
    return tuple(_row(script, s.prompt + s.answer, [(len(s.prompt), len(s.prompt + s.answer))]) for s in spoken)


def render_answer(
    tokenizer: ChatTokenizer,
    origin: Origin,
    prompt: Sequence[Turn],
    answer: Sequence[Turn],
    tools: Sequence[Mapping[str, Any]] = (),
) -> Answered:
    """Tokens of ``answer`` (one turn, or several with a tool's in between) after ``prompt``.

    Raises:
        DataError: as ``render``; or the template writes the prompt otherwise when it is answered.
    """
    script = _Script(tokenizer, origin, (*prompt, *answer), tuple(tools))
    spoken = _spoken(script, len(prompt), len(prompt) + len(answer))
    _check_heard(script, spoken.prompt + spoken.answer)
    ids, places = _tokens(tokenizer, spoken.prompt + spoken.answer, [len(spoken.prompt)])
    # A token that could not be cut at the border carries the answer's beginning: it is the answer's.
    border = next((n for n, (_, end) in enumerate(places) if end > len(spoken.prompt)), len(ids))
    return Answered(origin, tuple(ids[:border]), tuple(ids[border:]))


def _spoken(script: _Script, start: int, end: int) -> _Spoken:
    """What the template adds when the turns from ``start`` to ``end`` answer those before them."""
    prompt = script.text(start, prompt=True) if start else ""
    # White space after the end of turn belongs to the template, not to what the model says.
    whole = script.text(end).rstrip()
    thought, said = thought_and_said(script.turns[start].content)
    spoken = _Spoken(prompt, whole[len(prompt) :]) if whole.startswith(prompt) else None
    spoken = spoken or _after_invitation(script, start, prompt, whole, thought)
    if thought.strip() and thought.strip() not in spoken.answer:
        raise script.wrong(
            f"the chat template writes nothing of what turn {start + 1} thinks, or has it answer without thinking; "
            "take the <think> block out, or name a template that writes it"
        )
    if said.strip() not in spoken.answer and end == start + 1 and _deaf(script, start, end):
        raise script.wrong(f"the chat template writes nothing of what turn {start + 1} says; name another template")
    return spoken


def _after_invitation(script: _Script, start: int, prompt: str, whole: str, thought: str) -> _Spoken:
    """The same where the invitation to answer is more than stands before a given answer.

    It may open the thinking (DeepSeek R1: the model has to close it before it answers), or open and close it (then
    it answers straight away).
    """
    # A marker that begins like another is whole in neither: the texts part before it.
    parted = next((n for n, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), len(whole))
    alike = prompt[:parted]
    alike = alike[: max(alike.rfind(">"), alike.rfind("\n")) + 1]
    if len(alike) < len(script.text(start).rstrip()):
        raise script.wrong(
            "the chat template writes the prompt otherwise when it is answered, so that what is learnt cannot be told "
            "from what is given; name another template"
        )
    opened, said = prompt[len(alike) :], whole[len(alike) :]
    if _CLOSED in opened:
        said = said.rpartition(_CLOSED)[2].lstrip()
    elif _OPEN in opened:
        said = f"{thought}\n{_CLOSED}\n\n{said.lstrip()}"
    return _Spoken(prompt, said)


def _spans(script: _Script, whole: str, spoken: Sequence[_Spoken]) -> list[tuple[int, int]] | None:
    """Where in ``whole`` each answer stands; None where not all stand there after the prompt that is served."""
    spans = []
    for one in spoken:
        said = one.prompt + one.answer
        if not whole.startswith(said):
            said = _without_close(script, one, said)
        if not said or not whole.startswith(said):
            return None
        spans.append((len(one.prompt), len(said)))
    return spans


def _without_close(script: _Script, one: _Spoken, said: str) -> str:
    """``said`` without the end of text that some templates (Phi-3) put after the last turn, whoever speaks it."""
    end = str(script.tokenizer.eos_token or "")
    if not end or not said.endswith(end):
        return ""
    number = next(n for n, turn in enumerate(script.turns) if turn.role == "user") + 1
    return said.removesuffix(end).rstrip() if script.text(number).rstrip().endswith(end) else ""


def _row(script: _Script, text: str, spans: Sequence[tuple[int, int]]) -> Rendered:
    ids, places = _tokens(script.tokenizer, text, [start for start, _ in spans])
    labels = [
        token if any(start < end and a < end <= b for a, b in spans) else IGNORED
        for token, (start, end) in zip(ids, places, strict=True)
    ]
    return Rendered(script.origin, tuple(ids), tuple(labels))


def _tokens(tokenizer: ChatTokenizer, text: str, starts: Sequence[int]) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids and where each stands; cut where an answer starts, as a prompt is read by itself when it is served."""
    apart: list[int] = []
    places: list[tuple[int, int]] = []
    for a, b in itertools.pairwise((0, *starts, len(text))):
        some, there = _encoded(tokenizer, text[a:b])
        apart += some
        places += [(a + start, a + end) for start, end in there]
    said = tokenizer.decode(apart)
    if said == text:
        return apart, places
    # Some tokenizers put a space before every text: then the pieces are not what the whole says.
    ids, joined = _encoded(tokenizer, text)
    return (apart, places) if said == tokenizer.decode(ids) else (ids, joined)


def _encoded(tokenizer: ChatTokenizer, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    return list(encoded["input_ids"]), list(encoded["offset_mapping"])


def _check_heard(script: _Script, whole: str) -> None:
    """Whether the template writes something of every turn, call and tool: some pass over what they do not know."""
    for number, turn in enumerate(script.turns):
        written = not turn.tool_calls and thought_and_said(turn.content)[1].strip() in whole
        if not written and _deaf(script, number, len(script.turns)):
            what = "the tool calls" if turn.tool_calls else "what it says"
            raise script.wrong(
                f"the chat template writes nothing of turn {number + 1} ({turn.role}: {what}); name a template that does"
            )
    if script.tools and dataclasses.replace(script, tools=()).text(len(script.turns)) == script.text(len(script.turns)):
        raise script.wrong(
            "the chat template writes nothing of its tools; describe them in the system turn and leave tools out, or name "
            "a template that writes them"
        )


def _deaf(script: _Script, number: int, upto: int) -> bool:
    """Whether the text stays the same when the turn at ``number`` says (or calls) something else."""
    turn = script.turns[number]
    if turn.tool_calls:
        calls = [{**c, "function": {**c["function"], "name": f"{c['function']['name']}_x"}} for c in turn.tool_calls]
        other = dataclasses.replace(turn, tool_calls=tuple(calls))
    else:
        other = dataclasses.replace(turn, content=f"{turn.content} x")
    changed = dataclasses.replace(script, turns=(*script.turns[:number], other, *script.turns[number + 1 :]))
    return changed.text(upto) == script.text(upto)
