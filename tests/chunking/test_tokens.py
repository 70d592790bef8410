"""Counting stretches by binary search."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from lunheng.chunking.splitting import split_span
from lunheng.chunking.tokens import PIECE, TokenMap
from lunheng.testing.tokenizers import FakeTokenizer


def test_long_text_is_counted_in_pieces() -> None:
    text = "word " * PIECE + "字" * PIECE
    tokens = TokenMap(text, FakeTokenizer())
    assert tokens.count(0, len(text)) == 2 * PIECE
    assert tokens.count(0, 10) == 2
    assert tokens.end_after(0, 2) == 10
    assert tokens.start_before(10, 1) == 5


@given(st.text(alphabet="ab 中文。，\n", max_size=400), st.integers(1, 30), st.integers(0, 30))
def test_spans_cover_within_the_budget(text: str, budget: int, overlap: int) -> None:
    tokens = TokenMap(text, FakeTokenizer())
    spans = split_span(tokens, 0, len(text), budget, overlap)
    covered = set()
    for start, end in spans:
        assert tokens.count(start, end) <= budget
        covered.update(range(start, end))
    assert all(i in covered or c.isspace() for i, c in enumerate(text))
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert start >= end or tokens.count(start, end) <= overlap
