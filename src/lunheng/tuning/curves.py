"""The curves of a run as a picture: the loss, and whatever else was logged. Called by ``run`` and from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lunheng.errors import MissingExtraError

CURVES = "curves.png"
_NOT_DRAWN = ("step", "epoch", "num_input_tokens_seen", "total_flos", "step_time", "num_tokens")
_NOT_DRAWN_ENDS = ("_runtime", "_per_second", "train_loss")
SMOOTHED = 0.9
"""Weight of the past in the smoothed loss."""


def draw_curves(log: Sequence[dict[str, float]], path: Path) -> None:
    """One panel a metric, training and evaluation together, over the steps.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "tune") from error
    series: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for entry in log:
        for name, value in entry.items():
            if name in _NOT_DRAWN or name.endswith(_NOT_DRAWN_ENDS):
                continue
            metric = name.removeprefix("eval_")
            side = "evaluation" if name.startswith("eval_") else "training"
            series.setdefault(metric, {}).setdefault(side, []).append((entry["step"], value))
    names = sorted(series, key=lambda name: (name != "loss", name))
    if not names:
        return
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(5 * columns, 3.4 * rows), layout="constrained")
    for number, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, number + 1)
        for side, points in series[name].items():
            steps, values = [p[0] for p in points], [p[1] for p in points]
            if side == "training" and len(values) > 20:
                axes.plot(steps, values, color="C0", alpha=0.25, linewidth=1)
                axes.plot(steps, _smoothed(values), color="C0", label=side)
            else:
                colour, mark = ("C1", "o") if side == "evaluation" else ("C0", None)
                axes.plot(steps, values, color=colour, marker=mark, markersize=3, label=side)
        axes.set_title(name.replace("_", " "))
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if len(series[name]) > 1:
            axes.legend()
    figure.savefig(path, dpi=110)


def _smoothed(values: Sequence[float]) -> list[float]:
    """The exponential mean, corrected for its beginning."""
    mean, weight, made = 0.0, 0.0, []
    for value in values:
        mean = SMOOTHED * mean + (1 - SMOOTHED) * value
        weight = SMOOTHED * weight + (1 - SMOOTHED)
        made.append(mean / weight)
    return made
