"""Chooses what the model is shown: numbered sources within the token budget, best ones at the edges.

Called by the writer. A chunk that does not fit its share is cut to the run of sentences that says most
to the question; offsets stay exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lunheng.answering.passages import Passage, SentenceReader, relevance
from lunheng.types import Hit, Source

_FAR_BEHIND = 4.0
"""In the evidence reranker's units: weighted standard deviations among the candidates."""
_LEAST_SHARE = 60
"""Tokens below which a source is not worth its place."""


def assemble(
    hits: Sequence[Hit],
    question: str,
    reader: SentenceReader,
    count: Callable[[str], int],
    budget: int,
    max_sources: int,
) -> tuple[Source, ...]:
    """The sources, best first, numbered from 1; their texts and headings together within ``budget`` tokens."""
    chosen = _contenders(hits[:max_sources])
    if not chosen:
        return ()
    sources: list[Source] = []
    left = budget
    vector = None
    for place, hit in enumerate(chosen):
        chunk = hit.chunk
        overhead = count(chunk.prefix) + 16  # the label, brackets and blank lines
        # The best source may take half of what is left; the others share the rest evenly.
        share = max(left // 2, left // (len(chosen) - place)) - overhead
        if share < _LEAST_SHARE and sources:
            break
        start, end = 0, len(chunk.text)
        if count(chunk.text) > share:
            passage = reader.passages([chunk])[0]
            if vector is None:
                vector = reader.vectors([question])[0]
            start, end = _best_run(passage, relevance(question, vector, passage), count, share)
        text = chunk.text[start:end]
        sources.append(Source(len(sources) + 1, hit, chunk.start + start, chunk.start + end, text))
        left -= count(text) + overhead
    return tuple(sources)


def _contenders(hits: Sequence[Hit]) -> list[Hit]:
    """Without those that the reranker puts far behind the best: they cost time and lead a small model astray."""
    best = max((h.scores["rerank"] for h in hits if "rerank" in h.scores), default=0.0)
    return [h for h in hits if h.scores.get("rerank", best) >= best - _FAR_BEHIND]


def _best_run(
    passage: Passage, scores: np.ndarray[tuple[int], np.dtype[np.float32]], count: Callable[[str], int], budget: int
) -> tuple[int, int]:
    """Grow from the best sentence to the better of its neighbours while the run fits."""
    first = last = int(np.argmax(scores))

    def fits(a: int, b: int) -> bool:
        return count(passage.chunk.text[passage.spans[a][0] : passage.spans[b][1]]) <= budget

    while True:
        sides = [(a, b) for a, b in ((first - 1, last), (first, last + 1)) if a >= 0 and b < len(passage.spans)]
        sides = [(a, b) for a, b in sides if fits(a, b)]
        if not sides:
            break
        first, last = max(sides, key=lambda side: scores[side[0] if side[0] < first else side[1]])
    start, end = passage.spans[first][0], passage.spans[last][1]
    while end - start > 1 and count(passage.chunk.text[start:end]) > budget:  # one sentence, longer than the budget
        end = start + (end - start) * 3 // 4
    return start, end


def prompt_order(sources: Sequence[Source]) -> list[Source]:
    """Best last, next to the question, second best first, the weakest in the middle: models overlook the middle
    (Liu et al. 2023), and small ones read best what they read last."""
    back = list(sources[0::2])
    front = list(sources[1::2])
    return front + back[::-1]
