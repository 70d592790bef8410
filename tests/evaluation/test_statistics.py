"""Intervals cover what they say; the paired test sees a real difference and no other."""

from __future__ import annotations

import numpy as np
import pytest

from lunheng.evaluation.statistics import bootstrap_interval, paired_test


def test_interval_holds_the_mean_and_is_repeatable() -> None:
    scores = [1.0] * 70 + [0.0] * 30
    interval = bootstrap_interval(scores)
    assert interval.mean == pytest.approx(0.7)
    # The binomial standard error is sqrt(.7 * .3 / 100) = .046
    assert interval.low == pytest.approx(0.7 - 1.96 * 0.0458, abs=0.02)
    assert interval.high == pytest.approx(0.7 + 1.96 * 0.0458, abs=0.02)
    assert interval == bootstrap_interval(scores)


def test_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(200):
        interval = bootstrap_interval(list(rng.beta(2, 1, 80)), samples=500, seed=seed)
        covered += interval.low <= 2 / 3 <= interval.high
    assert 180 <= covered <= 198


def test_paired_test() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(300)
    assert paired_test(list(base + 0.05), list(base)) < 0.001
    assert paired_test(list(base), list(base)) == 1.0
    noise = [paired_test(list(base + rng.normal(0, 0.1, 300)), list(base), samples=1000, seed=s) for s in range(40)]
    assert 0 <= sum(p < 0.05 for p in noise) <= 8


def test_exact_small_case() -> None:
    # Three pairs, all in favour of a: 2 of the 8 sign patterns are as extreme.
    assert paired_test([1, 1, 1], [0, 0, 0]) == pytest.approx(0.25, abs=0.02)


def test_empty_and_unequal_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_interval([])
    with pytest.raises(ValueError, match="1 and 2"):
        paired_test([1], [1, 2])
