"""Numbers of a question against the bounds of a source, in both languages and across them."""

from __future__ import annotations

import pytest

from lunheng.answering.bounds import bounds, violated
from lunheng.answering.passages import SentenceReader
from lunheng.answering.verification import verify
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.types import Chunk, Hit, Metadata, Source


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("employees at grade 6 and above", [(6, ">=")]),
        ("6 级及以上员工", [(6, ">=")]),
        ("夜间不得低于 15 摄氏度，不得高于 28 摄氏度", [(15, ">="), (28, "<=")]),
        ("低于 12 摄氏度时须启动加热器", [(12, "<")]),
        ("at least 40 percent charge", [(40, ">=")]),
        ("no more than 500 euros", [(500, "<=")]),
        ("submitted within 30 days", [(30, "<=")]),
        ("A booking that is not collected within 45 minutes lapses", [(45, ">")]),
        ("45 分钟内未取车的预订失效", [(45, ">")]),
        ("收到通知后 30 天内提交", [(30, "<=")]),
        ("The allowance is 35 euros a day", []),
        ("陪产假为 20 天", []),
    ],
)
def test_bounds_are_read(text: str, signs: list[tuple[float, str]]) -> None:
    assert [(b.quantity.value, b.sign) for b in bounds(text)] == signs


@pytest.mark.parametrize(
    ("question", "statement", "outside"),
    [
        ("Can a grade 5 employee use a car?", "Private use is for employees at grade 6 and above.", True),
        ("Can a grade 7 employee use a car?", "Private use is for employees at grade 6 and above.", False),
        ("5 级员工可以用车吗？", "6 级以上员工可以用车。", True),
        ("夜间 11 度怎么办？", "低于 12 摄氏度时须启动加热器。", False),
        ("夜间 13 度要启动加热器吗？", "低于 12 摄氏度时须启动加热器。", True),
        ("I am 50 minutes late; what happens?", "A booking that is not collected within 45 minutes lapses.", False),
        ("I have 3 dogs, can I use a car?", "Private use is for employees at grade 6 and above.", False),
    ],
)
def test_numbers_of_the_question_are_compared(question: str, statement: str, outside: bool) -> None:
    assert bool(violated("Yes.", question, statement)) is outside


VEHICLES = "Private use is allowed at weekends for employees at grade 6 and above, at 0.28 euros per kilometre."
GREENHOUSE = "6 级以上员工周末可以私用公车。夜间低于 12 摄氏度时须启动燃气加热器。"
SPRAYS = (
    "| 药剂 | 稀释倍数 | 禁用作物 |\n| --- | --- | --- |\n| 吡虫啉 | 2000 倍 | 草莓 |\n| 代森锰锌 | 600 倍 | 黄瓜 |"
)


def source(text: str) -> Source:
    kind = "table" if text.startswith("|") else "text"
    chunk = Chunk("c", text, 0, len(text), Metadata("a.md", "md", "d", 0), kind=kind)
    return Source(1, Hit(chunk, 1.0, "rerank"), 0, len(text), text, (text,))


@pytest.mark.parametrize(
    ("question", "answer", "text", "supported"),
    [
        (
            "Can a grade 5 employee use a pool car privately at weekends?",
            "Yes, a grade 5 employee can use a pool car privately at weekends [1].",
            VEHICLES,
            False,
        ),
        (
            "Can a grade 7 employee use a pool car privately at weekends?",
            "Yes, private use at weekends is allowed for a grade 7 employee [1].",
            VEHICLES,
            True,
        ),
        (
            "Can a grade 5 employee use a pool car privately at weekends?",
            "No, private use at weekends is not allowed for employees at grade 5 [1].",
            VEHICLES,
            True,
        ),
        ("5 级员工周末可以私用公车吗？", "5 级员工周末可以私用公车[1]。", GREENHOUSE, False),
        ("夜间 11 摄氏度怎么办？", "夜间 11 摄氏度时须启动燃气加热器[1]。", GREENHOUSE, True),
        ("代森锰锌能用在黄瓜上吗？", "代森锰锌能用在黄瓜上[1]。", SPRAYS, False),
        ("代森锰锌能用在黄瓜上吗？", "代森锰锌禁用于黄瓜[1]。", SPRAYS, True),
        ("代森锰锌的稀释倍数是多少？", "代森锰锌的稀释倍数是 600 倍[1]。", SPRAYS, True),
    ],
)
def test_answers_beyond_a_bound_are_not_supported(
    question: str, answer: str, text: str, supported: bool, embedder: OnnxEmbedder
) -> None:
    checked = verify(answer, [source(text)], question, SentenceReader(embedder, [question]))
    assert (checked.verdict == "supported") is supported, checked.checks
