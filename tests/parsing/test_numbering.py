"""Headings known by their numbers."""

from __future__ import annotations

import pytest

from lunheng.parsing.numbering import heading_level, is_strong_heading


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
