"""Puts the picture of a page upright: its skew from the profile of its ink, its quarter turn from what can be read.

Called by ``ocr_page``. Postl (1986) proposed the profile: summed along the text lines it has sharp steps, along any
other angle it is blurred.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lunheng.parsing.ocr import OcrEngine, OcrLine, Picture, stacked
from lunheng.types import BBox

MAX_SKEW = 12.0
"""Degrees; pages that are scanned by hand lean by less."""
MIN_SKEW = 0.15
"""Less does no harm."""
PROFILE_SIDE = 1000
"""The longer side of the picture in which the skew is looked for, in pixels."""
MAX_INK = 150_000
MIN_INK = 300
MIN_GAIN = 1.04
"""The profile must be so much sharper than that of the picture as it is,"""
MIN_PEAK = 2.0
"""and than that of most angles: lines of text give 5 to 30, pictures without them less than 1.5."""
DOUBTFUL = 0.85
"""A page read with less mean confidence may be upside down."""
ON_SIDE = 0.3
"""The profile across lines that are level is 5 to 40 times as sharp as the other one."""
SAMPLE_LINES = 6
"""So many of its longest lines tell which side is up."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a point of the upright picture stands in the picture as it was: x = ax' + by' + c, y = dx' + ey' + f."""

    matrix: tuple[float, float, float, float, float, float]
    width: int
    height: int
    """Of the picture as it was, in pixels."""

    @classmethod
    def of(cls, picture: Picture) -> Placement:
        return cls((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), picture.shape[1], picture.shape[0])

    def after(self, step: tuple[float, float, float, float, float, float]) -> Placement:
        """The placement of what ``step`` maps to the picture that this one is of."""
        a, b, c, d, e, f = self.matrix
        p, q, r, s, t, u = step
        made = (a * p + b * s, a * q + b * t, a * r + b * u + c, d * p + e * s, d * q + e * t, d * r + e * u + f)
        return Placement(made, self.width, self.height)

    def box(self, box: BBox) -> BBox:
        """The box around an upright box, in the picture as it was."""
        a, b, c, d, e, f = self.matrix
        corners = [(x, y) for x in (box[0], box[2]) for y in (box[1], box[3])]
        xs = [min(max(a * x + b * y + c, 0.0), self.width) for x, y in corners]
        ys = [min(max(d * x + e * y + f, 0.0), self.height) for x, y in corners]
        return min(xs), min(ys), max(xs), max(ys)

    def upright(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the picture as it was stands in the upright one."""
        a, b, c, d, e, f = self.matrix
        determinant = a * e - b * d
        return (e * (x - c) - b * (y - f)) / determinant, (a * (y - f) - d * (x - c)) / determinant


def find_skew(picture: Picture) -> float:
    """By how many degrees to turn the picture counter-clockwise so that its lines are level or upright; 0 if unsure."""
    x, y = _ink(picture)
    if len(x) < MIN_INK:
        return 0.0
    angles = np.arange(-MAX_SKEW, MAX_SKEW + 0.01, 0.5)
    sharp = [max(_sharpness(x, y, a), _sharpness(y, -x, a)) for a in angles.tolist()]
    flat = sharp[len(sharp) // 2]
    best = float(angles[int(np.argmax(sharp))])
    fine = np.arange(best - 0.4, best + 0.41, 0.1)
    finer = [max(_sharpness(x, y, a), _sharpness(y, -x, a)) for a in fine.tolist()]
    best = float(fine[int(np.argmax(finer))])
    sure = max(finer) > max(MIN_GAIN * flat, MIN_PEAK * float(np.median(sharp)))
    return best if sure and abs(best) >= MIN_SKEW else 0.0


def is_on_side(picture: Picture) -> bool:
    """Whether the lines of a picture without skew stand upright, so that it need not be read to be turned."""
    x, y = _ink(picture)
    return len(x) >= MIN_INK and _sharpness(x, y, 0) < ON_SIDE * _sharpness(y, -x, 0)


def _ink(picture: Picture) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The places of dark edges, from the middle of a small copy of the picture."""
    from PIL import Image

    image = Image.fromarray(picture).convert("L")
    factor = max(1, math.ceil(max(image.size) / PROFILE_SIDE))
    grey = np.asarray(image.reduce(factor), dtype=np.int16)
    # The lower edges of what is dark against its surroundings: thin for letters, and the shade of a photograph has none.
    edge = (grey[1:] - grey[:-1] > 40) | (grey[:-1] - grey[1:] > 40)
    ys, xs = np.nonzero(edge)
    if len(xs) > MAX_INK:
        step = len(xs) // MAX_INK + 1
        xs, ys = xs[::step], ys[::step]
    # Whole numbers make a profile of their own at some angles: each point goes to a place of its own within its pixel.
    jitter = np.random.default_rng(0).uniform(-0.5, 0.5, (2, len(xs)))
    return xs - grey.shape[1] / 2 + jitter[0], ys - grey.shape[0] / 2 + jitter[1]


def _sharpness(x: NDArray[np.float64], y: NDArray[np.float64], degrees: float) -> float:
    """How uneven the profile across lines is that would be level after a turn by ``degrees``."""
    angle = math.radians(degrees)
    across = y * math.cos(angle) - x * math.sin(angle)
    profile = np.bincount((across - across.min()).astype(np.int64)).astype(np.float64)
    return float((np.diff(profile) ** 2).sum())


def without_skew(picture: Picture, degrees: float, placement: Placement) -> tuple[Picture, Placement]:
    """The picture turned counter-clockwise about its middle, on white."""
    from PIL import Image

    image = Image.fromarray(picture)
    turned = image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(255, 255, 255))
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cx, cy, tx, ty = image.width / 2, image.height / 2, turned.width / 2, turned.height / 2
    step = (cos, -sin, cx - cos * tx + sin * ty, sin, cos, cy - sin * tx - cos * ty)
    return np.asarray(turned), placement.after(step)


def turned(picture: Picture, quarters: int, placement: Placement) -> tuple[Picture, Placement]:
    """The picture turned counter-clockwise by so many quarters."""
    height, width = picture.shape[:2]
    step = {
        0: (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        1: (0.0, -1.0, float(width), 1.0, 0.0, 0.0),
        2: (-1.0, 0.0, float(width), 0.0, -1.0, float(height)),
        3: (0.0, 1.0, 0.0, -1.0, 0.0, float(height)),
    }[quarters]
    return np.ascontiguousarray(np.rot90(picture, quarters)), placement.after(step)


def find_quarters(picture: Picture, lines: list[OcrLine], engine: OcrEngine) -> int:
    """By how many quarters to turn the picture counter-clockwise so that its text, read as ``lines``, is upright.

    Tall lines mean that it lies on its side; doubtful ones that it may be upside down. Its longest lines are then
    read again both ways round.
    """
    strips = [line for line in lines if _length(line) >= 2]
    if not strips:
        return 0
    total = sum(map(_length, strips))
    on_side = 2 * sum(_length(line) for line in strips if _is_tall(line)) > total
    if not on_side and sum(line.confidence * _length(line) for line in strips) >= DOUBTFUL * total:
        return 0
    longest = sorted((s for s in strips if _is_tall(s) == on_side), key=_length, reverse=True)[:SAMPLE_LINES]
    sample = _sample(picture, [line.bbox for line in longest], on_side)
    ways = (1, 3) if on_side else (0, 2)
    evidence = [_evidence(engine.read(np.ascontiguousarray(np.rot90(sample, way - ways[0])))) for way in ways]
    return ways[int(evidence[1] > evidence[0])]


def _length(line: OcrLine) -> float:
    """In line heights."""
    x0, top, x1, bottom = line.bbox
    across, down = max(x1 - x0, 1.0), max(bottom - top, 1.0)
    return max(across / down, down / across)


def _is_tall(line: OcrLine) -> bool:
    x0, top, x1, bottom = line.bbox
    return bottom - top > 1.5 * (x1 - x0)


def _sample(picture: Picture, boxes: list[BBox], on_side: bool) -> Picture:
    """The strips in ``boxes`` below one another on white; those on their side turned once counter-clockwise."""
    strips = []
    for x0, top, x1, bottom in boxes:
        pad = int(0.3 * min(x1 - x0, bottom - top)) + 2
        strip = picture[max(int(top) - pad, 0) : int(bottom) + pad, max(int(x0) - pad, 0) : int(x1) + pad]
        strips.append(np.rot90(strip) if on_side else strip)
    return stacked(strips)[0]


def _evidence(lines: list[OcrLine]) -> float:
    """How much was read, surely: letters weighed by the cube of their confidence."""
    return sum(len(line.text) * line.confidence**3 for line in lines)
