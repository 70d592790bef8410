"""The default reranker on real vectors, and what each of its three numbers does."""

from __future__ import annotations

import numpy as np
import pytest

from lunheng.retrieval.late_interaction import TokenCodec
from lunheng.retrieval.reranking import Candidate, EvidenceReranker, weigh
from lunheng.testing.real_models import real_embedder
from lunheng.text import detect_language

PASSAGES = [
    "Backups run at 02:30 every night and are kept for 35 days.",
    "报销单由财务部的周启明审核。",
    "A key is rotated every 90 days; the old one stays valid for a week.",
    "食堂下午两点关门。",
]


def candidates(question: str, codec: TokenCodec, shares: list[float]) -> list[Candidate]:
    embedder = real_embedder()
    cosines = embedder.embed(PASSAGES, "passage") @ embedder.embed([question], "query")[0]
    tokens = embedder.embed_tokens(PASSAGES, "passage")
    return [
        Candidate(float(c), s, codec.encode(t), detect_language(p))
        for c, s, t, p in zip(cosines, shares, tokens, PASSAGES, strict=True)
    ]


@pytest.mark.parametrize(
    ("question", "best"),
    [
        ("备份保留多少天？", 0),
        ("密钥多久轮换一次？", 2),
        ("Who checks the expense reports?", 1),
        ("When does the canteen close?", 3),
    ],
)
def test_ranks_across_languages(question: str, best: int) -> None:
    embedder = real_embedder()
    codec = TokenCodec.for_embedder(embedder)
    reranker = EvidenceReranker(embedder, codec)
    vector, tokens = reranker.read(question)
    assert np.allclose(vector, embedder.embed([question], "query")[0], atol=1e-5)
    scored = reranker.score(tokens, candidates(question, codec, [0.0] * 4))
    assert int(np.argmax(scored.scores)) == best
    assert scored.interactions.max() <= 1.0


def test_the_lexical_share_breaks_near_ties() -> None:
    codec = TokenCodec(16, lambda: np.zeros(16, np.float32))
    vectors = np.eye(16, dtype=np.float32)
    code = codec.encode(vectors[:3])
    scored = weigh(codec.prepare(vectors[:1]), [Candidate(0.8, 0.0, code), Candidate(0.8, 0.9, code)], codec)
    assert scored.scores[1] > scored.scores[0]


def test_one_candidate_and_none() -> None:
    codec = TokenCodec(16, lambda: np.zeros(16, np.float32))
    vectors = np.eye(16, dtype=np.float32)
    assert weigh(codec.prepare(vectors[:1]), [Candidate(0.8, 0.5, codec.encode(vectors))], codec).scores.shape == (1,)
    assert weigh(codec.prepare(vectors[:1]), [], codec).scores.shape == (0,)
