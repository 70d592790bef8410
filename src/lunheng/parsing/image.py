"""Pictures as documents, by text recognition: png, jpeg, tiff (each frame a page), bmp, gif, webp.

Called by ``dispatch``. A picture says nothing sure of its resolution, so boxes of its elements are in its own pixels,
as it is shown (turned as its EXIF says). Of an animation the first frame is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from lunheng.errors import LimitError, NoTextError, ParseError, UnsupportedFormatError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.figures import as_jpeg
from lunheng.parsing.ocr import REMEDY, Picture, engine_name, open_engine
from lunheng.parsing.ocr_page import read_picture
from lunheng.parsing.ocr_sizes import even_sizes
from lunheng.parsing.pdf_layout import Line, page_lines
from lunheng.parsing.pdf_structure import PagesAround, Structure
from lunheng.types import Document, Limits

FORMATS = {"PNG": "png", "JPEG": "jpeg", "TIFF": "tiff", "BMP": "bmp", "GIF": "gif", "WEBP": "webp"}
"""Pillow's names, and ours."""
MIN_SIDE = 16
"""No letter that can be read is in a smaller picture."""
_TAKEN, _ARTIST, _EXIF = 0x9003, 0x013B, 0x8769


class ImageParser:
    """Reads pictures. ``ocr`` is the setting parsing.ocr."""

    def __init__(self, ocr: str = "auto") -> None:
        self._ocr = ocr

    def parse(self, source: Path, limits: Limits) -> Document:
        """The text of a picture; below its figure, where it is to be described.

        Raises:
            NoTextError: it has no text, and is not to be described.
            UnsupportedFormatError: no engine is in use, and likewise.
        """
        data = read_bytes(source, limits)
        name = engine_name(self._ocr)
        if name is None and not limits.describe_figures:
            reason = "OCR is off: set parsing.ocr" if self._ocr == "off" else f"no OCR engine is installed: {REMEDY}"
            raise UnsupportedFormatError(f"{source}: a picture, and {reason}")
        engine = open_engine(name) if name else None
        lines: list[Line] = []
        around = PagesAround()
        with open_image(data, source) as image:
            builder = DocumentBuilder(source, FORMATS[image.format], data)
            _read_properties(image, builder)
            for number, picture in _pages(image, source, limits):
                if len(builder.pictures) < limits.describe_figures:
                    builder.add("figure", "", page=number, picture=as_jpeg(picture))
                elif limits.describe_figures:
                    builder.warn(f"only {limits.describe_figures} pages were described; raise parsing.describe_figures")
                if engine is None:
                    continue
                page = read_picture(picture, engine, None)
                tables, segments = page.tables()
                around.heights[number], around.places[number] = page.height, page.place
                lines.extend(page_lines(segments, number, tables))
        if not lines and not builder.pictures:
            raise NoTextError(f"{source}: no text was recognised in the picture")
        even_sizes(lines)
        Structure(lines, {}, builder, around).write()
        for warning in engine.warnings if engine is not None else ():
            builder.warn(warning)
        return builder.build()


def open_image(data: bytes, name: Path | str) -> Any:
    """A Pillow image whose pixels are not decoded yet; only of the formats that are read here.

    Raises:
        ParseError: if it is damaged.
    """
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # the limit is ours: ``check_size`` before any pixel is decoded
    try:
        return Image.open(BytesIO(data), formats=list(FORMATS))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ParseError(f"{name}: a damaged or truncated picture ({error}); save it again from its program") from error


def check_size(image: Any, name: Path | str, max_pixels: int) -> None:
    """Raises LimitError for a picture with more than ``max_pixels``, as its header claims."""
    if image.width * image.height > max_pixels:
        raise LimitError(
            f"{name}: {image.width:,} x {image.height:,} pixels, over the limit of {max_pixels:,}; "
            "make it smaller or raise parsing.max_pixels"
        )


def decoded(image: Any, name: Path | str) -> Picture:
    """The pixels of a picture as it is shown: turned as its EXIF says, on white where it is transparent.

    Raises:
        ParseError: if its data are damaged.
    """
    from PIL import Image, ImageOps

    try:
        image.draft("RGB", (3600, 3600))  # a JPEG is decoded no larger than it is read
        shown = ImageOps.exif_transpose(image)
        if shown.mode in ("I", "F", "I;16", "I;16B", "I;16L"):
            values = np.asarray(shown, dtype=np.float64)
            low, high = float(values.min()), float(values.max())
            shown = Image.fromarray(((values - low) * (255 / max(high - low, 1))).astype(np.uint8))
        if shown.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in shown.info:
            shown = shown.convert("RGBA")
            shown = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
        return np.asarray(shown.convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        raise ParseError(f"{name}: a damaged or truncated picture ({error}); save it again from its program") from error


def _pages(image: Any, source: Path, limits: Limits) -> Iterator[tuple[int, Picture]]:
    """Page numbers and pictures: the frames of a TIFF, else one."""
    count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    if count > limits.max_pages:
        raise LimitError(
            f"{source}: {count:,} pages, over the limit of {limits.max_pages:,}; "
            "split the file or raise parsing.max_pages"
        )
    for index in range(count):
        if index:
            try:
                image.seek(index)
            except (OSError, EOFError, ValueError, SyntaxError) as error:
                raise ParseError(f"{source}: page {index + 1} is damaged ({error}); save it again") from error
        check_size(image, source, limits.max_pixels)
        if min(image.size) >= MIN_SIDE:
            yield index + 1, decoded(image, source)


def _read_properties(image: Any, builder: DocumentBuilder) -> None:
    """Title, author and the time when it was taken, as far as the picture says."""
    title = image.info.get("Title")
    builder.title = title if isinstance(title, str) else ""
    exif = image.getexif()
    author = exif.get(_ARTIST) or image.info.get("Author")
    builder.author = author if isinstance(author, str) else None
    taken = exif.get_ifd(_EXIF).get(_TAKEN)
    if isinstance(taken, str):
        try:
            builder.created_at = datetime.strptime(taken[:19], "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            builder.warn(f"the time when it was taken is not readable: {taken[:30]!r}")
