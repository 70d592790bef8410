"""Sentence boundaries; and that no character is lost, whatever the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunheng.text import split_sentences


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    "sentences",
    [
        ["今天天气很好。", "明天呢？", "太好了！"],
        ["他说：“走吧。”", "然后就走了。"],
        ["甲方付款；", "乙方交货。"],
        ["等一等……", "好了。"],
        ["真的？！", "是的。"],
        ["「可以。」", "她点头。"],
        ["GPU 采用 3.5 版固件。", "见 https://example.com/a.b?c=1 的说明。"],
    ],
)
def test_chinese(sentences: list[str]) -> None:
    assert cut("".join(sentences)) == sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["It works.", "It really works!", "Does it?", "Yes."],
        ["Dr. Smith met Mr. Jones at 5 p.m. on Friday.", "They talked."],
        ["The price is $3.14 for version 2.0.1.", "Cheap."],
        ["J. R. R. Tolkien wrote it.", "He was English."],
        ["See Fig. 3 and No. 7 for details, e.g. the axes.", "Then stop."],
        ["He lived in the U.S. for years.", "She did too."],
        ["She moved to the U.S.", "He stayed."],
        ["“Go.”", "He went."],
        ["Read https://example.com/a.b.html first.", "Then write to a.b@example.com now."],
        ["Yahoo! is a company.", "Really."],
        ["(This is an aside.)", "This is not."],
        ["Wait... what is this?", "Nothing."],
    ],
)
def test_english(sentences: list[str]) -> None:
    assert cut(" ".join(sentences)) == sentences


def test_mixed() -> None:
    assert cut("服务器型号是 XG-2000. 它很快。It is fast.它很贵!") == [
        "服务器型号是 XG-2000.",
        "它很快。",
        "It is fast.",
        "它很贵!",
    ]


def test_lines() -> None:
    assert cut("第一章 总则\n第一条 本法适用。\n\n第二条") == ["第一章 总则", "第一条 本法适用。", "第二条"]
    wrapped = "This line was broken by the width of the page and\ngoes on here. 1. Item\n2. Item"
    assert cut(wrapped) == [wrapped[: wrapped.index(".") + 1], "1. Item", "2. Item"]
    assert cut("- apples\n- pears\n- figs") == ["- apples", "- pears", "- figs"]


@given(st.text(alphabet=st.one_of(st.sampled_from('。！？；….!?"”’)\n \t王Aa1U.S'), st.characters(codec="utf-8"))))
def test_loses_nothing(text: str) -> None:
    spans = split_sentences(text)
    covered: set[int] = set()
    last = 0
    for start, end in spans:
        assert last <= start < end
        assert not text[start].isspace()
        assert not text[end - 1].isspace()
        covered.update(range(start, end))
        last = end
    assert all(char.isspace() for at, char in enumerate(text) if at not in covered)


def test_long_texts_take_linear_time() -> None:
    assert len(split_sentences("No end in sight " * 60_000)) == 1
    assert len(split_sentences("A. " * 60_000)) >= 1
    assert len(split_sentences("句子。" * 60_000)) == 60_000
