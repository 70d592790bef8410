"""A font with Chinese and Latin letters that is there on every machine: WenQuanYi Micro Hei.

Called by ``samples``, tests and benchmarks that draw pages. A font that is not embedded is drawn only where the
system has one of its kind, and a machine without Chinese fonts leaves the page blank. It comes in the dev dependency
paperang-p2-fonts-cjk (2 MB), of which only this file is used.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from lunheng.errors import MissingExtraError

NAME = "WenQuanYiMicroHei"
_PACKAGE = "paperang_p2_fonts_cjk"


def font_path() -> Path:
    """The TrueType collection; its first face is the proportional one.

    Raises:
        MissingExtraError: if the dev dependencies are not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    path = Path(spec.origin).parent / "fonts" / "wqy-microhei.ttc" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise MissingExtraError("the font of the tests (paperang-p2-fonts-cjk)", "dev")
    return path


@cache
def embedded_font() -> str:
    """Register it with reportlab, which embeds the letters that a page uses; gives its name for ``setFont``."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(TTFont(NAME, str(font_path()), subfontIndex=0))
    return NAME


@cache
def picture_font(pixels: int) -> Any:
    """It as a Pillow font of that size."""
    from PIL import ImageFont

    return ImageFont.truetype(str(font_path()), pixels, index=0)
