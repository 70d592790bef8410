"""Chooses what the model is shown: the statements that say most to the question, within the token budget.

Called by the writer. Whole chunks would fill a small model's context with neighbours of the answer, which it then
mistakes for the answer (CRAG's "knowledge refinement", Yan et al. 2024); so the hits are taken apart, and of each
source only what bears on the question is shown, in the document's order, below its headings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lunheng.answering.passages import SentenceReader
from lunheng.answering.statements import Statement
from lunheng.types import Hit, Source

_TOKENS_A_STATEMENT = 80
"""One statement for so many tokens of the budget: a model with more room, which is a better reader, is shown more."""
_WIDENED = 2
"""How many of the best statements bring their neighbours along."""


def assemble(
    hits: Sequence[Hit], reader: SentenceReader, count: Callable[[str], int], budget: int, max_sources: int
) -> tuple[Source, ...]:
    """The sources, best first, numbered from 1; what is shown of them stays within ``budget`` tokens."""
    chunks = [hit.chunk for hit in hits]
    if not chunks:
        return ()
    cut = [reader.statements(chunk) for chunk in chunks]
    scores = [relevance.scores for relevance in reader.relevance(chunks)]
    ranked = sorted(((float(s), i, j) for i, row in enumerate(scores) for j, s in enumerate(row)), reverse=True)
    floor = min(2.0, ranked[0][0] / 3)
    chosen: dict[int, set[int]] = {}
    seen: set[str] = set()
    left = budget

    def take(i: int, j: int) -> None:
        nonlocal left
        reading = " ".join(cut[i][j].reading.split())
        new = i not in chosen
        cost = count(cut[i][j].reading) + (count(chunks[i].prefix) + 16 if new else 1)  # 16: label and blank lines
        if cost <= left and reading not in seen and not (new and len(chosen) == max_sources):
            chosen.setdefault(i, set()).add(j)
            seen.add(reading)
            left -= cost

    for score, i, j in ranked[: max(1, budget // _TOKENS_A_STATEMENT)]:
        if score >= floor:
            take(i, j)
    for _, i, j in ranked[:_WIDENED]:
        for beside in (j - 1, j + 1):
            if i in chosen and 0 <= beside < len(cut[i]) and beside not in chosen[i] and chunks[i].kind != "table":
                take(i, beside)
    if not chosen:  # the best statement alone is longer than the budget
        _, i, j = ranked[0]
        return (_source(1, hits[i], [_shortened(cut[i][j], count, budget)]),)
    order = sorted(chosen, key=lambda i: -max(float(scores[i][j]) for j in chosen[i]))
    return tuple(_source(n, hits[i], [cut[i][j] for j in sorted(chosen[i])]) for n, i in enumerate(order, start=1))


def _source(n: int, hit: Hit, shown: Sequence[Statement]) -> Source:
    chunk = hit.chunk
    start, end = shown[0].start, shown[-1].end
    return Source(
        n, hit, chunk.start + start, chunk.start + end, chunk.text[start:end], tuple(s.reading for s in shown)
    )


def _shortened(statement: Statement, count: Callable[[str], int], budget: int) -> Statement:
    reading = statement.reading
    while len(reading) > 1 and count(reading) > budget:
        reading = reading[: len(reading) * 3 // 4]
    return Statement(statement.start, min(statement.end, statement.start + len(reading)), reading)


def prompt_order(sources: Sequence[Source]) -> list[Source]:
    """Best last, next to the question, second best first, the weakest in the middle: models overlook the middle
    (Liu et al. 2023), and small ones read best what they read last."""
    back = list(sources[0::2])
    front = list(sources[1::2])
    return front + back[::-1]
