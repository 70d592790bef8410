"""Packed late interaction against exact MaxSim, and on real token vectors in two languages."""

from __future__ import annotations

import numpy as np
import pytest

from lunheng.errors import IndexDamagedError
from lunheng.retrieval.late_interaction import TokenCodec, leading_heading
from lunheng.testing.real_models import real_embedder

PASSAGES = [
    "备份每天凌晨两点半自动执行，保留三十五天。",
    "Employees may work from home up to three days a week with their manager's consent.",
    "The cafeteria is closed on public holidays.",
    "报销单须在每月五号之前提交给财务部。",
]


def unit(values: np.ndarray) -> np.ndarray:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def codec() -> TokenCodec:
    return TokenCodec.for_embedder(real_embedder())


def test_close_to_exact_maxsim() -> None:
    rng = np.random.default_rng(0)
    centre = rng.normal(size=384).astype(np.float32) / 30
    codec = TokenCodec(len(centre), lambda: centre)
    question = unit(rng.normal(size=(7, 384)))
    # Passages that hold the question's words with more and more noise.
    noisy = [
        unit(np.concatenate([question + n * unit(rng.normal(size=(7, 384))), rng.normal(size=(30, 384))]))
        for n in (0.2, 0.6, 1, 2)
    ]
    prepared = codec.prepare(question)
    exact = [float((unit(question - centre) @ unit(p - centre).T).max(axis=1).mean()) for p in noisy]
    given = codec.score(prepared, [codec.encode(p) for p in noisy])
    assert given == pytest.approx(exact, abs=0.06)
    assert list(np.argsort(-given)) == [0, 1, 2, 3]


def test_forty_eight_bytes_a_token(codec: TokenCodec) -> None:
    tokens = real_embedder().embed_tokens(PASSAGES[:1], "passage")[0]
    assert len(codec.encode(tokens)) == 1 + 48 * len(tokens)


def test_a_dimension_that_is_no_multiple_of_eight() -> None:
    rng = np.random.default_rng(3)
    codec = TokenCodec(13, lambda: np.zeros(13, np.float32))
    tokens = unit(rng.normal(size=(5, 13)))
    scores = codec.score(codec.prepare(tokens), [codec.encode(tokens), codec.encode(unit(rng.normal(size=(5, 13))))])
    assert scores[0] > scores[1]


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("备份保留多少天？", 0),
        ("How long are backups kept?", 0),
        ("每周可以在家办公几天？", 1),
        ("expense report deadline", 3),
    ],
)
def test_finds_across_languages(codec: TokenCodec, question: str, best: int) -> None:
    embedder = real_embedder()
    codes = [codec.encode(t) for t in embedder.embed_tokens(PASSAGES, "passage")]
    scores = codec.score(codec.prepare(embedder.embed_tokens([question], "query")[0]), codes)
    assert int(np.argmax(scores)) == best


def test_empty_passages_and_questions(codec: TokenCodec) -> None:
    nothing = np.empty((0, 384), np.float32)
    some = codec.prepare(real_embedder().embed_tokens(["备份"], "query")[0])
    full, empty = codec.encode(real_embedder().embed_tokens(PASSAGES[:1], "passage")[0]), codec.encode(nothing)
    scores = codec.score(some, [empty, full, empty])
    assert scores[0] == scores[2] == 0
    assert scores[1] == pytest.approx(codec.score(some, [full])[0])
    assert codec.score(some, []).shape == (0,)
    assert codec.score(codec.prepare(nothing), [full]).tolist() == [0]


@pytest.mark.parametrize("code", [b"", b"\x02" + b"\0" * 48, b"\x01" + b"\0" * 47])
def test_damaged_codes_are_refused(codec: TokenCodec, code: bytes) -> None:
    with pytest.raises(IndexDamagedError, match="rebuild"):
        codec.score(np.ones((1, 384), np.float32), [code])


def test_the_rotation_is_the_same_everywhere() -> None:
    """Codes made on one machine are read on another: these numbers may never change within a format."""
    codec = TokenCodec(16, lambda: np.zeros(16, np.float32))
    assert codec.encode(np.eye(16, dtype=np.float32)[:4]).hex() == "0111898c9b3a2fc363"


@pytest.mark.parametrize(
    ("text", "path", "heading"),
    [
        ("备份\n\n每天两点半。", ["手册", "备份"], "备份\n\n"),
        ("Part A\nBackups\n\nEvery night.", ["Part A", "Backups"], "Part A\nBackups\n\n"),
        ("Every night.", ["Backups"], ""),
        ("Backups", ["Backups"], ""),
        ("Backups run.\nBackups\nagain", ["Backups"], ""),
        ("", ["Backups"], ""),
    ],
)
def test_leading_heading(text: str, path: list[str], heading: str) -> None:
    assert leading_heading(text, path) == heading
    assert text.startswith(heading)
