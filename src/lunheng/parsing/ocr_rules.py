"""Straight rules in the picture of a page: the borders of its tables.

Called by ``ocr_page``, and by ``ocr_tesseract``, which takes them for letters. An opening with a long thin line (Serra, 1982) leaves only what is dark without a break
over that length; letters are not, and photographs are too thick.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lunheng.parsing.ocr import Picture
from lunheng.parsing.pdf_rules import Rule, Rules, merged

MIN_LENGTH = 3.0
"""Of a rule, in heights of the usual line: longer than any stroke."""
MAX_THICKNESS = 0.35
"""Of a rule, in heights of the usual line."""
MAX_RULES = 500
"""A picture with more is a drawing or a photograph."""


def picture_rules(picture: Picture, line_height: float, scale: float) -> Rules:
    """The rules of an upright picture; their places are multiplied by ``scale``. ``line_height`` is in pixels."""
    dark = _dark(picture)
    length, thickness = max(int(MIN_LENGTH * line_height), 20), max(int(MAX_THICKNESS * line_height), 3)
    level, upright = (
        [Rule((first + last) / 2 * scale, left * scale, right * scale) for first, last, left, right in blocks]
        for blocks in (_blocks(dark, length, thickness), _blocks(np.ascontiguousarray(dark.T), length, thickness))
    )
    return Rules(merged(level), merged(upright), []) if (level and upright) or len(level) > 1 else Rules()


def without_rules(picture: Picture, length: int, thickness: int) -> Picture:
    """The picture with the rules, of at least this length and at most this thickness in pixels, painted over."""
    dark = _dark(picture)
    level = _blocks(dark, length, thickness)
    upright = _blocks(np.ascontiguousarray(dark.T), length, thickness)
    if not level and not upright:
        return picture
    clean = picture.copy()
    paper = np.percentile(picture[::4, ::4].reshape(-1, 3), 90, axis=0).astype(np.uint8)
    for first, last, left, right in level:
        clean[max(first - 1, 0) : last + 2, left : right + 1] = paper
    for first, last, top, bottom in upright:
        clean[top : bottom + 1, max(first - 1, 0) : last + 2] = paper
    return clean


def _dark(picture: Picture) -> NDArray[np.bool_]:
    """What is darker than its surroundings (the mean of a wide window), so that shade and grey paper are not."""
    grey = picture.mean(axis=2, dtype=np.float32)
    size = 25
    padded = np.pad(grey, ((size + 1, size), (size + 1, size)), mode="edge").cumsum(axis=0).cumsum(axis=1)
    span = 2 * size + 1
    total = padded[span:, span:] - padded[:-span, span:] - padded[span:, :-span] + padded[:-span, :-span]
    return np.asarray(grey < total / span**2 - 25)


def _blocks(dark: NDArray[np.bool_], length: int, thickness: int) -> list[tuple[int, int, int, int]]:
    """The level rules of ``dark``: first row, last row, start, end."""
    height, width = dark.shape
    if width <= length:
        return []
    # A line that leans a little steps from row to row: a pixel above or below counts too.
    thick = dark.copy()
    thick[1:] |= dark[:-1]
    thick[:-1] |= dark[1:]
    sums = np.zeros((height, width + 1), dtype=np.int32)
    np.cumsum(thick, axis=1, out=sums[:, 1:])
    full = sums[:, length:] - sums[:, :-length] >= 0.97 * length
    blocks: list[tuple[int, int, int, int]] = []
    for y in np.flatnonzero(full.any(axis=1)).tolist():
        edges = np.flatnonzero(np.diff(np.concatenate(([False], full[y], [False])).astype(np.int8)))
        for start, end in edges.reshape(-1, 2).tolist():
            end += length - 1
            for i, (first, last, left, right) in enumerate(blocks):
                if y - last <= 2 and start < right and left < end:
                    blocks[i] = (first, y, min(left, start), max(right, end))
                    break
            else:
                blocks.append((y, y, start, end))
        if len(blocks) > MAX_RULES:
            return []
    # A row more on each side is from the thickening.
    return [block for block in blocks if block[1] - block[0] - 1 <= thickness]
