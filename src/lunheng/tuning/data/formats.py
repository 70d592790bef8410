"""Records to examples: alpaca, sharegpt, OpenAI messages, prompt and completion, pairs, labels, triples, raw text.

Called by ``loading``. The form is told from the keys of each record, so that one file may mix forms of one kind; what
is neither is a problem that names the keys. LLaMA-Factory's variants of each form are read as well.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lunheng.tuning.data.examples import (
    ROLES,
    Conversation,
    Example,
    Judged,
    Kind,
    Origin,
    Preference,
    Problem,
    Prompt,
    RawText,
    Role,
    Triple,
    Turn,
)

_ROLE_NAMES: dict[str, Role] = {
    **{role: role for role in ROLES},
    "human": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "developer": "system",
    "observation": "tool",
    "function": "tool",
    "function_call": "assistant",
    "tool_call": "assistant",
}
_CALLS = ("function_call", "tool_call")
_LABELS = ("label", "kto_tag")
_QUERIES = ("query", "anchor", "question", "sentence1")
_POSITIVES = ("positive", "positives", "pos", "passage", "sentence2")
_NEGATIVES = ("negatives", "negative", "neg", "hard_negatives")
_ANSWERS = ("output", "completion", "response", "answer")
_GROUPS = ("group", "group_id", "conversation_id", "document_id")
_TRUE, _FALSE = ("true", "1", "yes", "good", "up"), ("false", "0", "no", "bad", "down")


class _WrongError(Exception):
    """What is wrong with a record: (kind, message)."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def to_example(
    origin: Origin, record: Mapping[str, Any], kind: Kind | None = None, columns: Mapping[str, str] | None = None
) -> Example | Problem:
    """The example that ``record`` holds, or what is wrong with it.

    Args:
        kind: what a method needs; None: whatever the keys say.
        columns: the names that the data gives to the keys of a known form, as {"instruction": "问题"}.
    """
    try:
        if columns:
            record = _renamed(record, columns)
        return _READERS[kind or kind_of(record)](origin, record)
    except _WrongError as error:
        return Problem(origin, error.kind, str(error))


def kind_of(record: Mapping[str, Any]) -> Kind:
    """What a record holds, by its keys."""
    if "chosen" in record and "rejected" in record:
        return "preference"
    if any(name in record for name in _LABELS) and _has_conversation(record):
        return "judged"
    if any(name in record for name in _QUERIES) and any(name in record for name in _POSITIVES):
        return "triple"
    if "prompt" in record and not any(name in record for name in _ANSWERS[:3]):
        return "prompt"
    if _has_conversation(record):
        return "conversation"
    if "text" in record:
        return "text"
    raise _WrongError(
        "wrong column",
        f"its keys are {', '.join(map(str, list(record)[:12])) or 'none'}; no known form has these. Name them in the "
        'recipe, as columns = {instruction = "question", output = "answer"}',
    )


def _has_conversation(record: Mapping[str, Any]) -> bool:
    named = ("messages", "conversations", "instruction", "completion", "response")
    return any(name in record for name in named) or ("question" in record and "answer" in record)


def _renamed(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    absent = [given for given in columns.values() if given not in record]
    if absent:
        raise _WrongError(
            "wrong column", f"has no {', '.join(absent)}; it has {', '.join(map(str, list(record)[:12]))}"
        )
    renamed = dict(record)
    for known, given in columns.items():
        renamed[known] = renamed.pop(given)
    return renamed


def _conversation(origin: Origin, record: Mapping[str, Any]) -> Conversation:
    turns = _dialogue(record)
    if not any(t.role == "assistant" for t in turns):
        raise _WrongError("no answer", "no turn of the assistant: there is nothing to learn")
    return Conversation(origin, turns, _tools(record), _group(record))


def _prompt(origin: Origin, record: Mapping[str, Any]) -> Prompt:
    answer = _first(record, ("answer", "solution", "reference", "ground_truth", *_ANSWERS))
    turns = _question(record) or _dialogue(record)
    if turns and turns[-1].role == "assistant":
        answer = answer if answer is not None else turns[-1].content
        turns = turns[:-1]
    if not any(t.content.strip() for t in turns):
        raise _WrongError("empty prompt", "the prompt is empty")
    return Prompt(origin, turns, "" if answer is None else _string(answer, "answer"), _group(record))


def _preference(origin: Origin, record: Mapping[str, Any]) -> Preference:
    if "chosen" not in record or "rejected" not in record:
        raise _WrongError(
            "wrong column", f"has no chosen and rejected; it has {', '.join(map(str, list(record)[:12]))}"
        )
    chosen, rejected = _turns(record["chosen"], "assistant"), _turns(record["rejected"], "assistant")
    prompt = _question(record)
    if not prompt:  # the prompt stands in both, as in Anthropic's hh-rlhf
        shared = 0
        while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
            shared += 1
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if not any(t.content.strip() for t in prompt):
        raise _WrongError("empty prompt", "there is no prompt before chosen and rejected")
    for name, turns in (("chosen", chosen), ("rejected", rejected)):
        if not any(t.content.strip() or t.tool_calls for t in turns):
            raise _WrongError("empty answer", f"{name} is empty")
    if chosen == rejected:
        raise _WrongError("same answers", "chosen and rejected are the same: nothing can be learnt from them")
    margin = record.get("margin")
    if margin is not None and (isinstance(margin, bool) or not isinstance(margin, (int, float)) or not margin >= 0):
        raise _WrongError("wrong value", f"margin is {margin!r}, where a number from 0 is expected")
    return Preference(origin, prompt, chosen, rejected, _group(record), None if margin is None else float(margin))


def _judged(origin: Origin, record: Mapping[str, Any]) -> Judged:
    label = _first(record, _LABELS)
    if label is None:
        raise _WrongError("wrong column", f"has no label; it has {', '.join(map(str, list(record)[:12]))}")
    turns = _dialogue(record)
    if not turns or turns[-1].role != "assistant":
        raise _WrongError("no answer", "does not end with a turn of the assistant: there is nothing to judge")
    return Judged(origin, turns[:-1], turns[-1:], _truth(label), _group(record))


def _raw(origin: Origin, record: Mapping[str, Any]) -> RawText:
    text = _first(record, ("text", "content", "document"))
    if text is None or not _string(text, "text").strip():
        raise _WrongError("empty text", "its text is empty")
    return RawText(origin, _string(text, "text"), _group(record))


def _triple(origin: Origin, record: Mapping[str, Any]) -> Triple:
    query, positive = _first(record, _QUERIES), _first(record, _POSITIVES)
    negatives = _first(record, _NEGATIVES)
    if isinstance(positive, list):
        positive = positive[0] if positive else None
    if query is None or positive is None:
        raise _WrongError("wrong column", f"has no query and positive; it has {', '.join(map(str, list(record)[:12]))}")
    query, positive = _string(query, "query"), _string(positive, "positive")
    if not query.strip() or not positive.strip():
        raise _WrongError("empty answer", "query or positive is empty")
    listed = negatives if isinstance(negatives, list) else [] if negatives is None else [negatives]
    kept = tuple(_string(n, "negatives") for n in listed)
    if positive in kept:
        raise _WrongError("same answers", "the positive is among its negatives")
    score = record.get("score")
    if score is not None and not isinstance(score, (int, float)):
        raise _WrongError("wrong value", f"score is {score!r}, where a number is expected")
    return Triple(origin, query, positive, kept, None if score is None else float(score), _group(record))


_READERS: dict[Kind, Callable[[Origin, Mapping[str, Any]], Example]] = {
    "conversation": _conversation,
    "preference": _preference,
    "judged": _judged,
    "prompt": _prompt,
    "text": _raw,
    "triple": _triple,
}


def _dialogue(record: Mapping[str, Any]) -> tuple[Turn, ...]:
    """All turns of a record that holds a whole dialogue."""
    question = _question(record)
    answer = _first(record, _ANSWERS)
    if answer is not None and not ("messages" in record or "conversations" in record):
        turns = _turns(answer, "assistant")
        if not any(t.content.strip() or t.tool_calls for t in turns):
            raise _WrongError("empty answer", "the answer is empty")
        question = (*question, *turns)
    if not question:
        raise _WrongError("wrong column", f"has no dialogue; it has {', '.join(map(str, list(record)[:12]))}")
    _check_order(question)
    return question


def _question(record: Mapping[str, Any]) -> tuple[Turn, ...]:
    """The turns that a record gives but for a separate answer."""
    head: tuple[Turn, ...] = ()
    system = record.get("system")
    if isinstance(system, str) and system.strip():
        head = (Turn("system", system),)
    listed = _first(record, ("messages", "conversations"))
    if listed is not None:
        turns = _turns(listed, "user")
        return turns if turns and turns[0].role == "system" else (*head, *turns)
    for pair in record.get("history") or ():
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise _WrongError("wrong value", "history must be a list of [question, answer] pairs")
        head = (*head, Turn("user", _string(pair[0], "history")), Turn("assistant", _string(pair[1], "history")))
    asked = _first(record, ("prompt", "question"))
    if asked is not None:
        return (*head, *_turns(asked, "user"))
    if "instruction" in record:
        asked = [_string(record.get(name) or "", name) for name in ("instruction", "input")]
        text = "\n".join(part for part in asked if part.strip())
        if not text:
            raise _WrongError("empty prompt", "instruction and input are empty")
        return (*head, Turn("user", text))
    return head


def _turns(value: Any, role: Role) -> tuple[Turn, ...]:
    """Turns from a string (of ``role``), one message, or a list of messages; also where these are JSON in a string."""
    if isinstance(value, str):
        if not value.lstrip().startswith(("[{", '{"role"', '{"from"')):
            return (Turn(role, value),) if value.strip() else ()
        try:
            value = json.loads(value)
        except ValueError:
            return (Turn(role, value),)
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, Sequence):
        raise _WrongError("wrong value", f"a dialogue is a list of messages, not {type(value).__name__}")
    return tuple(_turn(message) for message in value)


def _turn(message: Any) -> Turn:
    if not isinstance(message, Mapping):
        raise _WrongError("wrong value", f"a message is an object, not {type(message).__name__}")
    named = _first(message, ("role", "from"))
    role = _ROLE_NAMES.get(str(named))
    if role is None:
        raise _WrongError("bad role", f"the role {named!r} is none of {', '.join(_ROLE_NAMES)}")
    content = _first(message, ("content", "value"))
    calls = tuple(message.get("tool_calls") or ())
    if named in _CALLS:  # sharegpt writes the call itself as JSON text
        calls, content = _sharegpt_calls(_string(content, "value")), ""
    if isinstance(content, list):  # OpenAI's parts
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return Turn(role, "" if content is None else _string(content, "content"), calls)


def _sharegpt_calls(text: str) -> tuple[Mapping[str, Any], ...]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _WrongError("wrong value", f"a function_call must be JSON ({error})") from error
    return tuple({"type": "function", "function": call} for call in (found if isinstance(found, list) else [found]))


def _check_order(turns: Sequence[Turn]) -> None:
    """Roles as a chat template takes them: a system turn only first, no assistant first, no speaker twice in a row."""
    spoken = [t.role for t in turns]
    if "system" in spoken[1:]:
        raise _WrongError("bad role", f"turn {spoken.index('system', 1) + 1} is of the system, which only comes first")
    rest = spoken[1:] if spoken[0] == "system" else spoken
    if rest and rest[0] != "user":
        raise _WrongError("bad role", f"begins with a turn of {rest[0]}, where the user's is expected")
    for number, (one, other) in enumerate(itertools.pairwise(rest), start=2):
        if one == other and one != "tool":
            raise _WrongError("bad role", f"turns {number - 1} and {number} are both of {one}")
    for turn in turns:
        if turn.role == "assistant" and not (turn.content.strip() or turn.tool_calls):
            raise _WrongError("empty answer", "a turn of the assistant is empty")


def _tools(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    tools = record.get("tools")
    if isinstance(tools, str) and tools.strip():
        try:
            tools = json.loads(tools)
        except ValueError as error:
            raise _WrongError("wrong value", f"tools must be JSON ({error})") from error
    return tuple(tools or ())


def _first(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


def _string(value: Any, name: str) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _WrongError("wrong value", f"{name} is {type(value).__name__}, where text is expected")
    return value


def _truth(value: Any) -> bool:
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise _WrongError("wrong value", f"the label {value!r} is neither true nor false")


def _group(record: Mapping[str, Any]) -> str:
    found = _first(record, _GROUPS)
    return "" if found is None else str(found)
