"""Multiple choice by likelihood, as in MMLU (Hendrycks et al. 2021), C-Eval (Huang et al. 2023) and CMMLU (Li et al. 2023).

Called by ``tasks`` and by ``forgetting``. Nothing is generated, so it measures base models too. Three readings: which
letter is likeliest after the question with its choices (``accuracy``, how these sets are reported), which choice's own
text is likeliest after the bare question (``accuracy_text``), and the same by byte, so that long choices are not
punished for their length (``accuracy_normalised``; Gao 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lunheng.errors import DataError
from lunheng.evaluation.model.asking import Progress, silent
from lunheng.evaluation.model.rows import Row
from lunheng.evaluation.model.scores import Metric, given, mean
from lunheng.protocols import LikelihoodModel
from lunheng.text import detect_language

COLUMNS = ("question", "a", "b", "c", "d", "answer")
"""Of a csv that does not name them, as MMLU's."""
_LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its choices."""

    text: str
    choices: tuple[str, ...]
    right: int
    """The number of the right choice, from 0."""
    subject: str

    @property
    def chinese(self) -> bool:
        """Whether it is asked in Chinese."""
        return detect_language(self.text + "".join(self.choices)) == "zh"

    def with_choices(self) -> str:
        """The question, its lettered choices, and the word before the answer."""
        lines = [f"{_LETTERS[n]}. {choice}" for n, choice in enumerate(self.choices)]
        return "\n".join([self.text, *lines, "答案：" if self.chinese else "Answer:"])

    def bare(self) -> str:
        """The question, and the word before the answer."""
        return f"问题：{self.text}\n答案：" if self.chinese else f"Question: {self.text}\nAnswer:"

    def after(self, answer: str) -> str:
        """``answer`` as it follows the word before it."""
        return answer if self.chinese else f" {answer}"


def read_question(row: Row) -> Question:
    """A row with question, A, B, C ... and answer (a letter), or with choices (a list) and answer (number or letter).

    Raises:
        DataError: it has fewer than two choices, or the answer is none of them.
    """
    listed = row.values.get("choices")
    if isinstance(listed, dict):  # as ARC has them
        listed = listed.get("text")
    if isinstance(listed, list):
        choices = [str(choice) for choice in listed]
    else:
        letters = [letter for letter in _LETTERS if str(row.values.get(letter.lower()) or "").strip()]
        choices = [str(row.values[letter.lower()]).strip() for letter in letters]
        if letters != list(_LETTERS[: len(letters)]):
            raise DataError(f"{row.where}: the choices {', '.join(letters)} leave one out")
    if not 2 <= len(choices) <= len(_LETTERS):
        raise DataError(f"{row.where}: needs at least the choices A and B (or the list choices); it has {len(choices)}")
    said = row.values.get("answer", row.values.get("answerkey"))
    right = -1
    if isinstance(said, int) and not isinstance(said, bool):
        right = said
    elif isinstance(said, str) and len(said.strip()) == 1:
        right = (
            int(said) if said.strip().isdigit() and isinstance(listed, list) else _LETTERS.find(said.strip().upper())
        )
    if not 0 <= right < len(choices):
        raise DataError(f"{row.where}: the answer {said!r} is none of the {len(choices)} choices")
    subject = str(row.values.get("subject") or row.values.get("category") or row.group)
    return Question(row.text("question").strip(), tuple(choices), right, subject)


def measure_choice(
    model: LikelihoodModel,
    questions: Sequence[Question],
    shots: Sequence[Question] = (),
    progress: Progress = silent,
) -> tuple[tuple[Metric, ...], list[dict[str, Any]]]:
    """The three accuracies, and each item.

    Args:
        shots: solved questions that stand before each, as in the five-shot form of these sets.
    """
    before = "".join(f"{s.with_choices()}{s.after(_LETTERS[s.right])}\n\n" for s in shots)
    before_bare = "".join(f"{s.bare()}{s.after(s.choices[s.right])}\n\n" for s in shots)
    by_letter: list[bool] = []
    by_text: list[bool] = []
    by_byte: list[bool] = []
    records: list[dict[str, Any]] = []
    for number, question in enumerate(questions, 1):
        count = len(question.choices)
        prompt, bare = before + question.with_choices(), before_bare + question.bare()
        found = model.log_likelihoods(
            [(prompt, question.after(_LETTERS[n])) for n in range(count)]
            + [(bare, question.after(choice)) for choice in question.choices]
        )
        letters = [f.log_probability for f in found[:count]]
        texts = [f.log_probability for f in found[count:]]
        by_size = [log / len(c.encode()) for log, c in zip(texts, question.choices, strict=True)]
        chosen = [values.index(max(values)) for values in (letters, texts, by_size)]
        for kept, choice in zip((by_letter, by_text, by_byte), chosen, strict=True):
            kept.append(choice == question.right)
        records.append(
            {
                "question": question.text,
                "right": _LETTERS[question.right],
                "chosen": _LETTERS[chosen[0]],
                "chosen_text": _LETTERS[chosen[1]],
                "chosen_normalised": _LETTERS[chosen[2]],
                "subject": question.subject,
            }
        )
        progress(number, len(questions))
    metrics = given(mean("accuracy", by_letter), mean("accuracy_text", by_text), mean("accuracy_normalised", by_byte))
    return metrics, records
