"""How likely the passages found answer the question at all: a calibrated probability.

Called by the search pipeline on the final ranking. A logistic model over a handful of signals, in three versions by
what there is to go by: token vectors; vectors only; words only. Fitted on eight labelled sets in two languages and
across them, where a question is unanswerable because the passages that answer it were taken out (so everything near
them is still there) or because the collection is about something else, in collections of 10 to 500 passages.
Held-out figures in benchmarks/reports/retrieval.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from lunheng.retrieval.fusion import z_scores

_TYPICAL_INTERACTION = {False: 0.42, True: 0.23}
"""What MaxSim passages that do not answer have, in the question's language and in another."""

_TYPICAL_COUNT = 3
"""The mean of few candidates is drawn towards the typical one as if so many such stood beside them."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What is known of one candidate of the final ranking."""

    language: str
    coverage: float
    """Share of the question's idf mass whose terms it holds; 0 where the lexical list lacks it."""
    cosine: float | None
    """None where no vectors were asked."""
    interaction: float | None
    """MaxSim by ``TokenCodec``; None where there are no token vectors."""


def confidence(question_language: str, ranked: Sequence[Signal], lexical_agrees: bool) -> float:
    """The probability, in [0, 1], that one of the first five of ``ranked`` answers the question; 0 for none.

    Args:
        question_language: as ``detect_language`` gives it.
        ranked: the reranked candidates, best first: all of them, since how far the first stands out is a signal.
        lexical_agrees: the first is also the first of the lexical list.
    """
    if not ranked:
        return 0.0
    first = ranked[0]
    coverage = max(signal.coverage for signal in ranked[:3])
    other_language = first.language != question_language and "und" not in (first.language, question_language)
    if first.interaction is not None:
        stands_out = first.interaction - _background(ranked, first.language, other_language)
        return _logistic(-6.76 + 6.81 * first.interaction + 8.49 * stands_out + 2.52 * other_language + 1.13 * coverage)
    if first.cosine is not None:
        held = [signal for signal in ranked if signal.cosine is not None]
        cosines = np.array([signal.cosine for signal in held], dtype=np.float64)
        stands_out = float(z_scores(cosines, [signal.language for signal in held])[0])
        return _logistic(-3.04 + 2.93 * coverage + 0.39 * stands_out + 1.31 * other_language + 0.63 * lexical_agrees)
    return _logistic(-1.29 + 2.42 * coverage)


def _background(ranked: Sequence[Signal], language: str, other_language: bool) -> float:
    """The mean MaxSim of the candidates in ``language``, the first included."""
    values = [s.interaction for s in ranked if s.language == language and s.interaction is not None]
    typical = _TYPICAL_COUNT * _TYPICAL_INTERACTION[other_language]
    return (sum(values) + typical) / (len(values) + _TYPICAL_COUNT)


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + exp(-x))
