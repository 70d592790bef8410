"""Is a difference real? Confidence intervals and a paired test over per-query scores.

Called by the runner and the benchmarks. Both are by resampling, since per-query scores are not normal;
both are seeded, so that a report can be made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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
