"""Cuts a stretch of text into pieces within a budget of tokens, at the best boundaries there are.

Called by the recursive and structure chunkers. Boundaries from coarse to fine: paragraph, line,
sentence, clause, word, token, character; a finer one is used only inside a piece that the coarser
ones leave too long. Neighbouring pieces are then joined again while they fit, and each stretch
begins with the last pieces of the one before, up to the overlap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from lunheng.chunking.tokens import TokenMap
from lunheng.text.sentences import split_sentences

Span = tuple[int, int]
Cutter = Callable[[str, int, int], Iterator[int]]

_CLAUSE = re.compile(r"[，、；：,;:]+[”’」』）)\"']*|\s[-–—]+\s|——")
_WORD = re.compile(r"\s+|(?<=[\u3040-\u9fff\uac00-\ud7a3\uff00-\uffef])(?=[\u3040-\u9fff\uac00-\ud7a3])")
SENTENCE_PIECE = 100_000
"""Longer stretches are not looked through for sentences at once: they are cut at lines and windows first."""


def _paragraphs(text: str, start: int, end: int) -> Iterator[int]:
    yield from (start + m.end() for m in re.finditer(r"\n\s*\n", text[start:end]))


def _lines(text: str, start: int, end: int) -> Iterator[int]:
    yield from (start + m.end() for m in re.finditer(r"\n", text[start:end]))


def _sentences(text: str, start: int, end: int) -> Iterator[int]:
    for offset in range(start, end, SENTENCE_PIECE):
        piece = text[offset : min(offset + SENTENCE_PIECE, end)]
        yield from (offset + s for s, _ in split_sentences(piece)[1:])


def _clauses(text: str, start: int, end: int) -> Iterator[int]:
    yield from (start + m.end() for m in _CLAUSE.finditer(text[start:end]))


def _words(text: str, start: int, end: int) -> Iterator[int]:
    yield from (start + m.end() for m in _WORD.finditer(text[start:end]))


CUTTERS: tuple[Cutter, ...] = (_paragraphs, _lines, _sentences, _clauses, _words)


def trim(text: str, start: int, end: int) -> Span:
    """The stretch without the white space at its ends."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def split_span(tokens: TokenMap, start: int, end: int, budget: int, overlap: int = 0, keep: int = 0) -> list[Span]:
    """Give the spans of ``text[start:end]``, each of at most ``budget`` tokens (as ``tokens`` counts).

    Every character that is not white space lies in at least one span. Consecutive spans share at
    most ``overlap`` tokens, in whole pieces. What stands before ``keep`` (a heading) is not cut off
    from what follows it, if the two can stand together at all.
    """
    start, end = trim(tokens.text, start, end)
    if start == end:
        return []
    if tokens.count(start, end) <= budget:
        return [(start, end)]
    return _join(tokens, list(_pieces(tokens, start, end, budget, keep, 0)), budget, min(overlap, budget // 3))


def _pieces(tokens: TokenMap, start: int, end: int, budget: int, keep: int, level: int) -> Iterator[Span]:
    """Spans that cover ``start:end`` without a gap, each within the budget."""
    if tokens.count(start, end) <= budget:
        yield start, end
        return
    if level == len(CUTTERS):
        yield from _windows(tokens, start, end, budget)
        return
    before = start
    for cut in CUTTERS[level](tokens.text, start, end):
        if before < cut < end and cut > keep:
            yield from _pieces(tokens, before, cut, budget, keep, level + 1)
            before = cut
    yield from _pieces(tokens, before, end, budget, keep, level + 1)


def _windows(tokens: TokenMap, start: int, end: int, budget: int) -> Iterator[Span]:
    """Windows of ``budget`` tokens; one character at a time where tokens are finer than characters."""
    while start < end:
        cut = min(tokens.end_after(start, budget), end)
        cut = cut if cut > start else start + 1
        yield start, cut
        start = cut


def _join(tokens: TokenMap, pieces: list[Span], budget: int, overlap: int) -> list[Span]:
    spans: list[Span] = []
    first = 0
    while first < len(pieces):
        last = first
        while last + 1 < len(pieces) and tokens.count(pieces[first][0], pieces[last + 1][1]) <= budget:
            last += 1
        begin, finish = trim(tokens.text, pieces[first][0], pieces[last][1])
        if begin < finish and not (spans and finish <= spans[-1][1]):
            spans.append((begin, finish))
        if last + 1 == len(pieces):
            break
        # Step back over whole pieces for the overlap, leaving room for at least one new piece.
        again = last + 1
        room = budget - tokens.count(*pieces[last + 1])
        while again - 1 > first and tokens.count(pieces[again - 1][0], pieces[last][1]) <= min(overlap, room):
            again -= 1
        first = again
    return spans
