"""Which of the distances between neighbouring sentences are large: where the subject changes.

Called by the semantic chunker. ``distances[i]`` is the cosine distance between what stands before and after the boundary
behind sentence i; the text is cut there where it is over the threshold. The first four are those of Kamradt (2023).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Method = Literal["percentile", "standard_deviation", "interquartile", "gradient", "absolute"]
DEFAULTS: dict[Method, float] = {
    "percentile": 90.0,
    "standard_deviation": 1.5,
    "interquartile": 1.5,
    "gradient": 90.0,
    "absolute": 0.2,
}
"""Thresholds where the settings give none."""


def breakpoints(distances: NDArray[np.float64], method: Method, threshold: float | None = None) -> NDArray[np.bool_]:
    """Whether the text is to be cut after each sentence but the last, (n,).

    - ``percentile``: over that percentile of the document's distances (0 to 100)
    - ``standard_deviation``: so many standard deviations over their mean
    - ``interquartile``: so many interquartile ranges over their mean
    - ``gradient``: where the distances rise faster than that percentile of their slopes (long texts of one kind, whose
      distances hardly differ)
    - ``absolute``: over that cosine distance, whatever the document's others are
    """
    value = DEFAULTS[method] if threshold is None else threshold
    if not distances.size:
        return np.zeros(0, dtype=np.bool_)
    if method == "absolute":
        return np.asarray(distances > value)
    if method == "gradient":
        if distances.size < 2:
            return np.zeros(distances.size, dtype=np.bool_)
        slopes = np.gradient(distances)
        return np.asarray(slopes > np.percentile(slopes, min(value, 100)))
    if method == "percentile":
        return np.asarray(distances > np.percentile(distances, min(value, 100)))
    if method == "standard_deviation":
        return np.asarray(distances > distances.mean() + value * distances.std())
    low, high = np.percentile(distances, (25, 75))
    return np.asarray(distances > distances.mean() + value * (high - low))
