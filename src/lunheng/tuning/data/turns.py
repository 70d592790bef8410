"""Messages to turns: OpenAI's, sharegpt's and whatever is near them. Called by ``formats`` for the dialogue of a record.

Nothing that a message holds is passed over without a word: what training cannot carry (a picture) is a problem of its
line, as is what says something else than it seems to (a call's arguments that are no object).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lunheng.tuning.data.examples import ROLES, Role, Turn

ROLE_NAMES: dict[str, Role] = {
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
_CALL_KEYS = ("tool_calls", "function_call")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")


class WrongRecordError(Exception):
    """What is wrong with a record: (kind, message)."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def turns_of(value: Any, role: Role) -> tuple[Turn, ...]:
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
        raise WrongRecordError("wrong value", f"a dialogue is a list of messages, not {type(value).__name__}")
    return tuple(turn_of(message) for message in value)


def turn_of(message: Any) -> Turn:
    """One message.

    Raises:
        WrongRecordError: it is none, or holds what cannot be learnt.
    """
    if not isinstance(message, Mapping):
        raise WrongRecordError("wrong value", f"a message is an object, not {type(message).__name__}")
    named = first_of(message, ("role", "from"))
    role = ROLE_NAMES.get(str(named))
    if role is None:
        raise WrongRecordError("bad role", f"the role {named!r} is none of {', '.join(ROLE_NAMES)}")
    content = first_of(message, ("content", "value"))
    if named in _CALLS:  # sharegpt writes the call itself as JSON text
        calls, text = _calls_of(_json(content, "a function_call")), ""
    else:
        calls, text = _calls_of(first_of(message, _CALL_KEYS) or ()), _text_of(content)
    thought = first_of(message, _THOUGHTS)
    if role == "assistant" and thought and "</think>" not in text:
        text = f"<think>\n{string(thought, 'reasoning_content')}\n</think>\n\n{text}"
    call, name = (string(message.get(key) or "", key) for key in ("tool_call_id", "name"))
    return Turn(role, text, calls, call, name, _weight(message.get("weight")))


def _text_of(content: Any) -> str:
    """Text, also where it is in OpenAI's parts; a part of anything else cannot be learnt."""
    if not isinstance(content, list):
        return "" if content is None else string(content, "content")
    said = []
    for part in content:
        text = part.get("text") if isinstance(part, Mapping) else part
        if not isinstance(text, str):
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise WrongRecordError("not text", f"a message has a part of type {kind}: only text is learnt")
        said.append(text)
    return "".join(said)


def _weight(value: Any) -> bool:
    """OpenAI's weight: 0 for a turn that is given and not learnt."""
    if value is None or value in (0, 1):
        return value is None or bool(value)
    raise WrongRecordError("wrong value", f"a message has the weight {value!r}, where 0 or 1 is expected")


def _calls_of(value: Any) -> tuple[Mapping[str, Any], ...]:
    """Calls in OpenAI's shape, their arguments an object: templates write it as JSON themselves."""
    made = []
    for call in value if isinstance(value, (list, tuple)) else [value]:
        function = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise WrongRecordError("wrong value", "a tool call is {function: {name, arguments}}, with the name as text")
        name, arguments = function["name"], function.get("arguments")
        if isinstance(arguments, str):
            arguments = _json(arguments, f"the arguments of the call to {name}") if arguments.strip() else {}
        if arguments is not None and not isinstance(arguments, Mapping):
            raise WrongRecordError("wrong value", f"the arguments of the call to {name} are no JSON object")
        wrapped = {key: kept for key, kept in call.items() if key in ("id", "type") and kept is not None}
        made.append({"type": "function", **wrapped, "function": {"name": name, "arguments": dict(arguments or {})}})
    return tuple(made)


def tools_of(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The tools that a record describes, in OpenAI's shape.

    Raises:
        WrongRecordError: they are no list of objects.
    """
    tools = first_of(record, ("tools", "functions"))
    if isinstance(tools, str):
        tools = _json(tools, "tools") if tools.strip() else ()
    if not isinstance(tools or (), (list, tuple)) or not all(isinstance(tool, Mapping) for tool in tools or ()):
        raise WrongRecordError("wrong value", "tools must be a list of objects")
    return tuple(t if "function" in t else {"type": "function", "function": dict(t)} for t in tools or ())


def _json(value: Any, what: str) -> Any:
    try:
        return json.loads(string(value, what))
    except ValueError as error:
        raise WrongRecordError("wrong value", f"{what} must be JSON ({error})") from error


def check_order(turns: Sequence[Turn]) -> None:
    """Roles as a chat template takes them: a system turn only first, no assistant first, no speaker twice in a row."""
    spoken = [t.role for t in turns]
    if "system" in spoken[1:]:
        raise WrongRecordError(
            "bad role", f"turn {spoken.index('system', 1) + 1} is of the system, which only comes first"
        )
    rest = spoken[1:] if spoken[0] == "system" else spoken
    if rest and rest[0] != "user":
        raise WrongRecordError("bad role", f"begins with a turn of {rest[0]}, where the user's is expected")
    for number, (one, other) in enumerate(itertools.pairwise(rest), start=2):
        if one == other and one != "tool":
            raise WrongRecordError("bad role", f"turns {number - 1} and {number} are both of {one}")
    for turn in turns:
        if turn.role == "assistant" and not (turn.content.strip() or turn.tool_calls):
            raise WrongRecordError("empty answer", "a turn of the assistant is empty")


def first_of(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    """What stands under the first of ``names`` that is there."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def string(value: Any, name: str) -> str:
    """``value`` as text, a number too.

    Raises:
        WrongRecordError: it is neither; ``name`` says what.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise WrongRecordError("wrong value", f"{name} is {type(value).__name__}, where text is expected")
    return value
