"""Headings known by their numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lunheng.parsing.numbering import heading_level, heading_rank, is_article, is_strong_heading


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("第一编 总则", 1),
        ("第三章 合同的履行", 2),
        ("第十二节 违约责任", 3),
        ("一、适用范围", 2),
        ("1 Introduction", 2),
        ("1. Introduction", 2),
        ("2.3 Methods", 3),
        ("2.3.1 样本的采集", 4),
        ("3.1样本", 3),
        ("Chapter 4", 2),
        ("Appendix B: Tables", 2),
        ("Article 5 Notice", 3),
    ],
)
def test_headings(line: str, level: int) -> None:
    assert heading_level(line) == level


@pytest.mark.parametrize(
    "line",
    [
        "",
        "1907 was a good year for observers.",
        "3.14 is the ratio,",
        "第三章规定了合同双方在履行过程中应当承担的各项义务以及违反这些义务的后果，并列举了例外",
        "第一部分析了原因。",
        "2026-03-01",
        "一切照旧",
        "In chapter 4 we saw it",
        "12 monkeys went up the hill and came down again with all of the bananas that they had found there",
    ],
)
def test_sentences(line: str) -> None:
    assert heading_level(line) is None


def test_strong() -> None:
    assert is_strong_heading("第三章 合同") and not is_strong_heading("1 Introduction")


def test_numbers_rank_by_their_kind() -> None:
    lines = [
        "第一编 总则",
        "第三章 仪器",
        "第二节 镜面",
        "第十二条 保管期限",
        "一、概况",
        "（二）经过",
        "1 Scope",
        "1.2 范围",
        "1.2.3 x",
    ]
    ranks = [heading_rank(line) for line in lines]
    assert None not in ranks and all(a < b for a, b in pairwise(ranks))
    assert heading_rank("Appendix B Tables") == heading_rank("Chapter 2 Tables") == heading_rank("附录 A")
    assert heading_rank("参考文献") is None and heading_rank("References") is None


def test_an_article_by_itself_and_in_a_sentence() -> None:
    assert is_article("第十二条") and is_article("第十二条 保管期限") and is_article("第二十条之一　例外")
    assert not is_article("第十二条 保管期限不得少于七年。")
    assert not is_article("第十二条规定的期限自收到申请之日起计算，逾期不予受理")
    assert heading_level("Section 106, describes the authority of") is None
    assert heading_level("Article 5 of the agreement") is None and heading_level("Article 5 Duties") == 3
