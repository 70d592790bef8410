"""What every language model must do: run ``check_llm(make)`` over yours.

Called by tests/conformance and by whoever writes a provider. Says nothing of how good the answers are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from lunheng.errors import LunhengError
from lunheng.protocols import LLM
from lunheng.types import Message

QUESTION = (Message("system", "You are a helpful assistant."), Message("user", "Count from one to five in words."))
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": ["red", "blue"]}, "count": {"type": "integer", "maximum": 99}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}


def check_llm(make: Callable[[], LLM]) -> None:
    """Run every check.

    Raises:
        AssertionError: names what the model does not keep.
    """
    llm = make()
    assert isinstance(llm, LLM), "it lacks methods of lunheng.protocols.LLM"
    assert llm.fingerprint == make().fingerprint, "two of the same settings have different fingerprints"
    assert llm.window > 0
    check_counts(llm)
    check_completion(llm)
    check_stream(llm)
    check_stop(llm)
    check_schema(llm)
    check_leaving_early(llm)
    check_too_long(llm)
    check_threads(llm)


def check_counts(llm: LLM) -> None:
    """Counting is additive within a few tokens and 0 for nothing, in both languages."""
    assert llm.count("") == 0
    for text in ("The backup starts at night.", "夜间备份于凌晨两点半开始。"):
        one, ten = llm.count(text), llm.count(text * 10)
        assert 0 < one <= ten <= 10 * one + 10, f"{text!r}: {one} tokens once, {ten} ten times"


def check_completion(llm: LLM) -> None:
    """An answer has text, counts and a reason; the same call at temperature 0 gives it again; the cap holds."""
    answer = llm.generate(QUESTION, max_tokens=12)
    assert answer.text.strip(), "the answer is empty"
    assert 0 < answer.completion_tokens <= 12, f"{answer.completion_tokens} tokens, 12 allowed"
    assert answer.prompt_tokens > 5, f"prompt_tokens is {answer.prompt_tokens}"
    assert answer.finish_reason in ("stop", "length"), answer.finish_reason
    assert llm.generate(QUESTION, max_tokens=12).text == answer.text, "temperature 0 gave two different answers"


def check_stream(llm: LLM) -> None:
    """A stream gives in pieces what ``generate`` gives at once."""
    pieces = list(llm.stream(QUESTION, max_tokens=12))
    assert len(pieces) > 1, f"it came in {len(pieces)} piece"
    assert "".join(pieces).strip() == llm.generate(QUESTION, max_tokens=12).text.strip()


def check_stop(llm: LLM) -> None:
    """Nothing from a stop string on is given."""
    whole = llm.generate(QUESTION, max_tokens=24).text
    words = whole.split()
    assert len(words) > 2, f"too short to test: {whole!r}"
    cut = llm.generate(QUESTION, max_tokens=24, stop=[words[2]]).text
    assert words[2] not in cut and len(cut) < len(whole), f"stop={words[2]!r} gave {cut!r} of {whole!r}"


def check_schema(llm: LLM) -> None:
    """With a schema, the text is JSON that fits it."""
    asked = (Message("user", "Name a colour and a count, as JSON."),)
    value = json.loads(llm.generate(asked, schema=SCHEMA, max_tokens=64).text)
    assert set(value) == {"colour", "count"} and value["colour"] in ("red", "blue"), value
    assert isinstance(value["count"], int), value


def check_leaving_early(llm: LLM) -> None:
    """Closing a stream frees the model for the next caller."""
    stream = iter(llm.stream((Message("user", "Tell a very long story."),), max_tokens=400))
    next(stream)
    close = getattr(stream, "close", None)
    assert close is not None, "stream is not a generator that can be closed"
    close()
    assert llm.generate(QUESTION, max_tokens=2).completion_tokens <= 2


def check_too_long(llm: LLM) -> None:
    """A prompt over the window is a typed error, and the model answers on."""
    with pytest.raises(LunhengError):
        llm.generate((Message("user", "字 word " * llm.window),), max_tokens=2)
    assert llm.generate(QUESTION, max_tokens=4).text


def check_threads(llm: LLM) -> None:
    """Callers on several threads each get their own answer."""
    questions = ["Say the word apple.", "请说：苹果。", "Name a colour."]
    expected = [llm.generate((Message("user", q),), max_tokens=6).text for q in questions]
    with ThreadPoolExecutor(3) as pool:
        given = list(pool.map(lambda q: llm.generate((Message("user", q),), max_tokens=6).text, questions))
    assert given == expected, f"{given} instead of {expected}"
