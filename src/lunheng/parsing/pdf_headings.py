"""Which blocks of a PDF are headings, and how they nest: from the outline, fonts, weight and numbers.

Called by ``pdf_structure`` with the blocks of the whole document. Headings of one look or one kind of number (第三章,
1.2) are one class; the classes in their order are the levels, the outline's own levels where there is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mode

from lunheng.parsing.numbering import heading_level, heading_rank, is_article, is_strong_heading
from lunheng.parsing.pdf_layout import Line, is_bullet

LARGER = 1.12
"""A heading's font is at least so much larger than the body's, where size alone makes it one."""
SLIGHTLY_LARGER = 1.04
"""With less, it must be a short line by itself."""
MAX_CHARACTERS = 120
MAX_LINES = 5
MAX_LARGE_CHARACTERS = 250
"""Titles in a larger font may run longer."""
MAX_ALONE = 60
LITTLE = 0.3
"""A font that more of the text has is none of headings."""
DEEPEST = 6
_UNENDED = ("。", "，", ",", ";", "；")
_ENDED = ("。", ".", "，", ",", ":", "：", "；", ";")
_Style = tuple[int, bool]
"""Font size in half points, negative, so that the largest is first; not bold."""


@dataclass(frozen=True, slots=True)
class _Heading:
    index: int
    style: _Style
    rank: int | None
    """By its number; the lower, the higher up."""
    outlined: int | None


class Headings:
    """What makes a heading in one document."""

    def __init__(self, lines: Sequence[Line], outline: Mapping[tuple[int, str], int], body_size: float) -> None:
        self._outline = outline
        self._body = body_size
        amount: Counter[int] = Counter()
        weights: Counter[int] = Counter()
        for line in lines:
            amount[size_bucket(line.size)] += len(line.text)
            weights[line.weight] += len(line.text)
        total = sum(amount.values())
        self._usual_weight = max(weights, key=lambda weight: weights[weight], default=0)
        self._rare = {size for size, n in amount.items() if n < LITTLE * total}

    def is_heading_line(self, line: Line) -> bool:
        """Whether a line is a heading by itself, so that no paragraph takes it in."""
        if (self._outline and (line.page, squeezed(line.text)) in self._outline) or is_strong_heading(line.text):
            return True
        return is_article(line.text) and _stands_alone(line)

    def levels(self, blocks: Sequence[list[Line]], texts: Sequence[str]) -> dict[int, int]:
        """The level of each block that is a heading, by its index."""
        found = []
        for index, (block, text) in enumerate(zip(blocks, texts, strict=True)):
            outlined = self._outline.get((block[0].page, squeezed(text))) if self._outline else None
            if outlined is not None or self._is_heading(block, text):
                style = (-size_bucket(block[0].size), not self._is_bold(block[0]))
                found.append(_Heading(index, style, heading_rank(text), outlined))
        return _nested(found)

    def _is_heading(self, block: list[Line], text: str) -> bool:
        first = block[0]
        if first.table is not None or len(block) > MAX_LINES or len(text) > MAX_LARGE_CHARACTERS:
            return False
        if not any(c.isalpha() for c in text):
            return False
        rare = size_bucket(first.size) in self._rare
        if rare and size_bucket(first.size) > size_bucket(self._body * LARGER) and not text.endswith(_UNENDED):
            return True
        if len(text) > MAX_CHARACTERS or len(block) > 1:
            return False
        bold = self._is_bold(first)
        numbered = heading_level(text) is not None
        if self.is_heading_line(first) or (numbered and bold):
            return True
        larger = rare and first.size >= self._body * SLIGHTLY_LARGER
        if not (bold or larger) or not _stands_alone(first):
            return False
        return len(text) <= MAX_ALONE and not text.endswith(_ENDED) and not is_bullet(text)

    def _is_bold(self, line: Line) -> bool:
        return line.weight > self._usual_weight


def _stands_alone(line: Line) -> bool:
    return line.x1 < line.right - 0.15 * (line.right - line.left)


def _nested(headings: Sequence[_Heading]) -> dict[int, int]:
    """Levels: numbers nest by their kind; the other headings take their place among them by their look."""
    numbered: dict[int, list[_Heading]] = {}
    others: dict[_Style, list[_Heading]] = {}
    for heading in headings:
        if heading.rank is not None:
            numbered.setdefault(heading.rank, []).append(heading)
        else:
            others.setdefault(heading.style, []).append(heading)
    looks = {rank: mode(h.style for h in numbered[rank]) for rank in sorted(numbered)}
    title: list[_Heading] = []
    for style in list(others):
        same = [rank for rank, look in looks.items() if look == style]
        if not same:
            continue
        # "References" looks like "1 Introduction"; what stands before them all is the title.
        if others[style][0] is headings[0]:
            title.append(others[style].pop(0))
        numbered[same[0]].extend(others.pop(style))
    ordered = [(looks[rank], numbered[rank]) for rank in looks]
    for style in sorted(others):
        place = next((i for i, (look, _) in enumerate(ordered) if style < look), len(ordered))
        ordered.insert(place, (style, others[style]))
    levels: dict[int, int] = {}
    above = 0
    for members in ([title] if title else []) + [members for _, members in ordered]:
        outlined = [h.outlined for h in members if h.outlined is not None]
        level = mode(outlined) if outlined else min(above + 1, DEEPEST)
        levels.update((h.index, h.outlined or level) for h in members)
        above = level
    return levels


def size_bucket(size: float) -> int:
    """Half points: fonts are drawn with rounding noise."""
    return round(size * 2)


def squeezed(text: str) -> str:
    """Letters and digits only: how titles of the outline and of the page are compared."""
    return "".join(c for c in text if c.isalnum()).casefold()
