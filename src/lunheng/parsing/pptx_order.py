"""The order in which a reader takes the shapes of a slide: by the wide gaps between them.

Called by the pptx parser. A recursive cut (Nagy and Seth 1984, XY-cut): the shapes are parted at the widest gap that
runs through all of them, across or down the slide, and each part again. Where nothing can be cut, from top to bottom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from lunheng.types import BBox

T = TypeVar("T")
ROW_HEIGHT = 12.0
"""Shapes whose tops differ by less (points) stand in one row, read left to right."""
MIN_GAP = 1.0
MAX_DEPTH = 40


def reading_order(items: Sequence[tuple[BBox, T]], depth: int = 0) -> list[tuple[BBox, T]]:
    """``items`` as they are read."""
    if len(items) < 2:
        return list(items)
    down = _widest_gap([(box[1], box[3]) for box, _ in items])
    across = _widest_gap([(box[0], box[2]) for box, _ in items])
    if depth > MAX_DEPTH or (down[0] < MIN_GAP and across[0] < MIN_GAP):
        return sorted(items, key=lambda item: (int(item[0][1] / ROW_HEIGHT), item[0][0]))
    # Columns are taken whole where the gap between them is the wider one.
    axis, cut = (1, down[1]) if down[0] >= across[0] else (0, across[1])
    before = [item for item in items if item[0][axis] < cut]
    after = [item for item in items if item[0][axis] >= cut]
    return reading_order(before, depth + 1) + reading_order(after, depth + 1)


def _widest_gap(spans: list[tuple[float, float]]) -> tuple[float, float]:
    """(width, where it ends) of the widest stretch that no span covers."""
    best, cut = 0.0, 0.0
    end: float | None = None
    for start, stop in sorted(spans):
        if end is not None and start - end > best:
            best, cut = start - end, start
        end = stop if end is None else max(end, stop)
    return best, cut
