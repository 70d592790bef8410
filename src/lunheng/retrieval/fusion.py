"""Joins the dense and the lexical list into one: by rank, or by what each score is worth as evidence.

Called by the search pipeline. Two rules:

- ``fuse_ranks``: weighted reciprocal rank fusion (Cormack, Clarke & Büttcher 2009). It sees ranks only, so a
  lexical list that matched nothing but a number weighs as much as one that matched every word of the question.
- ``fuse_evidence``: the default. A passage's lexical score is taken as the share of the question's idf mass that it
  earned, which is near 0 where BM25 has nothing to say (a question in another language than the passages) and near
  1 where it has much; its cosine is taken in standard deviations of the dense list, because what a cosine means
  differs between embedders and questions. It differs between languages too: passages in the question's own
  language lie closer to it, whatever they say. So each language has its own dense list and counts from that list's
  mean; without this an English passage that answers a Chinese question stays below every Chinese one.
  One rule then serves every collection: the weights follow the evidence.

Measured in benchmarks/reports/retrieval.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ranked = Sequence[tuple[int, float]]
"""(key, score), best first."""

DENSE_UNIT = 0.3
"""What one standard deviation of cosine is worth, in shares of the question's idf mass."""

MIN_GROUP_SHARE = 0.02
"""The share of the passages that makes a language a group of its own."""

PRIOR_COUNT = 1.0
"""A group's mean is drawn towards the mean of all as if it had one further member there: one passage alone in
its language has no mean of its own."""


@dataclass(frozen=True, slots=True)
class Fused:
    """A candidate with its fused score and where it came from."""

    key: int
    score: float
    ranks: dict[str, int] = field(default_factory=dict)
    """From 1, by list: ``dense``, ``lexical``."""


def fuse_ranks(
    dense: Ranked, lexical: Ranked, *, k: int = 60, dense_weight: float = 1.0, lexical_weight: float = 1.0
) -> list[Fused]:
    """Weighted RRF: the sum of ``weight / (k + rank)`` over the lists that hold a key. Equal scores by key."""
    scores: dict[int, float] = {}
    for ranked, weight in ((dense, dense_weight), (lexical, lexical_weight)):
        for rank, (key, _) in enumerate(ranked, start=1):
            scores[key] = scores.get(key, 0.0) + weight / (k + rank)
    return _sorted(scores, dense, lexical)


def fuse_evidence(
    dense: Sequence[Ranked],
    lexical: Ranked,
    *,
    query_mass: float,
    full_length: int,
    dense_weight: float = 1.0,
    lexical_weight: float = 1.0,
) -> list[Fused]:
    """Add standardised cosine and lexical share; see the module's text. Equal scores by key.

    Args:
        dense: one list for each language of the collection, together without repeats.
        query_mass: the idf summed over the question's distinct terms, those found nowhere included
            (``QueryStatistics.idf_sum``): the most that BM25 could give.
        full_length: how many hits were asked of the lexical list. A list of that length is a cut one: a key that
            it does not hold is taken to score as its last; a shorter list is complete, so the key scores 0. A key
            that no dense list holds is taken to score as the lowest of any.
    """
    cosine = standardise(dense)
    share = lexical_shares(lexical, query_mass)
    missing_cosine = min(cosine.values(), default=0.0)
    missing_share = min(share.values(), default=0.0) if len(lexical) >= full_length else 0.0
    scores = {
        key: dense_weight * DENSE_UNIT * cosine.get(key, missing_cosine)
        + lexical_weight * share.get(key, missing_share)
        for key in (*cosine, *share)
    }
    return _sorted(scores, sorted(cosine.items(), key=lambda item: (-item[1], item[0])), lexical)


def language_groups(counts: Mapping[str, int]) -> dict[str, str]:
    """The group that each language of a collection counts with: its own, or the largest language's.

    A language that holds under 2% of the passages, or one that could not be told (``und``), is more often a
    misjudged table or a quotation than a language of the collection, and as a group of its own it would be given
    places that it does not earn.
    """
    if not counts:
        return {}
    largest = max(sorted(counts), key=lambda language: (language != "und", counts[language]))
    least = MIN_GROUP_SHARE * sum(counts.values())
    return {
        language: language if language != "und" and count >= least else largest for language, count in counts.items()
    }


def shortlist(fused: Sequence[Fused], languages: Mapping[int, str], count: int) -> list[Fused]:
    """The first ``count``, and of each language at least the first ``count // 2``; in order.

    What a reranker gets: it can only lift what it is shown.
    """
    seen: Counter[str] = Counter()
    picked = []
    for position, candidate in enumerate(fused):
        language = languages.get(candidate.key, "")
        if position < count or seen[language] < count // 2:
            picked.append(candidate)
            seen[language] += 1
    return picked


def standardise(lists: Sequence[Ranked]) -> dict[int, float]:
    """Each key's score from the mean of its own list, in standard deviations; 0 for all where all are equal."""
    pairs = [(key, score, group) for group, ranked in enumerate(lists) for key, score in ranked]
    values = z_scores(np.array([p[1] for p in pairs], dtype=np.float64), [p[2] for p in pairs])
    return {key: float(value) for (key, _, _), value in zip(pairs, values, strict=True)}


def z_scores(values: NDArray[np.floating], groups: Sequence[object] | None = None) -> NDArray[np.float64]:
    """``values`` (n,) less the mean of their group, over the standard deviation of what remains.

    Zeros where they do not differ. One group where ``groups`` is not given.
    """
    values = np.asarray(values, dtype=np.float64)
    if not values.size:
        return np.zeros(0)
    labels = np.unique([str(g) for g in groups], return_inverse=True)[1] if groups else np.zeros(len(values), np.intp)
    sizes = np.bincount(labels)
    means = np.bincount(labels, values) / sizes
    if len(sizes) > 1:
        means = (sizes * means + PRIOR_COUNT * values.mean()) / (sizes + PRIOR_COUNT)
    left = values - means[labels]
    spread = float(np.sqrt((left**2).mean()))
    return np.asarray(left / spread, dtype=np.float64) if spread > 1e-9 else np.zeros(len(values))


def lexical_shares(lexical: Ranked, query_mass: float) -> dict[int, float]:
    """Each key's BM25 score as the share, in [0, 1], of the most that the question could give."""
    if query_mass <= 0:
        return {key: 0.0 for key, _ in lexical}
    return {key: min(1.0, max(0.0, score / query_mass)) for key, score in lexical}


def _sorted(scores: dict[int, float], dense: Ranked, lexical: Ranked) -> list[Fused]:
    ranks: dict[int, dict[str, int]] = {key: {} for key in scores}
    for name, ranked in (("dense", dense), ("lexical", lexical)):
        for rank, (key, _) in enumerate(ranked, start=1):
            ranks[key][name] = rank
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return [Fused(key, score, ranks[key]) for key, score in ordered]
