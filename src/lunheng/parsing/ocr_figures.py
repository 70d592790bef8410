"""The text in pictures inside other documents, where the setting parsing.ocr_figures allows so many of them.

Called by the parsers of docx, pptx and pdf for their figures: a picture in, its text and confidence out. A picture
that comes again, as a logo on every slide does, is read once; icons are not read at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lunheng.errors import ParseError
from lunheng.types import Limits, content_id

if TYPE_CHECKING:
    from lunheng.parsing.ocr import Picture

MIN_SIDE = 64
"""Pixels; a smaller picture is an icon."""


@dataclass(frozen=True, slots=True)
class FigureText:
    """What stands in a picture; lines in reading order. ``confidence`` is None where there is no text."""

    text: str = ""
    confidence: float | None = None


class FigureReader:
    """The pictures of one document. ``setting`` is parsing.ocr; ``limits.ocr_figures`` is how many are read."""

    def __init__(self, setting: str, limits: Limits) -> None:
        self._limits = limits
        self._setting = setting
        self._known: dict[str, FigureText] = {}
        self._left = limits.ocr_figures if setting != "off" else 0
        self.warnings: list[str] = []

    @property
    def reads(self) -> bool:
        """Whether the settings allow any picture to be read."""
        return self._limits.ocr_figures > 0 and self._setting != "off"

    def read(self, data: bytes) -> FigureText:
        """The text of a picture file; none where it has none, is no picture that is read here, or is one too many."""
        return self._once(content_id(data), lambda: self._decoded(data))

    def read_pixels(self, picture: Picture) -> FigureText:
        """The same for a picture that was drawn already."""
        return self._once(content_id(picture.tobytes()), lambda: picture)

    def _once(self, key: str, picture: Callable[[], Picture | None]) -> FigureText:
        if not self.reads:
            return FigureText()
        if key not in self._known:
            if self._left == 0:
                self._warn(f"only {self._limits.ocr_figures} pictures were recognised; raise parsing.ocr_figures")
                return FigureText()
            self._known[key] = self._recognise(picture)
        return self._known[key]

    def _decoded(self, data: bytes) -> Picture | None:
        from lunheng.parsing.image import check_size, decoded, open_image

        with open_image(data, "a picture in it") as image:
            check_size(image, "a picture in it", self._limits.max_pixels)
            return decoded(image, "a picture in it") if min(image.size) >= MIN_SIDE else None

    def _recognise(self, source: Callable[[], Picture | None]) -> FigureText:
        from lunheng.parsing.ocr import REMEDY, engine_name, open_engine
        from lunheng.parsing.ocr_page import read_picture
        from lunheng.parsing.pdf_layout import mean_confidence, page_lines

        name = engine_name(self._setting)
        if name is None:
            self._warn(f"pictures were not recognised: no OCR engine is installed: {REMEDY}")
            return FigureText()
        try:
            picture = source()
            if picture is None or min(picture.shape[:2]) < MIN_SIDE:
                return FigureText()
            self._left -= 1
            page = read_picture(picture, open_engine(name), None)
        except ParseError as error:  # of a drawing (EMF, SVG), or damaged: the rest of the document is sound
            self._warn(f"a picture was not recognised: {error}")
            return FigureText()
        lines = page_lines(page.segments, 1, (), page.height)
        return FigureText("\n".join(line.text for line in lines), mean_confidence(lines))

    def _warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)
