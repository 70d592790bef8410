"""Captions and the table or figure that they belong to: 表 3 各部门人数, Figure 2: The dome.

Called by the parsers of formats where a caption is a paragraph of its own (docx, pptx, odt, txt). A caption of a table
stands above it, one of a figure below it, as a rule; where there is nothing on that side, the other is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

MAX_CAPTION = 200
_NUMBER = r"\s*(?:[A-Z]\s*[-.]?\s*)?(?:\d+|[一二三四五六七八九十]+|[IVX]+)(?:\s*[-.–—]\s*\d+)*"
_TABLE = re.compile(rf"(?:续?附?表格?|(?:Table|TABLE|Tab\.){{1}}\s){_NUMBER}(?=$|[\s:：.．、—–\-\u3400-\u9fff（(])")
_FIGURE = re.compile(
    rf"(?:附?图|(?:Figure|FIGURE|Fig\.|FIG\.|Chart|Diagram)\s){_NUMBER}(?=$|[\s:：.．、—–\-\u3400-\u9fff（(])"
)
_SENTENCE = re.compile(
    r"[。；;]$|^(?:续?附?[表图]|Table|Figure|Fig\.)\s*[\d.\-–]+\s*(?:[中为是示给列所]|(?:shows?|lists?|gives?|is|are|presents?)\b)"
)


def caption_kind(text: str) -> Literal["table", "figure"] | None:
    """What a paragraph that begins with its number is the caption of; None for what reads as no caption."""
    text = " ".join(text.split())
    if not text or len(text) > MAX_CAPTION or _SENTENCE.search(text):
        return None
    return "table" if _TABLE.match(text) else "figure" if _FIGURE.match(text) else None


def owner_of(at: int, kind: str | None, kinds: Sequence[str], taken: set[int]) -> int | None:
    """The position of the block that the caption at ``at`` belongs to, among its neighbours, or None."""
    order = (-1, 1) if kind == "figure" else (1, -1)
    for step in order:
        place = at + step
        if not (0 <= place < len(kinds)) or place in taken:
            continue
        if kinds[place] == kind or (kind is None and kinds[place] in ("table", "figure")):
            return place
    return None
