"""An answer without a language model: the sentences of the sources that say most to the question.

Called by the writer where no model is configured, or where it failed.
"""

from __future__ import annotations

from collections.abc import Sequence

from lunheng.answering.passages import SentenceReader, relevance
from lunheng.types import Source


def extract(question: str, sources: Sequence[Source], reader: SentenceReader, most: int = 3) -> str:
    """Up to ``most`` sentences, best sources first, each with its citation; none twice."""
    vector = reader.vectors([question])[0]
    ranked: list[tuple[float, int, int, str]] = []
    for source, passage in zip(sources, reader.passages([s.hit.chunk for s in sources]), strict=True):
        for index, score in enumerate(relevance(question, vector, passage)):
            ranked.append((float(score), source.n, index, passage.sentence(index)))
    ranked.sort(reverse=True)
    best = ranked[0][0] if ranked else 0.0
    chosen: dict[str, tuple[int, int]] = {}
    for score, n, index, sentence in ranked:
        if len(chosen) == most or score < best - 0.06:
            break
        chosen.setdefault(" ".join(sentence.split()), (n, index))
    ordered = sorted(chosen.items(), key=lambda item: item[1])
    return "\n".join(f"{_without_bars(sentence)} [{n}]" for sentence, (n, _) in ordered)


def _without_bars(sentence: str) -> str:
    """A row of a table as a person would read it out."""
    if not sentence.startswith("|"):
        return sentence
    return "; ".join(cell.strip() for cell in sentence.strip("| ").split("|") if cell.strip())
