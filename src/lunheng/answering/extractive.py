"""An answer without a language model: the sentences of the sources that say most to the question.

Called by the writer where no model is configured, or where it failed.
"""

from __future__ import annotations

from collections.abc import Sequence

from lunheng.answering.passages import SentenceReader
from lunheng.types import Source

_CLOSE = 0.75
"""A further statement is quoted where it says at least this share of what the best one says to the question."""


def extract(sources: Sequence[Source], reader: SentenceReader, most: int = 3) -> str:
    """Up to ``most`` statements, best sources first, each with its citation; none twice."""
    chunks = [s.hit.chunk for s in sources]
    ranked: list[tuple[float, int, int, str]] = []
    for source, chunk, relevance in zip(sources, chunks, reader.relevance(chunks), strict=True):
        for index, (statement, score) in enumerate(zip(reader.statements(chunk), relevance.scores, strict=True)):
            ranked.append((float(score), source.n, index, statement.reading))
    ranked.sort(reverse=True)
    best = ranked[0][0] if ranked else 0.0
    chosen: dict[str, tuple[int, int]] = {}
    for score, n, index, sentence in ranked:
        if len(chosen) == most or score < best * _CLOSE:
            break
        chosen.setdefault(" ".join(sentence.split()), (n, index))
    ordered = sorted(chosen.items(), key=lambda item: item[1])
    return "\n".join(f"{sentence} [{n}]" for sentence, (n, _) in ordered)
