"""Training examples that the evaluation set asks too: what is measured on those is memory, not skill.

Called by ``check``, and by every run that has an evaluation set of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lunheng.errors import DataError
from lunheng.text.normalise import normalise
from lunheng.tuning.data.examples import Example, Origin, Problem, question_of
from lunheng.tuning.data.similarity import key_of, near_pairs


def without_leaks(
    training: Sequence[Example], evaluation: Sequence[Example]
) -> tuple[tuple[Example, ...], tuple[Problem, ...]]:
    """The examples of ``training`` that ``evaluation`` does not ask, and why each of the others is left out.

    Raises:
        DataError: none is left.
    """
    found = leaks(training, evaluation)
    leaked = {problem.origin for problem in found}
    kept = tuple(example for example in training if example.origin not in leaked)
    if training and not kept:
        raise DataError(
            f"data.train: the evaluation set asks all of its {len(training):,} examples too; the first: "
            f"{found[0].origin}: {found[0].message}; name other data for data.evaluation, or say data.validation_share"
        )
    return kept, tuple(found)


def leaks(examples: Sequence[Example], evaluation: Sequence[Example]) -> list[Problem]:
    """Training examples whose question the evaluation set asks too, word for word or nearly.

    Where numbers differ, a question is another one, however alike the rest is.
    """
    if not evaluation:
        return []
    asked = {key_of(question_of(e)): e for e in evaluation}
    questions, theirs = [question_of(e) for e in examples], [question_of(e) for e in evaluation]
    found: dict[Origin, str] = {}
    for example, question in zip(examples, questions, strict=True):
        if (same := asked.get(key_of(question))) is not None:
            found[example.origin] = f"its question stands in the evaluation set too, at {same.origin}"
    for index, other, similarity in near_pairs(questions, theirs):
        if _numbers(questions[index]) == _numbers(theirs[other]):
            message = f"its question is {similarity:.0%} that of the evaluation set at {evaluation[other].origin}"
            found.setdefault(examples[index].origin, message)
    return [Problem(origin, "leak", message) for origin, message in found.items()]


def _numbers(text: str) -> list[str]:
    return re.findall(r"\d+", normalise(text))
