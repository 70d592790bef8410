"""What users said of answers, as training data: a correction beats the answer, thumbs are labels.

Called by ``lunheng tune data preferences --feedback``. A line holds ``question`` and ``answer``, and any of: ``verdict`` (up, down
...), ``correction`` (what should have been said), ``edit`` (the answer as the user changed it), and ``messages`` (the prompt that
the answer was written from), ``id``, ``user``, ``at``, which become the row's provenance.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lunheng.errors import DataError
from lunheng.tuning.data.examples import Problem
from lunheng.tuning.data.reading import read_records
from lunheng.tuning.data.similarity import key_of
from lunheng.tuning.rag.journal import Journal, Outcome, Rejected, Row, Written
from lunheng.tuning.rag.preferences import Messages, preference_row
from lunheng.types import content_id

_UP = frozenset(("up", "thumbs_up", "good", "yes", "like", "true", "1", "👍", "赞", "有用", "好"))
_DOWN = frozenset(("down", "thumbs_down", "bad", "no", "dislike", "false", "0", "-1", "👎", "踩", "没用", "无用", "差"))
_KEPT = ("id", "user", "at", "model", "trace_id", "comment")


def read_feedback(path: Path, output: Path, labels: bool = False) -> Written:
    """Preference pairs out of corrections and edits; with ``labels``, KTO labels out of thumbs (and a label below for an
    answer that was corrected, above for its correction).

    Raises:
        DataError: the file is missing, or ``output`` was begun from another.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    depends_on = {"what": "feedback", "labels": labels, "of": content_id(path.read_bytes())}
    with Journal(output, depends_on) as journal:
        for number, item in enumerate(read_records(path), start=1):
            if str(number) not in journal.done:
                journal.add(str(number), _of_line(item, path, labels))
    return journal.written()


def _of_line(item: Problem | tuple[Any, Mapping[str, Any]], path: Path, labels: bool) -> Outcome:
    if isinstance(item, Problem):
        return Outcome(rejected=[Rejected("a line that does not parse", {"at": str(item.origin), "why": item.message})])
    origin, record = item
    question, answer = (_text(record, name) for name in ("question", "answer"))
    if not question or not answer:
        return Outcome(rejected=[Rejected("no question or no answer", {"at": str(origin)})])
    better = _text(record, "correction") or _text(record, "edit")
    if better and key_of(better) == key_of(answer):
        return Outcome(rejected=[Rejected("the correction says what the answer said", {"at": str(origin)})])
    thumb = _thumb(record.get("verdict"))
    if thumb is None and record.get("verdict") is not None:
        return Outcome(
            rejected=[
                Rejected("a verdict that is neither up nor down", {"at": str(origin), "verdict": record["verdict"]})
            ]
        )
    provenance = {
        "source": "feedback",
        "kind": "correction" if _text(record, "correction") else "edit" if better else "thumb",
        "file": path.name,
        "line": origin.line,
        **{name: record[name] for name in _KEPT if record.get(name) is not None},
    }
    prompt = _prompt(record, question)
    if labels:
        said = [(answer, False), (better, True)] if better else [] if thumb is None else [(answer, thumb)]
        rows = [_label_row(prompt, text, good, question, provenance) for text, good in said]
    else:
        rows = [preference_row(prompt, better, answer, question, provenance)] if better else []
    if not rows:
        reason = (
            "says nothing of the answer" if thumb is None else "a thumb without a correction (take it with --labels)"
        )
        return Outcome(rejected=[Rejected(reason, {"at": str(origin), "question": question})])
    return Outcome(rows, counts={str(provenance["kind"]): 1})


def _label_row(prompt: Messages, text: str, good: bool, question: str, provenance: Mapping[str, Any]) -> Row:
    return {
        "messages": [*prompt, {"role": "assistant", "content": text}],
        "label": good,
        "group": content_id(key_of(question)),
        "reviewed": False,
        "provenance": dict(provenance),
    }


def _prompt(record: Mapping[str, Any], question: str) -> Messages:
    """The prompt that the answer was written from, where the line has it; else the question alone."""
    messages = record.get("messages")
    if isinstance(messages, list) and messages and all(isinstance(m, dict) and m.get("role") for m in messages):
        turns = [{"role": str(m["role"]), "content": str(m.get("content", ""))} for m in messages]
        return turns[:-1] if turns[-1]["role"] == "assistant" else turns
    return [{"role": "user", "content": question}]


def _thumb(verdict: Any) -> bool | None:
    word = str(verdict).strip().casefold()
    return True if word in _UP else False if word in _DOWN else None


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return value.strip() if isinstance(value, str) else ""
