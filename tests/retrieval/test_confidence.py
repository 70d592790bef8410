"""Confidence on real vectors: high where the passages answer, low where they do not, in both languages."""

from __future__ import annotations

import pytest

from lunheng.retrieval.confidence import Signal, confidence
from lunheng.retrieval.late_interaction import TokenCodec
from lunheng.retrieval.reranking import Candidate, weigh
from lunheng.testing.real_models import real_embedder
from lunheng.text import detect_language, terms

HANDBOOK = [
    "Backups of the main database run at 02:30 every night and are kept for 35 days.",
    "Service keys are rotated every 90 days; the old key stays valid for one week.",
    "Employees may work from home up to three days a week with their manager's consent.",
    "The Rotterdam warehouse is open from 07:00 to 19:00 on working days.",
    "住宿费每晚上限：一线城市 650 元，其他城市 450 元，须附发票。",
    "年假按司龄计算：满一年 8 天，满五年 12 天，满十年 15 天。",
    "新员工入职第一天领取笔记本电脑，并与导师见面。",
    "公司每月 8 日发放上月工资，遇休息日提前到最近的工作日。",
]
ANSWERED = [
    "How long are database backups kept?",
    "备份什么时候运行？",
    "密钥多久轮换一次？",
    "出差住宿费每晚最多报销多少元？",
    "How many days of annual leave after five years?",
    "When does the warehouse in Rotterdam open?",
]
UNANSWERED = [
    "What is the boiling point of ethanol?",
    "红楼梦的作者是谁？",
    "How do I bake sourdough bread?",
    "量子纠缠是什么意思？",
    "Who won the World Cup in 2014?",
]


def ask(question: str, passages: list[str], tokens: bool = True, vectors: bool = True) -> float:
    """Confidence of ``question`` over ``passages``, ranked by all evidence, by cosine or by words."""
    embedder = real_embedder()
    codec = TokenCodec.for_embedder(embedder)
    cosines = embedder.embed(passages, "passage") @ embedder.embed([question], "query")[0]
    words = set(terms(question, for_query=True))
    candidates = [
        Candidate(float(c), len(words & set(terms(p))) / len(words), codec.encode(t), detect_language(p))
        for c, p, t in zip(cosines, passages, embedder.embed_tokens(passages, "passage"), strict=True)
    ]
    scored = weigh(codec.prepare(embedder.embed_tokens([question], "query")[0]), candidates, codec)
    by = scored.scores if tokens else cosines if vectors else [c.share for c in candidates]
    ranked = [
        Signal(c.language, c.share, c.cosine if vectors else None, float(scored.interactions[i]) if tokens else None)
        for i, c in sorted(enumerate(candidates), key=lambda pair: -by[pair[0]])
    ]
    best = max(signal.coverage for signal in ranked)
    return confidence(detect_language(question), ranked, lexical_agrees=ranked[0].coverage == best > 0)


def test_answered_questions_stand_above_the_unanswered() -> None:
    answered = [ask(q, HANDBOOK) for q in ANSWERED]
    unanswered = [ask(q, HANDBOOK) for q in UNANSWERED]
    assert min(answered) > 0.35 > max(unanswered)


def test_without_token_vectors_on_average() -> None:
    answered = [ask(q, HANDBOOK, tokens=False) for q in ANSWERED]
    unanswered = [ask(q, HANDBOOK, tokens=False) for q in UNANSWERED]
    assert sum(answered) / len(answered) > sum(unanswered) / len(unanswered) + 0.1


def test_words_only() -> None:
    assert ask("database backups nightly", HANDBOOK, tokens=False, vectors=False) > 0.4
    assert ask("sourdough bread", HANDBOOK, tokens=False, vectors=False) < 0.3


@pytest.mark.parametrize(
    ("question", "answered"), [("How long are backups kept?", True), ("红楼梦的作者是谁？", False)]
)
def test_one_passage_alone(question: str, answered: bool) -> None:
    assert (ask(question, HANDBOOK[:1]) > 0.35) is answered


def test_taking_the_answer_out_lowers_it() -> None:
    question = "How long are database backups kept?"
    assert ask(question, HANDBOOK[1:]) < ask(question, HANDBOOK) - 0.3


def test_nothing_found() -> None:
    assert confidence("en", [], lexical_agrees=False) == 0


def test_in_zero_to_one() -> None:
    for value in (-1.0, 0.0, 1.0):
        given = confidence("zh", [Signal("en", value, value, value)] * 3, lexical_agrees=True)
        assert 0 <= given <= 1
