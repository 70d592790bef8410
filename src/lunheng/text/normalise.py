"""One normal form for comparison: full width = half width, traditional = simplified, case folded.

Called by segmentation (index and query alike), query understanding and verification. The normal
form is for matching only: what is shown and quoted is always the document's own text, and offsets
do not survive.

``opencc-pyo3`` does the traditional-to-simplified step: OpenCC's phrase dictionaries (so 乾隆 keeps
its 乾 where 乾淨 becomes 干净) in Rust, 35 million characters a second, Apache-2.0 data.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opencc_pyo3 import OpenCC


@cache
def _converter() -> OpenCC:
    from opencc_pyo3 import OpenCC

    return OpenCC("t2s")


def simplify(text: str) -> str:
    """Apply NFKC (full width to half width, compatibility forms) and traditional to simplified; keep case."""
    if text.isascii():
        return text
    converted: str = _converter().convert(unicodedata.normalize("NFKC", text))
    return converted


def normalise(text: str) -> str:
    """Give the normal form of ``text``: ``simplify``, then case folding."""
    return simplify(text).casefold()
