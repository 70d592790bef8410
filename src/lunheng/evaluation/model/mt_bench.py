"""MT-Bench (Zheng et al. 2023): questions of several turns, each answer judged from 1 to 10, by category.

Called by ``tasks``. The form is its question.jsonl: ``question_id``, ``category``, ``turns``, and ``reference`` where
the right answer is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from lunheng.errors import DataError
from lunheng.evaluation.model.asking import Progress, silent
from lunheng.evaluation.model.judging import insist_on_verdicts, judge
from lunheng.evaluation.model.rows import Row
from lunheng.evaluation.model.scores import Metric, given, mean
from lunheng.protocols import LLM
from lunheng.text import detect_language
from lunheng.types import Message

_ASK = {
    "zh": (
        "请给下面对话中助手的最后一个回答打分，从 1（很差）到 10（很好）：是否有用、切题、正确、有深度。"
        "先简短说明理由，再给出整数分数。\n\n{conversation}{reference}"
    ),
    "en": (
        "Rate the assistant's last answer in the conversation below, from 1 (very bad) to 10 (very good): helpfulness, "
        "relevance, accuracy, depth. Give a short reason first, then a whole number.\n\n{conversation}{reference}"
    ),
}
_REFERENCE = {"zh": "\n\n【参考答案】\n{}", "en": "\n\n[Reference answer]\n{}"}
_SPEAKERS = {"zh": {"user": "用户", "assistant": "助手"}, "en": {"user": "User", "assistant": "Assistant"}}


class Rating(BaseModel):
    """What the judge fills in."""

    reason: str = Field(max_length=300)
    score: int = Field(ge=1, le=10)


@dataclass(frozen=True, slots=True)
class Question:
    """A conversation to be held."""

    turns: tuple[str, ...]
    category: str
    references: tuple[str, ...]
    """One a turn, or fewer."""


def read_question(row: Row) -> Question:
    """One line of question.jsonl.

    Raises:
        DataError: it has no turns.
    """
    turns = row.values.get("turns")
    if not isinstance(turns, list) or not turns or not all(isinstance(t, str) and t.strip() for t in turns):
        raise DataError(f"{row.where}: needs turns, a list of the user's messages")
    references = row.values.get("reference") or []
    listed = references if isinstance(references, list) else [references]
    return Question(tuple(turns), str(row.values.get("category") or "all"), tuple(map(str, listed)))


def measure_mt_bench(
    model: LLM,
    judge_model: LLM,
    questions: Sequence[Question],
    max_tokens: int,
    judge_name: str = "",
    progress: Progress = silent,
) -> tuple[tuple[Metric, ...], tuple[str, ...], list[dict[str, Any]]]:
    """The mean score of each question (over its turns), and by turn: metrics, notes, and each item.

    Raises:
        ModelError: a model cannot be asked, or the judge gave no verdict that can be read.
    """
    scores: list[list[int | None]] = []
    records: list[dict[str, Any]] = []
    for number, question in enumerate(questions, 1):
        language = "zh" if detect_language(" ".join(question.turns)) == "zh" else "en"
        conversation: list[Message] = []
        found: list[int | None] = []
        for at, turn in enumerate(question.turns):
            conversation.append(Message("user", turn))
            text = model.generate(conversation, max_tokens=max_tokens, temperature=0.0).text.strip()
            conversation.append(Message("assistant", text))
            reference = _REFERENCE[language].format(question.references[at]) if at < len(question.references) else ""
            said = "\n\n".join(f"【{_SPEAKERS[language][m.role]}】\n{m.content}" for m in conversation)
            rating = judge(judge_model, _ASK[language].format(conversation=said, reference=reference), Rating)
            found.append(rating.score if rating else None)
            records.append(
                {
                    "question": turn,
                    "turn": at + 1,
                    "category": question.category,
                    "answer": text,
                    "score": found[-1],
                    "reason": rating.reason if rating else None,
                }
            )
        scores.append(found)
        progress(number, len(questions))
    notes = insist_on_verdicts([score for found in scores for score in found], judge_name)
    turns = max(len(found) for found in scores)
    metrics = given(
        mean("score", [_mean(found) for found in scores]),
        *(
            mean(f"turn_{turn + 1}", [found[turn] if turn < len(found) else None for found in scores])
            for turn in range(turns)
        ),
    )
    return metrics, notes, records


def _mean(found: Sequence[int | None]) -> float | None:
    """Over the turns; None where one of them could not be judged, since turns differ in how hard they are."""
    scores = [score for score in found if score is not None]
    return sum(scores) / len(scores) if len(scores) == len(found) else None
