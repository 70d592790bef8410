"""Records to examples: alpaca, sharegpt, OpenAI messages, prompt and completion, pairs, labels, triples, raw text.

Called by ``loading``. The form is told from the keys of each record, so that one file may mix forms of one kind; what
is neither is a problem that names the keys. LLaMA-Factory's variants of each form are read as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lunheng.tuning.data.examples import (
    Conversation,
    Example,
    Judged,
    Kind,
    Origin,
    Preference,
    Problem,
    Prompt,
    RawText,
    Triple,
    Turn,
)
from lunheng.tuning.data.turns import WrongRecordError, check_order, first_of, string, tools_of, turns_of

_LABELS = ("label", "kto_tag")
_QUERIES = ("query", "anchor", "question", "sentence1")
_POSITIVES = ("positive", "positives", "pos", "passage", "sentence2")
_NEGATIVES = ("negatives", "negative", "neg", "hard_negatives")
_ANSWERS = ("output", "completion", "response", "answer")
_GROUPS = ("group", "group_id", "conversation_id", "document_id")
_PICTURES = ("images", "videos", "audios")
_TRUE, _FALSE = ("true", "1", "yes", "good", "up"), ("false", "0", "no", "bad", "down")


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
        _check_usable(record)
        return _READERS[kind or kind_of(record)](origin, record)
    except WrongRecordError as error:
        return Problem(origin, error.kind, str(error))


def _check_usable(record: Mapping[str, Any]) -> None:
    """What a record says of itself whatever it holds."""
    if "reviewed" in record and str(record["reviewed"]).strip().lower() not in _TRUE:
        raise WrongRecordError(
            "not reviewed",
            "no person has looked at it yet (reviewed is not true); look at it and set reviewed to true, then "
            "`lunheng tune data preferences --reviewed FILE` takes what was reviewed",
        )
    shown = next((name for name in _PICTURES if record.get(name)), None)
    if shown:
        raise WrongRecordError("not text", f"has {shown}: only text is learnt")


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
    raise WrongRecordError(
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
        raise WrongRecordError(
            "wrong column", f"has no {', '.join(absent)}; it has {', '.join(map(str, list(record)[:12]))}"
        )
    renamed = dict(record)
    for known, given in columns.items():
        renamed[known] = renamed.pop(given)
    return renamed


def _conversation(origin: Origin, record: Mapping[str, Any]) -> Conversation:
    turns = _dialogue(record)
    if not any(t.role == "assistant" and t.learnt for t in turns):
        raise WrongRecordError("no answer", "no turn of the assistant, or none of weight 1: there is nothing to learn")
    return Conversation(origin, turns, tools_of(record), _group(record))


def _prompt(origin: Origin, record: Mapping[str, Any]) -> Prompt:
    answer = first_of(record, ("answer", "solution", "reference", "ground_truth", *_ANSWERS))
    turns = _question(record) or _dialogue(record)
    if turns and turns[-1].role == "assistant":
        answer = answer if answer is not None else turns[-1].content
        turns = turns[:-1]
    if not any(t.content.strip() for t in turns):
        raise WrongRecordError("empty prompt", "the prompt is empty")
    wanted = "" if answer is None else string(answer, "answer")
    return Prompt(origin, turns, wanted, _group(record), tools_of(record))


def _preference(origin: Origin, record: Mapping[str, Any]) -> Preference:
    if "chosen" not in record or "rejected" not in record:
        raise WrongRecordError(
            "wrong column", f"has no chosen and rejected; it has {', '.join(map(str, list(record)[:12]))}"
        )
    chosen, rejected = turns_of(record["chosen"], "assistant"), turns_of(record["rejected"], "assistant")
    prompt = _question(record)
    if not prompt:  # the prompt stands in both, as in Anthropic's hh-rlhf
        shared = 0
        while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
            shared += 1
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    if not any(t.content.strip() for t in prompt):
        raise WrongRecordError("empty prompt", "there is no prompt before chosen and rejected")
    for name, turns in (("chosen", chosen), ("rejected", rejected)):
        if not any(t.content.strip() or t.tool_calls for t in turns):
            raise WrongRecordError("empty answer", f"{name} is empty")
        if not all(t.learnt for t in turns):
            raise WrongRecordError("no answer", f"{name} has the weight 0: there is nothing to learn")
    if chosen == rejected:
        raise WrongRecordError("same answers", "chosen and rejected are the same: nothing can be learnt from them")
    margin = record.get("margin")
    if margin is not None and (isinstance(margin, bool) or not isinstance(margin, (int, float)) or not margin >= 0):
        raise WrongRecordError("wrong value", f"margin is {margin!r}, where a number from 0 is expected")
    return Preference(
        origin, prompt, chosen, rejected, _group(record), None if margin is None else float(margin), tools_of(record)
    )


def _judged(origin: Origin, record: Mapping[str, Any]) -> Judged:
    label = first_of(record, _LABELS)
    if label is None:
        raise WrongRecordError("wrong column", f"has no label; it has {', '.join(map(str, list(record)[:12]))}")
    turns = _dialogue(record)
    if not turns or turns[-1].role != "assistant":
        raise WrongRecordError("no answer", "does not end with a turn of the assistant: there is nothing to judge")
    if not turns[-1].learnt:
        raise WrongRecordError("no answer", "its last turn has the weight 0: there is nothing to judge")
    return Judged(origin, turns[:-1], turns[-1:], _truth(label), _group(record), tools_of(record))


def _raw(origin: Origin, record: Mapping[str, Any]) -> RawText:
    text = first_of(record, ("text", "content", "document"))
    if text is None or not string(text, "text").strip():
        raise WrongRecordError("empty text", "its text is empty")
    return RawText(origin, string(text, "text"), _group(record))


def _triple(origin: Origin, record: Mapping[str, Any]) -> Triple:
    query, positive = first_of(record, _QUERIES), first_of(record, _POSITIVES)
    negatives = first_of(record, _NEGATIVES)
    if isinstance(positive, list):
        positive = positive[0] if positive else None
    if query is None or positive is None:
        raise WrongRecordError(
            "wrong column", f"has no query and positive; it has {', '.join(map(str, list(record)[:12]))}"
        )
    query, positive = string(query, "query"), string(positive, "positive")
    if not query.strip() or not positive.strip():
        raise WrongRecordError("empty answer", "query or positive is empty")
    listed = negatives if isinstance(negatives, list) else [] if negatives is None else [negatives]
    kept = tuple(string(n, "negatives") for n in listed)
    if positive in kept:
        raise WrongRecordError("same answers", "the positive is among its negatives")
    score = record.get("score")
    if score is not None and not isinstance(score, (int, float)):
        raise WrongRecordError("wrong value", f"score is {score!r}, where a number is expected")
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
    answer = first_of(record, _ANSWERS)
    if answer is not None and not ("messages" in record or "conversations" in record):
        turns = turns_of(answer, "assistant")
        if not any(t.content.strip() or t.tool_calls for t in turns):
            raise WrongRecordError("empty answer", "the answer is empty")
        question = (*question, *turns)
    if not question:
        raise WrongRecordError("wrong column", f"has no dialogue; it has {', '.join(map(str, list(record)[:12]))}")
    check_order(question)
    return question


def _question(record: Mapping[str, Any]) -> tuple[Turn, ...]:
    """The turns that a record gives but for a separate answer."""
    head: tuple[Turn, ...] = ()
    system = record.get("system")
    if isinstance(system, str) and system.strip():
        head = (Turn("system", system),)
    listed = first_of(record, ("messages", "conversations"))
    if listed is not None:
        turns = turns_of(listed, "user")
        return turns if turns and turns[0].role == "system" else (*head, *turns)
    for pair in record.get("history") or ():
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise WrongRecordError("wrong value", "history must be a list of [question, answer] pairs")
        head = (*head, Turn("user", string(pair[0], "history")), Turn("assistant", string(pair[1], "history")))
    asked = first_of(record, ("prompt", "question"))
    if asked is not None:
        return (*head, *turns_of(asked, "user"))
    if "instruction" in record:
        asked = [string(record.get(name) or "", name) for name in ("instruction", "input")]
        text = "\n".join(part for part in asked if part.strip())
        if not text:
            raise WrongRecordError("empty prompt", "instruction and input are empty")
        return (*head, Turn("user", text))
    return head


def _truth(value: Any) -> bool:
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise WrongRecordError("wrong value", f"the label {value!r} is neither true nor false")


def _group(record: Mapping[str, Any]) -> str:
    found = first_of(record, _GROUPS)
    return "" if found is None else str(found)
