"""The picture of a page to segments and rules, as the text layer of a PDF page gives them.

Called by the PDF parser for pages without a readable text layer, and by the image parser. What follows (columns,
paragraphs, headings, tables) is then the same for recognised pages as for others: ``pdf_layout``, ``pdf_tables`` and
``pdf_structure``. The picture is put upright first; everything here is measured on the upright picture, and
``OcrPage.place`` says where a box of it stands on the page as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from lunheng.parsing.ocr import OcrEngine, OcrLine, Picture
from lunheng.parsing.ocr_rules import picture_rules
from lunheng.parsing.ocr_sizes import letter_width, line_size, usual_size
from lunheng.parsing.ocr_spaces import with_number_spaces
from lunheng.parsing.ocr_upright import Placement, find_quarters, find_skew, is_on_side, turned, without_skew
from lunheng.parsing.pdf_glyphs import Segment
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
    if is_on_side(picture):
        picture, placement = turned(picture, 1, placement)
    lines = engine.read(picture)
    if quarters := find_quarters(picture, lines, engine):
        picture, placement = turned(picture, quarters, placement)
        lines = engine.read(picture)
    lines = [line for line in lines if line.confidence >= MIN_CONFIDENCE]
    if 0 < usual_size(lines) < SMALL_TEXT and 2 * max(picture.shape) <= MAX_SIDE:
        picture, placement = _resized(picture, 2.0, placement)
        lines = [line for line in engine.read(picture) if line.confidence >= MIN_CONFIDENCE]
    lines = with_number_spaces(picture, lines)
    size = usual_size(lines) or 20.0
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


def _segment(line: OcrLine, scale: float) -> Segment:
    x0, top, x1, bottom = _scaled(line.bbox, scale)
    return Segment(line.text, x0, top, x1, bottom, line_size(line) * scale, 0, confidence=line.confidence)


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
    widths = [letter_width(c) for c in segment.text]
    edges = segment.x0 + np.cumsum([0.0, *widths]) / sum(widths) * (segment.x1 - segment.x0)
    at = int(np.argmin(np.abs(edges - place)))
    near = [i for i in range(max(at - 3, 1), min(at + 4, len(segment.text))) if segment.text[i] == " "]
    at = min(near, key=lambda i: abs(edges[i] - place)) if near else at
    return at if segment.text[:at].strip() and segment.text[at:].strip() else None
