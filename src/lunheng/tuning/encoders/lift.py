"""Is the trained model better, and by how much? The gate before a model is promoted.

Called by ``embedder`` and ``reranker`` at the end of a run, on questions that training has not seen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lunheng.evaluation.runner import RetrievalReport
from lunheng.evaluation.statistics import Interval, bootstrap_interval, paired_test
from lunheng.tuning.manifest import write_manifest
from lunheng.tuning.run import Trained

METRIC = "ndcg@10"
CHANCE = 0.05
"""The most that a difference may be chance's work, two-sided, to count as one."""
LIFT = "lift.json"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same questions."""

    questions: int
    before: dict[str, Interval]
    after: dict[str, Interval]
    difference: Interval
    """Of ``METRIC``, after less before, with its 95% interval (bootstrap over questions)."""
    p: float
    """Of no difference (paired randomisation test)."""


@dataclass(frozen=True, slots=True)
class Lift:
    """What training has brought, and what it has cost."""

    held_out: Comparison
    general: Comparison | None = None
    """On a set of other questions."""
    allowed_loss: float = 0.0

    @property
    def refusal(self) -> str:
        """Why the model must not be promoted; empty where it may."""
        found = self.held_out
        change = f"{METRIC} {found.difference.mean:+.4f} on {found.questions} held-out questions, p = {found.p:.4f}"
        if found.difference.mean <= 0:
            return f"it is not better than what it was trained from ({change})"
        if found.p >= CHANCE:
            return f"its gain may be chance ({change}); train longer, or measure on more questions"
        other = self.general
        if other is not None and other.difference.mean < -self.allowed_loss and other.p < CHANCE:
            return (
                f"it has forgotten: {METRIC} {other.difference.mean:+.4f} on the general set (p = {other.p:.4f}), and "
                f"{self.allowed_loss} may be lost; train fewer steps or at a lower rate, or mix general data in"
            )
        return ""

    @property
    def better(self) -> bool:
        """Whether it may be promoted."""
        return not self.refusal

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON."""
        return {
            "better": self.better,
            "refusal": self.refusal,
            "held_out": _plain(self.held_out),
            "general": _plain(self.general) if self.general else None,
        }

    def write(self, folder: Path) -> None:
        """Into ``folder``, for whoever promotes later."""
        text = json.dumps({**self.to_dict(), "allowed_loss": self.allowed_loss}, ensure_ascii=False, indent=1)
        (folder / LIFT).write_text(text + "\n", encoding="utf-8")


def note(trained: Trained, lift: Lift) -> Trained:
    """Write ``lift`` into the run's folder, and its figures into the manifest beside those of the validation part."""
    lift.write(trained.output)
    found, made = lift.held_out, trained.manifest
    sides = ((made.before, found.before), (made.metrics, found.after))
    before, after = ({**own, **{name: i.mean for name, i in held.items()}} for own, held in sides)
    noted = replace(trained, manifest=replace(made, before=before, metrics=after))
    write_manifest(noted.manifest, trained.output)
    return noted


def compare(before: RetrievalReport, after: RetrievalReport) -> Comparison:
    """Two reports on the same questions in the same order."""
    old, new = before.per_query[METRIC], after.per_query[METRIC]
    return Comparison(
        before.queries,
        before.metrics,
        after.metrics,
        bootstrap_interval([b - a for a, b in zip(old, new, strict=True)]),
        paired_test(new, old),
    )


def _plain(found: Comparison) -> dict[str, Any]:
    def rounded(interval: Interval) -> list[float]:
        return [round(v, 4) for v in (interval.mean, interval.low, interval.high)]

    return {
        "questions": found.questions,
        "before": {name: rounded(i) for name, i in found.before.items()},
        "after": {name: rounded(i) for name, i in found.after.items()},
        "difference": rounded(found.difference),
        "p": round(found.p, 4),
    }
