"""The picture of a page to segments and rules, as the text layer of a PDF page gives them.

Called by the PDF parser for pages without a readable text layer, and by the image parser. What follows (columns,
paragraphs, headings, tables) is then the same for recognised pages as for others: ``pdf_layout``, ``pdf_tables`` and
``pdf_structure``. The picture is put upright first; everything here is measured on the upright picture, and
``OcrPage.place`` says where a box of it stands on the page as it is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from lunheng.parsing.ocr import OcrEngine, OcrLine, Picture
from lunheng.parsing.ocr_rules import picture_rules
from lunheng.parsing.ocr_upright import Placement, find_quarters, find_skew, turned, without_skew
from lunheng.parsing.pdf_glyphs import Segment, is_cjk
from lunheng.parsing.pdf_layout import Line
from lunheng.parsing.pdf_rows import Grid
from lunheng.parsing.pdf_rules import Rules
from lunheng.parsing.pdf_tables import Table, find_grids, take_tables, with_open_tables
from lunheng.types import BBox

MIN_CONFIDENCE = 0.5
"""A line that was read with less says nothing."""
MAX_SIDE = 3600
"""A picture with more pixels on its longer side is made smaller: A4 at 300 dpi has fewer."""
SMALL_TEXT = 16.0
"""Lines lower than this, in pixels, are read again from a picture twice the size."""
USUAL_SIZE = 10.5
PLAUSIBLE_SIZES = (5.0, 24.0)
"""Body text of other sizes, in points, means that the scale of the picture is not true."""
EVEN = 0.17
"""Sizes of one font differ by no more than this share, as they are measured from the boxes of lines."""
APART = 1.12
"""A step between two measured sizes that parts two fonts."""
MIN_EMS = 1.5
"""The length of fewer letters says nothing of their size."""
_DESCENDERS = frozenset("gjpqyQ,;()[]{}|/$§")
_SHORT = frozenset("acemnorsuvwxz")
_MARKS = frozenset(".,:;'\"-–—_·…、。，")


@dataclass(frozen=True, slots=True)
class OcrPage:
    """What was recognised on one page: lengths in points of the upright page."""

    segments: list[Segment]
    rules: Rules
    width: float
    height: float
    scale: float
    """Points of the upright page to a pixel of the picture."""
    placement: Placement
    unit: float
    """Points of the page as it is to a pixel of the picture."""

    def place(self, box: BBox) -> BBox:
        """Where a box of the upright page stands on the page as it is."""
        x0, top, x1, bottom = self.placement.box(_scaled(box, 1 / self.scale))
        return tuple(round(v * self.unit, 1) for v in (x0, top, x1, bottom))  # type: ignore[return-value]

    def with_layer(self, layer: Iterable[Segment]) -> OcrPage:
        """With the segments of a thin text layer that stand where nothing was recognised."""
        added = []
        for segment in layer:
            corners = [
                self.placement.upright(x / self.unit, y / self.unit)
                for x, y in ((segment.x0, segment.top), (segment.x1, segment.bottom))
            ]
            xs, ys = sorted(x * self.scale for x, _ in corners), sorted(y * self.scale for _, y in corners)
            x, y = sum(xs) / 2, sum(ys) / 2
            if not any(s.x0 <= x <= s.x1 and s.top - 1 <= y <= s.bottom + 1 for s in self.segments):
                added.append(replace(segment, x0=xs[0], x1=xs[1], top=ys[0], bottom=ys[1]))
        return replace(self, segments=[*self.segments, *added])

    def tables(self) -> tuple[list[Table], list[Segment]]:
        """The tables, in their order down the page, and the segments that are in none."""
        grids = find_grids(self.rules)
        segments = list(_cut(self.segments, grids))
        _, ruled, rest = take_tables(grids, segments)
        return with_open_tables(self.rules, ruled, rest)


def read_picture(picture: Picture, engine: OcrEngine, points_to_pixel: float | None) -> OcrPage:
    """Put a picture upright and read it. ``points_to_pixel`` is None where its resolution is not known."""
    unit = points_to_pixel or 1.0
    placement = Placement.of(picture)
    picture, placement = _fitting(picture, placement)
    picture = _with_contrast(picture)
    if skew := find_skew(picture):
        picture, placement = without_skew(picture, skew, placement)
    lines = engine.read(picture)
    if quarters := find_quarters(picture, lines, engine):
        picture, placement = turned(picture, quarters, placement)
        lines = engine.read(picture)
    lines = [line for line in lines if line.confidence >= MIN_CONFIDENCE]
    if 0 < _usual_size(lines) < SMALL_TEXT and 2 * max(picture.shape) <= MAX_SIDE:
        picture, placement = _resized(picture, 2.0, placement)
        lines = [line for line in engine.read(picture) if line.confidence >= MIN_CONFIDENCE]
    size = _usual_size(lines) or 20.0
    # The placement's own enlargement is part of the scale between the page and this picture.
    stretch = (abs(placement.matrix[0] * placement.matrix[4] - placement.matrix[1] * placement.matrix[3])) ** 0.5
    scale = unit * stretch
    if points_to_pixel is None or not PLAUSIBLE_SIZES[0] <= size * scale <= PLAUSIBLE_SIZES[1]:
        scale = USUAL_SIZE / size
    height, width = picture.shape[:2]
    return OcrPage(
        [_segment(line, scale) for line in lines],
        picture_rules(picture, size, scale) if lines else Rules(),
        width * scale,
        height * scale,
        scale,
        placement,
        unit,
    )


def _fitting(picture: Picture, placement: Placement) -> tuple[Picture, Placement]:
    longest = max(picture.shape)
    return _resized(picture, MAX_SIDE / longest, placement) if longest > MAX_SIDE else (picture, placement)


def _resized(picture: Picture, factor: float, placement: Placement) -> tuple[Picture, Placement]:
    from PIL import Image

    height, width = picture.shape[:2]
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    made = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(made), placement.after((width / size[0], 0.0, 0.0, 0.0, height / size[1], 0.0))


def _with_contrast(picture: Picture) -> Picture:
    """Faint print made darker: grey values stretched where they fill less than half of the range."""
    low, high = np.percentile(picture[::4, ::4], (0.5, 99.5))
    if high - low >= 128 or high - low < 8:
        return picture
    stretched: Picture = np.clip((picture.astype(np.float32) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    return stretched


def _usual_size(lines: list[OcrLine]) -> float:
    """The font size, in pixels, that most of the text has; 0 without text."""
    sizes = np.repeat([_size(line) for line in lines], [len(line.text) for line in lines])
    return float(np.median(sizes)) if len(sizes) else 0.0


def _size(line: OcrLine) -> float:
    """The font size of a line, in pixels: from its length and the usual widths of its letters.

    Boxes are closer to the truth in their length than in their height. Few letters, and letters set apart, are
    measured by what their height reaches.
    """
    ems = sum(map(_width, line.text))
    by_width = (line.bbox[2] - line.bbox[0]) / max(ems, 0.1)
    by_height = _size_by_height(line)
    return by_width if ems >= MIN_EMS and 0.5 * by_height < by_width < 1.8 * by_height else by_height


def _width(letter: str) -> float:
    """The usual width of a letter, in font sizes."""
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    if letter in "ijlI.,:;'|!":
        return 0.25
    if letter in "frt()[]-/ ":
        return 0.31
    if letter in "mwMW@%":
        return 0.85
    return 0.68 if letter.isupper() else 0.55


def _size_by_height(line: OcrLine) -> float:
    height = line.bbox[3] - line.bbox[1]
    letters = [c for c in line.text if c not in _MARKS and not c.isspace()]
    if not letters:
        return height
    if any(is_cjk(c) for c in letters):
        return height / 0.92
    below = any(c in _DESCENDERS for c in line.text)
    if all(c in _SHORT or c in _DESCENDERS for c in letters):
        return height / (0.75 if below else 0.55)
    return height / (0.97 if below else 0.77)


def _segment(line: OcrLine, scale: float) -> Segment:
    x0, top, x1, bottom = _scaled(line.bbox, scale)
    return Segment(line.text, x0, top, x1, bottom, _size(line) * scale, 0, confidence=line.confidence)


def _scaled(box: BBox, factor: float) -> BBox:
    return box[0] * factor, box[1] * factor, box[2] * factor, box[3] * factor


def _cut(segments: list[Segment], grids: list[Grid]) -> Iterable[Segment]:
    """The segments, cut where an upright border of a table crosses them."""
    for segment in segments:
        places = sorted(
            border.place
            for grid in grids
            for border in grid.borders
            if segment.x0 + segment.height < border.place < segment.x1 - segment.height
            and border.start <= segment.middle <= border.end
        )
        rest = segment
        for place in places:
            at = _split_at(rest, place)
            if at is None:
                continue
            before, after = rest.text[:at].rstrip(), rest.text[at:].lstrip()
            yield replace(rest, text=before, x1=place - 1)
            rest = replace(rest, text=after, x0=place + 1)
        yield rest


def _split_at(segment: Segment, place: float) -> int | None:
    """The character before which a border at ``place`` stands: at a space, if there is one near."""
    widths = [_width(c) for c in segment.text]
    edges = segment.x0 + np.cumsum([0.0, *widths]) / sum(widths) * (segment.x1 - segment.x0)
    at = int(np.argmin(np.abs(edges - place)))
    near = [i for i in range(max(at - 3, 1), min(at + 4, len(segment.text))) if segment.text[i] == " "]
    at = min(near, key=lambda i: abs(edges[i] - place)) if near else at
    return at if segment.text[:at].strip() and segment.text[at:].strip() else None


def even_sizes(lines: Iterable[Line]) -> None:
    """Give recognised lines of one font the same size: what differs by little was only measured so.

    Sizes near the usual one become it (that of the text layers, where a document has those too); larger and smaller
    ones are gathered where a gap parts them.
    """
    plain = [line for line in lines if line.table is None]
    read = sorted((line for line in plain if line.confidence is not None), key=lambda line: line.size)
    if not read:
        return
    usual = _weighted_median(read)
    layer = [line for line in plain if line.confidence is None]
    if layer and abs(_weighted_median(layer) - usual) <= EVEN * usual:
        usual = _weighted_median(layer)
    groups: list[list[Line]] = []
    for line in read:
        near = abs(line.size - usual) <= EVEN * usual
        if (
            groups
            and line.size <= APART * groups[-1][-1].size
            and near == (abs(groups[-1][-1].size - usual) <= EVEN * usual)
        ):
            groups[-1].append(line)
        else:
            groups.append([line])
    sizes = [usual if abs(g[-1].size - usual) <= EVEN * usual else _weighted_median(g) for g in groups]
    for group, size in zip(groups, sizes, strict=True):
        for line in group:
            line.size = size


def _weighted_median(lines: Iterable[Line]) -> float:
    return float(np.median(np.repeat([line.size for line in lines], [len(line.text) for line in lines])))
