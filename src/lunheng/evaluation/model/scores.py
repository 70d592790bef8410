"""What a task measured: metrics with intervals, by item, so that two models can be compared on the same items.

Called by every task and by ``lunheng eval model``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lunheng.evaluation.statistics import (
    Interval,
    Pool,
    paired_test,
    pooled_difference,
    pooled_interval,
    pooled_test,
)

SIGNIFICANT = 0.05
"""Below this p-value a difference is called one."""


@dataclass(frozen=True)
class Comparison:
    """A metric of a model against that of a baseline, on the items that both have."""

    difference: Interval
    """The model's minus the baseline's, with the 95% interval of the paired bootstrap."""
    p: float
    """Two-sided, of the paired randomisation test."""
    verdict: Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True)
class Metric:
    """One measure over a set: a mean, or whatever ``of`` makes of the items' totals."""

    name: str
    rows: NDArray[np.float64]
    """float64 (items, k): what each item adds to the totals."""
    of: Pool
    items: tuple[int, ...]
    """The number of each row's item in the set, rising: an item that could not be judged has none."""
    higher_is_better: bool = True
    chance: float | None = None
    """What would be no difference (0.5 for a win rate): the metric is tested against it."""
    unit: str = ""
    """Of what its numbers are counted: perplexity by two tokenizers is in two units, and is not compared."""

    @cached_property
    def interval(self) -> Interval:
        """The value with its 95% interval."""
        return pooled_interval(self.rows, self.of)

    @property
    def p(self) -> float | None:
        """Of the difference from ``chance``; None where there is none."""
        if self.chance is None:
            return None
        values = self.of(self.rows)
        return paired_test(list(values), [self.chance] * len(values))

    def against(self, baseline: Metric) -> Comparison | None:
        """This metric against a baseline's; None where they have no item in common, or count in two units.

        Raises:
            ValueError: they are two different metrics.
        """
        if self.name != baseline.name:
            raise ValueError(f"{self.name} cannot be compared with {baseline.name}")
        both = sorted(set(self.items) & set(baseline.items))
        if not both or self.unit != baseline.unit:
            return None
        mine, other = (m.rows[np.searchsorted(m.items, both)] for m in (self, baseline))
        difference, p = pooled_difference(mine, other, self.of), pooled_test(mine, other, self.of)
        if p >= SIGNIFICANT or difference.mean == 0:
            return Comparison(difference, p, "no difference shown")
        return Comparison(difference, p, "better" if (difference.mean > 0) == self.higher_is_better else "worse")


@dataclass(frozen=True)
class TaskResult:
    """What a model scored on a set."""

    task: str
    model: str
    metrics: tuple[Metric, ...]
    groups: Mapping[str, tuple[Metric, ...]] = field(default_factory=dict)
    """The same by subject, category or language."""
    notes: tuple[str, ...] = ()
    """What the reader must know: items that could not be judged, what a number is an upper bound of."""
    records: tuple[Mapping[str, Any], ...] = ()
    """Each item: what was asked, what came, how it was scored."""
    seconds: float = 0.0

    def metric(self, name: str) -> Metric:
        """The metric called ``name``.

        Raises:
            KeyError: there is none.
        """
        return next((m for m in self.metrics if m.name == name), None) or _missing(name)

    def to_dict(self, baseline: TaskResult | None = None) -> dict[str, Any]:
        """The documented JSON."""
        return {
            "task": self.task,
            "model": self.model,
            "metrics": _plain(self.metrics, baseline.metrics if baseline else ()),
            "groups": {
                name: _plain(metrics, baseline.groups.get(name, ()) if baseline else ())
                for name, metrics in self.groups.items()
            },
            "notes": [*self.notes, *(_units(self.metrics, baseline.metrics) if baseline else ())],
            "seconds": round(self.seconds, 2),
        }


def mean(
    name: str,
    values: Sequence[float | bool | None],
    *,
    higher_is_better: bool = True,
    chance: float | None = None,
) -> Metric | None:
    """The mean of ``values``, one an item; None of them: the item has no value. None where no item has one."""
    kept = [(number, float(value)) for number, value in enumerate(values) if value is not None]
    if not kept:
        return None
    rows = np.array([(value, 1.0) for _, value in kept])
    return Metric(name, rows, ratio, tuple(number for number, _ in kept), higher_is_better, chance)


def ratio(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first total over the second."""
    return np.asarray(totals[..., 0] / totals[..., 1])


def part(metric: Metric, items: set[int]) -> Metric | None:
    """The metric over some of its items; None where it has none of them."""
    kept = [at for at, item in enumerate(metric.items) if item in items]
    if not kept:
        return None
    rows, numbers = metric.rows[kept], tuple(metric.items[at] for at in kept)
    return replace(metric, rows=rows, items=numbers)


def by_group(metrics: Sequence[Metric], groups: Sequence[str]) -> dict[str, tuple[Metric, ...]]:
    """``metrics`` by the group of each item, in the order in which groups come; nothing where there is only one."""
    names = list(dict.fromkeys(groups))
    if len(names) < 2:
        return {}
    found: dict[str, tuple[Metric, ...]] = {}
    for name in names:
        items = {number for number, group in enumerate(groups) if group == name}
        found[name] = tuple(p for p in (part(m, items) for m in metrics) if p is not None)
    return found


def given(*metrics: Metric | None) -> tuple[Metric, ...]:
    """Those that are there."""
    return tuple(m for m in metrics if m is not None)


def _plain(metrics: Sequence[Metric], baselines: Sequence[Metric]) -> dict[str, Any]:
    return {m.name: _one(m, next((b for b in baselines if b.name == m.name), None)) for m in metrics}


def _units(metrics: Sequence[Metric], baselines: Sequence[Metric]) -> list[str]:
    other = {m.name: m.unit for m in baselines}
    return [
        f"{m.name} is not compared: the two models count different tokens; see what is measured by byte"
        for m in metrics
        if m.unit != other.get(m.name, m.unit)
    ]


def _one(metric: Metric, baseline: Metric | None) -> dict[str, Any]:
    def rounded(interval: Interval) -> list[float]:
        return [round(interval.low, 4), round(interval.high, 4)]

    plain: dict[str, Any] = {
        "value": round(metric.interval.mean, 4),
        "confidence_95": rounded(metric.interval),
        "items": len(metric.items),
        "p": None if metric.p is None else round(metric.p, 4),
        "baseline": None,
    }
    compared = metric.against(baseline) if baseline is not None else None
    if baseline is not None and compared is not None:
        plain["baseline"] = {
            "value": round(baseline.interval.mean, 4),
            "difference": round(compared.difference.mean, 4),
            "confidence_95": rounded(compared.difference),
            "p": round(compared.p, 4),
            "verdict": compared.verdict,
        }
    return plain


def _missing(name: str) -> Metric:
    raise KeyError(name)
