"""Whether a passage holds an answer: for questions that must be answerable, and negatives that must not answer.

Called by qa, raft and the filters of negatives. By words and numbers, without a model: an answer says something that
its question does not, and a passage that holds the answer holds nearly all of that.
"""

from __future__ import annotations

from collections.abc import Iterable

from lunheng.answering import facts
from lunheng.text.segmentation import terms
from lunheng.tuning.data.similarity import key_of

HELD = 0.8
"""Share of what an answer adds to its question that a passage must hold to count as holding the answer."""
SHORT = 40
"""Characters of an answer, without spaces and punctuation, that is looked for as it stands."""


def holds_answer(passage: str, answer: str, question: str = "", share: float = HELD) -> bool:
    """Whether ``passage`` says what ``answer`` says; never for an answer without words."""
    key = key_of(answer)
    if not key:
        return False
    if len(key) <= SHORT and key in key_of(passage):
        return True
    known = set(terms(passage))
    said = set(terms(answer, for_query=True))
    added = said - set(terms(question)) or said  # an answer that only picks words of its question: all must be there
    if unbacked_numbers(answer, passage, question):
        return False
    return len(added & known) >= share * len(added)


def holds_any(passage: str, answers: Iterable[str], question: str = "", share: float = HELD) -> bool:
    """Whether ``passage`` holds one of ``answers``."""
    return any(holds_answer(passage, answer, question, share) for answer in answers)


def unbacked_numbers(answer: str, passage: str, question: str = "") -> bool:
    """Whether ``answer`` gives a number, a date or a time that stands neither in the passage nor in the question."""
    given, known = facts.extract(answer), [facts.extract(passage), facts.extract(question)]
    numbers = {q.value for q in given.quantities} - {q.value for f in known for q in f.quantities}
    dates = given.dates - known[0].dates - known[1].dates
    times = given.times - known[0].times - known[1].times
    return bool(numbers or dates or times)
