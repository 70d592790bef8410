"""Counting stretches by binary search."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunheng.chunking import make_chunker
from lunheng.chunking.cl100k import Cl100kTokenizer
from lunheng.chunking.splitting import split_span
from lunheng.chunking.tokens import PIECE, TokenMap
from lunheng.config import ChunkingSettings
from lunheng.parsing.builder import DocumentBuilder
from lunheng.testing.real_models import real_embedder
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


def test_cl100k_counts_as_openai_does_and_its_spans_are_whole_characters() -> None:
    tokenizer = Cl100kTokenizer()
    assert tokenizer.count("hello world") == 2
    assert tokenizer.count("<|endoftext|>") > 1, "text, not a special token"
    for text in ("海关 customs 龘👩‍👩‍👧‍👦!", "\ud800 lone", "", "  a  "):
        spans = tokenizer.spans(text)
        assert len(spans) == tokenizer.count(text)
        starts = [s for s, _ in spans]
        assert starts == sorted(starts) and all(s < e <= len(text) for s, e in spans)


@pytest.mark.parametrize("size", [40, 480])
def test_chunks_counted_in_cl100k_stay_within_the_embedders_window(size: int) -> None:
    embedder = real_embedder()
    builder = DocumentBuilder(Path("/a.txt"), "txt", b"x")
    builder.add("paragraph", "Der Donaudampfschifffahrtskapitän fährt donauabwärts. 渡轮八点开往维斯比。 " * 60)
    document = builder.build()
    settings = ChunkingSettings(strategy="recursive", size=size, overlap=0, tokenizer="cl100k")
    chunks = make_chunker(settings, embedder.tokenizer, embedder.window, embedder).split(document)
    tokenizer = Cl100kTokenizer()
    assert all(tokenizer.count(c.full_text) == c.metadata.token_count <= size for c in chunks)
    assert all(embedder.tokenizer.count(c.full_text) <= embedder.window - 10 for c in chunks)
    assert max(c.metadata.token_count for c in chunks) > size * 0.6
