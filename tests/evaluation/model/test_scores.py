"""Metrics of a whole set: means agree with the older functions, comparisons pair the items, groups and JSON."""

from __future__ import annotations

import numpy as np
import pytest

from lunheng.evaluation.model.scores import Metric, TaskResult, by_group, mean, part, ratio
from lunheng.evaluation.statistics import (
    bootstrap_interval,
    paired_test,
    pooled_difference,
    pooled_interval,
    pooled_test,
)


def made(values: list[float | None], **options: object) -> Metric:
    metric = mean("m", values, **options)  # type: ignore[arg-type]
    assert metric is not None
    return metric


def test_a_pooled_mean_is_the_mean_with_its_bootstrap() -> None:
    values = [0.0, 1.0, 1.0, 0.5, 1.0, 0.0, 1.0, 1.0] * 25
    rows = np.array([(v, 1.0) for v in values])
    found, expected = pooled_interval(rows, ratio), bootstrap_interval(values)
    assert found.mean == expected.mean == 5.5 / 8
    assert found.low == pytest.approx(expected.low, abs=0.01) and found.high == pytest.approx(expected.high, abs=0.01)


def test_the_pooled_test_of_a_mean_is_the_paired_test() -> None:
    a, b = [1.0, 1, 1, 1, 0, 1, 1, 1, 0, 1], [0.0, 1, 0, 1, 0, 0, 1, 0, 0, 0]
    rows = [np.array([(v, 1.0) for v in values]) for values in (a, b)]
    # Five items differ, all one way: both signs of 2^5 draws are as extreme, 2 / 32.
    assert pooled_test(rows[0], rows[1], ratio) == pytest.approx(2 / 32, abs=0.01)
    assert pooled_test(rows[0], rows[1], ratio) == pytest.approx(paired_test(a, b), abs=0.01)
    assert pooled_test(rows[0], rows[0], ratio) == 1.0


def test_a_ratio_of_sums_is_not_a_mean_of_ratios() -> None:
    rows = np.array([(1.0, 1.0), (0.0, 3.0)])
    assert pooled_interval(rows, ratio).mean == 0.25
    with pytest.raises(ValueError, match="at least one"):
        pooled_interval(rows[:0], ratio)
    with pytest.raises(ValueError, match="same items"):
        pooled_test(rows, rows[:1], ratio)


def test_only_items_that_both_models_have_are_compared() -> None:
    mine, other = made([1.0, None, 1.0, 1.0]), made([0.0, 0.0, None, 1.0])
    compared = mine.against(other)
    assert compared is not None and compared.difference.mean == pytest.approx(1.0 - 0.5)
    assert made([1.0, None]).against(made([None, 1.0])) is None
    with pytest.raises(ValueError, match="cannot be compared"):
        mine.against(Metric("other", mine.rows, ratio, mine.items))


@pytest.mark.parametrize(("higher", "verdict"), [(True, "better"), (False, "worse")])
def test_a_verdict_needs_a_difference_and_knows_the_direction(higher: bool, verdict: str) -> None:
    high, low = made([1.0] * 12, higher_is_better=higher), made([0.0] * 12, higher_is_better=higher)
    found = high.against(low)
    assert found is not None and found.verdict == verdict and found.p < 0.01
    few = made([1.0] * 3, higher_is_better=higher).against(made([0.0] * 3, higher_is_better=higher))
    assert few is not None and few.verdict == "no difference shown", "three items cannot show anything"


def test_chance_groups_and_json() -> None:
    metric = made([1.0] * 10, chance=0.5)
    assert metric.p is not None and metric.p < 0.01
    assert made([1.0, 0.0], chance=0.5).p == 1.0
    whole = made([1.0, 0.0, None, 1.0])
    groups = by_group([whole], ["zh", "zh", "en", "en"])
    assert [(name, ms[0].interval.mean, len(ms[0].items)) for name, ms in groups.items()] == [
        ("zh", 0.5, 2),
        ("en", 1, 1),
    ]
    assert by_group([whole], ["zh"] * 4) == {} and part(whole, {2}) is None
    result = TaskResult("choice", "mine", (whole,), groups)
    plain = result.to_dict(TaskResult("choice", "base", (made([0.0, 0.0, 0.0, 1.0]),)))
    assert plain["metrics"]["m"]["value"] == 0.6667 and plain["metrics"]["m"]["items"] == 3
    assert plain["metrics"]["m"]["baseline"]["value"] == 0.25
    assert plain["metrics"]["m"]["baseline"]["difference"] == pytest.approx(1 / 3, abs=1e-4)
    assert plain["groups"]["zh"]["m"]["baseline"] is None
    assert mean("m", [None, None]) is None
    with pytest.raises(KeyError):
        result.metric("none")


def test_a_large_set_is_drawn_in_blocks() -> None:
    rows = np.array([(number % 2, 1.0) for number in range(20_000)], np.float64)
    found = pooled_interval(rows, ratio)
    # A share of one half over 20,000 items: 1.96 * sqrt(.25 / 20,000) = .0069 to either side.
    assert (found.high - found.low) / 2 == pytest.approx(0.0069, abs=0.0006)
    both = pooled_difference(rows, rows, ratio)
    assert both.mean == both.low == both.high == 0
