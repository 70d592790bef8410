"""Which mined passages are no negatives at all: those that answer the question too, and nobody labelled.

Called by negatives. About 70% of what plain mining gives for MS MARCO answers the question in truth (Qu et al. 2021,
RocketQA); training on those teaches the wrong thing. In this order, each counted: labelled positives; copies and
near-copies of a positive; passages that hold the answer; passages that score too near the positive, absolutely or
relatively (positive-aware mining: de Souza P. Moreira et al. 2024, NV-Retriever, TopK-MarginPos and TopK-PercPos);
near-copies of a negative that is taken already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from lunheng.tuning.data.similarity import key_of, near_pairs
from lunheng.tuning.rag.answers import holds_any
from lunheng.tuning.rag.scoring import Scorer
from lunheng.tuning.rag.searching import Found

LABELLED = "a labelled positive"
COPY = "a copy of the positive, or nearly"
ANSWERS = "holds the answer"
ABSOLUTE = "scores too near the positive (absolute margin)"
RELATIVE = "scores too near the positive (relative margin)"
REPEATS = "nearly a negative taken already"
NOT_NEEDED = "more than are wanted"


@dataclass(frozen=True, slots=True)
class Margins:
    """How far below the positive a negative must score."""

    absolute: float = 0.0
    """At most the positive's score less this; on the scorer's scale."""
    relative: float = 0.95
    """At most this share of the positive's score (where that is below 0, as far below it on its scale); 1: no such
    filter. NV-Retriever found .95 the best for cosines."""

    def broken_by(self, score: float, positive: float) -> str | None:
        """The filter that a candidate's score fails; None where it passes both."""
        if score > positive - self.absolute:
            return ABSOLUTE
        if self.relative < 1 and score > positive - (1 - self.relative) * abs(positive):
            return RELATIVE
        return None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A query whose negatives are looked for."""

    id: str
    query: str
    positives: tuple[str, ...]
    """Texts that answer it; the first becomes the row's positive."""
    positive_ids: frozenset[str] = frozenset()
    answers: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class Filtered:
    """What is left of the candidates, hardest first."""

    negatives: tuple[Found, ...]
    scores: tuple[float, ...]
    positive_score: float
    """The lowest among the positives: a negative is below all of them."""
    dropped: Counter[str] = field(default_factory=Counter)


def filtered(wanted: Wanted, candidates: Sequence[Found], count: int, scorer: Scorer, margins: Margins) -> Filtered:
    """The ``count`` best-scored of ``candidates`` that are negatives."""
    dropped: Counter[str] = Counter()
    left: list[Found] = []
    copies = near_copies([c.text for c in candidates], wanted.positives)
    for place, candidate in enumerate(candidates):
        reason = _no_negative(wanted, candidate, place in copies)
        if reason is None:
            left.append(candidate)
        else:
            dropped[reason] += 1
    scores = scorer(wanted.query, [*wanted.positives, *(c.text for c in left)]).tolist()
    known = len(wanted.positives)
    positive = min(scores[:known])
    kept: list[Found] = []
    kept_scores: list[float] = []
    for score, candidate in sorted(zip(scores[known:], left, strict=True), key=lambda pair: -pair[0]):
        if (reason := margins.broken_by(score, positive)) is not None:
            dropped[reason] += 1
        elif len(kept) == count:
            dropped[NOT_NEEDED] += 1
        elif near_copies([candidate.text], [k.text for k in kept]):
            dropped[REPEATS] += 1
        else:
            kept.append(candidate)
            kept_scores.append(round(score, 4))
    return Filtered(tuple(kept), tuple(kept_scores), round(positive, 4), dropped)


def _no_negative(wanted: Wanted, candidate: Found, copy: bool) -> str | None:
    if candidate.id in wanted.positive_ids:
        return LABELLED
    if copy:
        return COPY
    return ANSWERS if holds_any(candidate.text, wanted.answers, wanted.query) else None


def near_copies(texts: Sequence[str], others: Collection[str]) -> set[int]:
    """Which of ``texts`` are, nearly are, or hold or are held by, one of ``others``."""
    if not texts or not others:
        return set()
    keys, known = [key_of(t) for t in texts], [key_of(o) for o in others]
    same = {i for i, key in enumerate(keys) if any(key == k or _held(key, k) or _held(k, key) for k in known)}
    return same | {i for i, _, _ in near_pairs(texts, list(others))}


def _held(one: str, other: str) -> bool:
    """Whether ``one`` stands in ``other``, and is most of it (chunks overlap)."""
    return len(one) * 2 > len(other) and one in other
