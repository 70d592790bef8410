"""Near-duplicates among hits: mirrored pages and copied paragraphs take one place, not five.

Called by the search pipeline after reranking. Two passages count as one when their vectors nearly coincide *and*
their words mostly agree *and* they differ in no number and no negation: last year's report reads much like this
year's and says something else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lunheng.protocols import Vectors
from lunheng.text import terms

WORD_OVERLAP = 0.8
"""The least Jaccard overlap of two duplicates' terms."""

_DIGIT = re.compile(r"\d|[〇零一二三四五六七八九十百千万亿]")
_NEGATION = re.compile(r"[不没無无非未勿莫]|^(?:no|not|never|none|nor|without|cannot|except|[a-z]+n[’']?t)$")


@dataclass(frozen=True, slots=True)
class Dropped:
    """A passage left out, and the better one that it repeats. Both by their position in what was given."""

    position: int
    kept: int
    cosine: float
    overlap: float


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """Positions that stay, in their order, and those that go."""

    kept: tuple[int, ...]
    dropped: tuple[Dropped, ...]


def remove_duplicates(
    texts: Sequence[str], vectors: Vectors, similarity: float = 0.97, overlap: float = WORD_OVERLAP
) -> Deduplicated:
    """Keep the first of each group of near-duplicates.

    Args:
        texts: the passages, best first.
        vectors: float32 (n, dimension), their vectors, rows of length 1.
        similarity: the least cosine of two duplicates.
        overlap: the least Jaccard overlap of their terms.

    Raises:
        ValueError: ``texts`` and ``vectors`` differ in length.
    """
    if len(texts) != len(vectors):
        raise ValueError(f"{len(texts)} texts for {len(vectors)} vectors")
    if not len(texts):
        return Deduplicated((), ())
    cosines = np.asarray(vectors) @ np.asarray(vectors).T
    words: dict[int, frozenset[str]] = {}
    kept: list[int] = []
    dropped: list[Dropped] = []
    for i in range(len(texts)):
        for j in kept:
            if cosines[i, j] < similarity:
                continue
            for n in (i, j):
                words.setdefault(n, frozenset(terms(texts[n])))
            shared = _overlap(words[i], words[j])
            if shared >= overlap and not _differ_in_fact(words[i], words[j]):
                dropped.append(Dropped(i, j, float(cosines[i, j]), shared))
                break
        else:
            kept.append(i)
    return Deduplicated(tuple(kept), tuple(dropped))


def any_near(vectors: Sequence[Vectors], similarity: float = 0.97) -> bool:
    """Whether two of ``vectors``, each (dimension,) of length 1, are so close that their texts must be compared."""
    if len(vectors) < 2:
        return False
    rows = np.stack(vectors)
    return bool(np.triu(rows @ rows.T, 1).max() >= similarity)


def _overlap(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a or b else 1.0


def _differ_in_fact(a: frozenset[str], b: frozenset[str]) -> bool:
    return any(_DIGIT.search(term) or _NEGATION.search(term) for term in a ^ b)
