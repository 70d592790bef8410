"""The part of a passage that is worth showing in a line or two, and where the passage stands.

Called by ``search`` and ``ask``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lunheng.protocols import Embedder
from lunheng.types import Hit, Metadata

MOST = 240
"""Characters of an excerpt."""
_ELLIPSIS = "…"
_RULE = re.compile(r"^\|(?:\s*:?-+:?\s*\|)+$")
"""The line between head and body of a Markdown table."""
_INSIDE_WORD = re.compile(r"[0-9A-Za-z'’.,_-]")


def place(metadata: Metadata) -> str:
    """File, page and headings, as a person would name a place."""
    page = f" p. {metadata.page_number}" if metadata.page_number else ""
    return Path(metadata.source).name + page + "".join(f" › {heading}" for heading in metadata.heading_path)


def excerpts(query: str, hits: Sequence[Hit], embedder: Embedder) -> list[str]:
    """Of each hit the sentence that says most to ``query``, with as many of its neighbours as fit."""
    from lunheng.answering.passages import SentenceReader

    reader = SentenceReader(embedder, [query])
    chunks = [hit.chunk for hit in hits]
    return [
        around(chunk.text, [(s.start, s.end) for s in reader.statements(chunk)], int(relevance.scores.argmax()))
        for chunk, relevance in zip(chunks, reader.relevance(chunks), strict=True)
    ]


def around(text: str, spans: Sequence[tuple[int, int]], best: int, most: int = MOST) -> str:
    """The sentence ``spans[best]`` of ``text`` with those after it, then those before it, up to ``most`` characters;
    an ellipsis stands where something is left out."""

    def shown(first: int, last: int) -> str:
        return _readable(text[spans[first][0] : spans[last][1]])

    first = last = best
    while last + 1 < len(spans) and len(shown(first, last + 1)) <= most:
        last += 1
    while first and len(shown(first - 1, last)) <= most:
        first -= 1
    excerpt = shorten(shown(first, last), most)
    before = f"{_ELLIPSIS} " if first and shown(0, first - 1) else ""
    cut = last + 1 < len(spans) and shown(last + 1, len(spans) - 1)
    return before + excerpt + (f" {_ELLIPSIS}" if cut and not excerpt.endswith(_ELLIPSIS) else "")


def shorten(text: str, most: int = MOST) -> str:
    """``text`` in one line of about ``most`` characters, never cut within a word, Chinese ones included."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    import rjieba

    kept = 0
    for word in rjieba.cut(line[: most + 40], False):
        if kept + len(word) > most:
            break
        kept += len(word)
    while kept and _INSIDE_WORD.match(line[kept - 1]) and _INSIDE_WORD.match(line[kept]):
        kept -= 1
    return line[: kept or most].rstrip(" ,，、;；:：") + f" {_ELLIPSIS}"


def _readable(text: str) -> str:
    """One line; the rows of a table without their outer bars, and without the rule below its head."""
    lines = (line.strip() for line in text.splitlines())
    plain = (line.strip("| ") if line.startswith("|") else line for line in lines if not _RULE.match(line))
    return " ".join(" ".join(plain).split())
