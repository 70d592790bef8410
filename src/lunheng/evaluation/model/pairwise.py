"""Which of two models answers better: a judge sees both answers in both orders, or people have voted.

Called by ``tasks``. As in Zheng et al. 2023, a judge that changes its mind with the order has shown no preference: a tie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from lunheng.errors import DataError
from lunheng.evaluation.model.asking import Progress, silent
from lunheng.evaluation.model.judging import insist_on_verdicts, judge
from lunheng.evaluation.model.rows import Row
from lunheng.evaluation.model.scores import Metric, given, mean
from lunheng.protocols import LLM
from lunheng.text import detect_language
from lunheng.types import Message

Winner = Literal["model", "baseline", "tie"]
_SCORES: Mapping[Winner, float] = {"model": 1.0, "tie": 0.5, "baseline": 0.0}
_ASK = {
    "zh": (
        "下面是一个问题和两个回答。请判断哪个回答更好：正确、切题、完整、清楚。"
        "回答的先后和长短都不应影响判断。先简短说明理由，再给出结论：A、B 或 tie（不分上下）。\n\n"
        "【问题】\n{question}\n\n【回答 A】\n{a}\n\n【回答 B】\n{b}"
    ),
    "en": (
        "Here are a question and two answers. Judge which answer is better: correct, to the point, complete, clear. "
        "Neither the order nor the length of the answers should count. Give a short reason first, then your verdict: "
        "A, B or tie.\n\n[Question]\n{question}\n\n[Answer A]\n{a}\n\n[Answer B]\n{b}"
    ),
}


class Verdict(BaseModel):
    """What the judge fills in."""

    reason: str = Field(max_length=300)
    winner: Literal["A", "B", "tie"]


def compare(judge_model: LLM, question: str, answer: str, other: str) -> tuple[Winner | None, bool]:
    """Who wins by both orders, and whether the judge said the same in both; None where it could not be read.

    Raises:
        ModelError: the judge cannot be asked.
    """
    ask = _ASK["zh" if detect_language(question) == "zh" else "en"]
    first = judge(judge_model, ask.format(question=question, a=answer, b=other), Verdict)
    second = judge(judge_model, ask.format(question=question, a=other, b=answer), Verdict)
    if first is None or second is None:
        return None, False
    forward: Winner = {"A": "model", "B": "baseline"}.get(first.winner, "tie")  # type: ignore[assignment]
    backward: Winner = {"A": "baseline", "B": "model"}.get(second.winner, "tie")  # type: ignore[assignment]
    return (forward, True) if forward == backward else ("tie", False)


def measure_pairwise(
    judge_model: LLM,
    conversations: Sequence[Sequence[Message]],
    mine: Sequence[str],
    others: Sequence[str],
    judge_name: str = "",
    progress: Progress = silent,
) -> tuple[tuple[Metric, ...], tuple[str, ...], list[dict[str, Any]]]:
    """The win rate of the answers ``mine`` over ``others``: metrics, notes, and each item.

    Raises:
        ModelError: the judge cannot be asked, or gave no verdict that can be read.
    """
    winners: list[Winner | None] = []
    consistent: list[bool | None] = []
    records: list[dict[str, Any]] = []
    for number, (conversation, answer, other) in enumerate(zip(conversations, mine, others, strict=True), 1):
        question = "\n\n".join(m.content for m in conversation if m.role != "system")
        # Alike to the letter: no judge is needed to see that they are equal.
        winner, same = (
            ("tie", True) if answer.strip() == other.strip() else compare(judge_model, question, answer, other)
        )
        winners.append(winner)
        consistent.append(None if winner is None else same)
        records.append(
            {"question": question, "answer": answer, "baseline": other, "winner": winner, "consistent": same}
        )
        progress(number, len(conversations))
    notes = insist_on_verdicts(winners, judge_name)
    swayed = sum(same is False for same in consistent)
    if swayed:
        notes += (f"the judge changed its mind with the order on {swayed} of {len(winners)} items: counted as ties",)
    metrics = win_rate(winners) + given(mean("judge_consistency", consistent))
    return metrics, notes, records


def win_rate(winners: Sequence[Winner | None]) -> tuple[Metric, ...]:
    """The share won, ties counting half, tested against one half; and the shares of wins, ties and losses."""
    return given(
        mean("win_rate", [None if w is None else _SCORES[w] for w in winners], chance=0.5),
        mean("wins", [None if w is None else w == "model" for w in winners]),
        mean("ties", [None if w is None else w == "tie" for w in winners]),
        mean("losses", [None if w is None else w == "baseline" for w in winners], higher_is_better=False),
    )


def read_votes(rows: Sequence[Row]) -> list[Winner]:
    """People's votes: rows with ``winner`` (model, baseline or tie) and, where several voted on one item, its ``id``.

    The majority of an item's votes counts; none is a tie.

    Raises:
        DataError: a vote is none of the three, or some rows have an id and some have none.
    """
    votes: dict[str, Counter[str]] = {}
    named = {"id" in row.values for row in rows}
    if len(named) > 1:
        raise DataError(f"{rows[0].where}: either every vote has the id of its item or none has")
    for number, row in enumerate(rows):
        winner = row.text("winner").strip().lower()
        if winner not in _SCORES:
            raise DataError(f"{row.where}: winner {winner!r} is not one of {', '.join(_SCORES)}")
        votes.setdefault(str(row.values.get("id", number)), Counter())[winner] += 1
    return [_majority(counts) for counts in votes.values()]


def _majority(counts: Counter[str]) -> Winner:
    if counts["model"] > max(counts["baseline"], counts["tie"]):
        return "model"
    return "baseline" if counts["baseline"] > max(counts["model"], counts["tie"]) else "tie"
