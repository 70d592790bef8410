"""Lines that were broken for width, made into running text again.

Called by the parsers of formats where a line end means nothing: reStructuredText, TeX, Org.
"""

from __future__ import annotations

import re

_WIDE = r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uff60]"
_BETWEEN_WIDE = re.compile(rf"(?<={_WIDE})[ \t]*\n\s*(?={_WIDE})")


def unwrapped(text: str) -> str:
    """One line; no space comes between Chinese characters, one elsewhere. A NUL stands for a line end that is meant."""
    lines = (" ".join(_BETWEEN_WIDE.sub("", line).split()) for line in text.split("\0"))
    return "\n".join(line for line in lines if line)
