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
    from lunheng.answering.passages import SentenceReader, relevance

    reader = SentenceReader(embedder)
    vector = reader.vectors([query])[0]
    found = []
    for passage in reader.passages([hit.chunk for hit in hits]):
        sentences = [passage.sentence(index) for index in range(len(passage.spans))]
        best = int(relevance(query, vector, passage).argmax())
        found.append(around(sentences, best))
    return found


def around(sentences: Sequence[str], best: int, most: int = MOST) -> str:
    """``sentences[best]`` with those after it, then those before it, up to ``most`` characters; an ellipsis stands
    where something is left out."""
    lines = [_readable(s) for s in sentences]
    first, last = best, best
    while last + 1 < len(lines) and _length(lines[first : last + 2]) <= most:
        last += 1
    while first and _length(lines[first - 1 : last + 1]) <= most:
        first -= 1
    text = " ".join(line for line in lines[first : last + 1] if line)
    text = shorten(text, most)
    before = f"{_ELLIPSIS} " if any(lines[:first]) else ""
    after = f" {_ELLIPSIS}" if any(lines[last + 1 :]) and not text.endswith(_ELLIPSIS) else ""
    return before + text + after


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


def _readable(sentence: str) -> str:
    """One line; a table's row without its outer bars, the rule below its head as nothing."""
    line = " ".join(sentence.split())
    if _RULE.match(line):
        return ""
    return line.strip("| ") if line.startswith("|") else line


def _length(lines: Sequence[str]) -> int:
    return sum(len(line) + 1 for line in lines)
