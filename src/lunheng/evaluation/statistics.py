"""Is a difference real? Confidence intervals and a paired test over per-query scores.

Called by the runner and the benchmarks. Both are by resampling, since per-query scores are not normal;
both are seeded, so that a report can be made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pool = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From totals, (..., k), to the measure of each, (...)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with the bounds that hold it at the given level."""

    mean: float
    low: float
    high: float


def bootstrap_interval(scores: Sequence[float], level: float = 0.95, samples: int = 2_000, seed: int = 0) -> Interval:
    """The percentile bootstrap (Efron 1979) of the mean of per-query ``scores``.

    Raises:
        ValueError: when ``scores`` is empty.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not values.size:
        raise ValueError("no scores: a mean needs at least one query")
    rng = np.random.default_rng(seed)
    # Counts per distinct score, rather than drawn indices: samples x distinct values, not samples x queries.
    distinct, counts = np.unique(values, return_counts=True)
    draws = rng.multinomial(values.size, counts / values.size, size=samples)
    means = draws @ distinct / values.size
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def paired_test(a: Sequence[float], b: Sequence[float], samples: int = 10_000, seed: int = 0) -> float:
    """The two-sided p-value of ``mean(a) == mean(b)`` by Fisher's randomisation test.

    ``a`` and ``b`` are two systems' scores on the same queries in the same order; under the null hypothesis each
    pair's sign is a coin toss. Recommended for retrieval by Smucker, Allan & Carterette (2007).

    Raises:
        ValueError: when the lengths differ or are zero.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(f"paired scores of the same queries are needed, got {len(a)} and {len(b)}")
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    difference = difference[difference != 0]
    if not difference.size:
        return 1.0
    rng = np.random.default_rng(seed)
    observed = abs(difference.sum())
    extreme = 0
    for start in range(0, samples, 500):  # in blocks: 500 x queries signs at a time
        signs = rng.integers(0, 2, (min(500, samples - start), difference.size), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ difference) >= observed - 1e-12).sum())
    return (extreme + 1) / (samples + 1)


def pooled_interval(
    rows: NDArray[np.float64], of: Pool, level: float = 0.95, samples: int = 2_000, seed: int = 0
) -> Interval:
    """``bootstrap_interval`` of a measure over a whole set that is no mean, as perplexity or BLEU.

    Args:
        rows: (items, k), what each item adds to the totals.
        of: from the totals to the measure.

    Raises:
        ValueError: there are no rows.
    """
    if not len(rows):
        raise ValueError("no scores: a measure needs at least one item")
    low, high = np.quantile(of(_drawn(rows, samples, seed)), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(of(rows.sum(axis=0))), float(low), float(high))


def pooled_difference(
    a: NDArray[np.float64], b: NDArray[np.float64], of: Pool, level: float = 0.95, samples: int = 2_000, seed: int = 0
) -> Interval:
    """The paired bootstrap of ``of(a) - of(b)``: both systems on the same drawn items.

    Raises:
        ValueError: when the lengths differ or are zero.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(f"paired scores of the same items are needed, got {len(a)} and {len(b)}")
    drawn = _drawn(np.hstack([a, b]), samples, seed)
    differences = of(drawn[:, : a.shape[1]]) - of(drawn[:, a.shape[1] :])
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(of(a.sum(axis=0)) - of(b.sum(axis=0))), float(low), float(high))


def pooled_test(
    a: NDArray[np.float64], b: NDArray[np.float64], of: Pool, samples: int = 10_000, seed: int = 0
) -> float:
    """``paired_test`` of a measure over a whole set: items change sides at random (Riezler & Maxwell 2005).

    Raises:
        ValueError: when the lengths differ or are zero.
    """
    if len(a) != len(b) or not len(a):
        raise ValueError(f"paired scores of the same items are needed, got {len(a)} and {len(b)}")
    differ = (a != b).any(axis=1)
    if not differ.any():
        return 1.0
    total, gap = (a + b).sum(axis=0), (a - b)[differ]
    rng = np.random.default_rng(seed)
    observed = abs(float(of(a.sum(axis=0)) - of(b.sum(axis=0))))
    extreme = 0
    for start in range(0, samples, 500):
        signs = rng.integers(0, 2, (min(500, samples - start), len(gap)), dtype=np.int8) * 2 - 1
        swapped = signs @ gap + (a - b)[~differ].sum(axis=0)
        difference = of((total + swapped) / 2) - of((total - swapped) / 2)
        extreme += int((np.abs(difference) >= observed - 1e-12).sum())
    return (extreme + 1) / (samples + 1)


def _drawn(rows: NDArray[np.float64], samples: int, seed: int) -> NDArray[np.float64]:
    """The totals of ``samples`` sets, each drawn from ``rows`` with replacement; (samples, k)."""
    rng = np.random.default_rng(seed)
    # Counts per distinct row: of right and wrong answers there are two kinds, however many items there are.
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    block = max(1, 2_000_000 // len(distinct))  # so many counts are held at once
    sizes = [min(block, samples - start) for start in range(0, samples, block)]
    draws = (rng.multinomial(len(rows), counts / len(rows), size=size) for size in sizes)
    return np.concatenate([counted @ distinct for counted in draws])
