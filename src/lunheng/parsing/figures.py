"""Pictures inside other documents: their text, where parsing.ocr_figures allows so many of them, and the pictures
themselves for a vision model, where parsing.describe_figures does.

Called by the parsers for their figures: a picture's bytes in, what was made of it out. A picture that comes again, as a
logo on every slide does, is read once, and handed over where it first stands; icons are left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

from lunheng.errors import ParseError
from lunheng.types import Limits, content_id

if TYPE_CHECKING:
    from lunheng.parsing.ocr import Picture

MIN_SIDE = 64
"""Pixels; a smaller picture is an icon."""
MAX_SIDE = 1024
"""Pixels of the longer side of what is handed over: vision models see no more."""
_QUALITY = 85
_NAME = "a picture in it"


@dataclass(frozen=True, slots=True)
class FigureFound:
    """What stands in a picture, lines in reading order, and the picture where it is to be described."""

    text: str = ""
    confidence: float | None = None
    """None where there is no text."""
    jpeg: bytes = b""


class FigureReader:
    """The pictures of one document. ``setting`` is parsing.ocr; ``limits`` say how many are recognised and handed over."""

    def __init__(self, setting: str, limits: Limits) -> None:
        self._limits = limits
        self._setting = setting
        self._known: dict[str, FigureFound] = {}
        self._allowed = {
            "ocr_figures": limits.ocr_figures if setting != "off" else 0,
            "describe_figures": limits.describe_figures,
        }
        self._left = dict(self._allowed)
        self.warnings: list[str] = []

    def wants(self, text: bool = True) -> bool:
        """Whether the settings allow any picture to be handed over or, with ``text``, to be recognised."""
        return self._allowed["describe_figures"] > 0 or (text and self._allowed["ocr_figures"] > 0)

    def read(self, data: bytes) -> FigureFound:
        """What is in a picture file; nothing where it is no picture that is read here, or one too many."""
        return self._once(content_id(data), lambda: self._decoded(data), True) if data else FigureFound()

    def read_pixels(self, picture: Picture, text: bool) -> FigureFound:
        """The same for a picture that was drawn already; without ``text`` it is not recognised."""
        return self._once(content_id(picture.tobytes()), lambda: picture, text)

    def _once(self, key: str, source: Callable[[], Picture | None], text: bool) -> FigureFound:
        if not self.wants(text):
            return FigureFound()
        if key not in self._known:
            recognise, hand_over = (
                text and self._may("ocr_figures", "recognised"),
                self._may("describe_figures", "described"),
            )
            if not (recognise or hand_over):
                return FigureFound()
            found = self._made(source, recognise, hand_over)
            self._known[key] = replace(found, jpeg=b"")
            return found
        return self._known[key]

    def _may(self, setting: str, what: str) -> bool:
        """Whether one more picture is within the setting."""
        if self._allowed[setting] and not self._left[setting]:
            self._warn(f"only {self._allowed[setting]} pictures were {what}; raise parsing.{setting}")
        return self._left[setting] > 0

    def _made(self, source: Callable[[], Picture | None], recognise: bool, hand_over: bool) -> FigureFound:
        try:
            picture = source()
        except ParseError as error:  # of a drawing (EMF, SVG), or damaged: the rest of the document is sound
            self._warn(f"a picture was not read: {error}")
            return FigureFound()
        if picture is None or min(picture.shape[:2]) < MIN_SIDE:
            return FigureFound()
        self._left["ocr_figures"] -= recognise
        self._left["describe_figures"] -= hand_over
        text, confidence = self._recognise(picture) if recognise else ("", None)
        return FigureFound(text, confidence, as_jpeg(picture) if hand_over else b"")

    def _decoded(self, data: bytes) -> Picture | None:
        from lunheng.parsing.image import check_size, decoded, open_image

        with open_image(data, _NAME) as image:
            check_size(image, _NAME, self._limits.max_pixels)
            return decoded(image, _NAME) if min(image.size) >= MIN_SIDE else None

    def _recognise(self, picture: Picture) -> tuple[str, float | None]:
        from lunheng.parsing.ocr import REMEDY, engine_name, open_engine
        from lunheng.parsing.ocr_page import read_picture
        from lunheng.parsing.pdf_layout import mean_confidence, page_lines

        name = engine_name(self._setting)
        if name is None:
            self._warn(f"pictures were not recognised: no OCR engine is installed: {REMEDY}")
            return "", None
        page = read_picture(picture, open_engine(name), None)
        lines = page_lines(page.segments, 1, (), page.height)
        return "\n".join(line.text for line in lines), mean_confidence(lines)

    def _warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)


def as_jpeg(picture: Picture) -> bytes:
    """A picture as JPEG, its longer side at most ``MAX_SIDE``."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    written = BytesIO()
    image.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()
