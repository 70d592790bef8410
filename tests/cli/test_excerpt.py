"""What is shown of a passage: the part that answers, cut between words."""

from __future__ import annotations

import pytest

from lunheng.cli.excerpt import around, shorten
from lunheng.text.sentences import split_sentences

ENGLISH = "The pager-carrying engineer answers within 12.5 minutes, doesn't hand over before 09:30 and writes a report."
CHINESE = "员工手册规定陪产假为二十天，自子女出生之日起六个月内休完，可以分两次休，须提前十个工作日提交申请。"


def excerpt(text: str, best: int, most: int = 240) -> str:
    return around(text, split_sentences(text), best, most)


@pytest.mark.parametrize("most", range(12, 60))
def test_no_english_word_is_cut(most: int) -> None:
    cut = shorten(ENGLISH, most)
    assert cut.endswith(" …") and len(cut) <= most + 2
    kept = cut.removesuffix(" …")
    assert ENGLISH.startswith(kept)
    assert kept.split()[-1] in {word.rstrip(",") for word in ENGLISH.split()}


@pytest.mark.parametrize("most", range(6, 40))
def test_no_chinese_word_is_cut(most: int) -> None:
    kept = shorten(CHINESE, most).removesuffix(" …")
    assert CHINESE.startswith(kept) and 0 < len(kept) <= most
    for word in ("员工", "规定", "二十天", "子女", "出生", "工作日", "提交", "申请"):
        at = CHINESE.index(word)
        assert not at < len(kept) < at + len(word), kept


def test_what_fits_stays_as_it_is_and_a_word_too_long_is_cut() -> None:
    assert shorten("one\n two", 7) == "one two"
    assert shorten("x" * 50, 20) == "x" * 20 + " …"


def test_the_best_sentence_with_what_fits_around_it() -> None:
    text = "First one. Second one. The answer is 42. Then more. And more."
    assert excerpt(text, 2, 500) == text
    assert excerpt(text, 2, 30) == "… The answer is 42. Then more. …"
    assert excerpt(text, 4, 30) == "… Then more. And more."
    assert excerpt(text, 0, 12) == "First one. …"
    assert excerpt("short\n\n" + "word " * 20 + "\n\nlast", 1, 24) == "… word word word word word …"
    assert excerpt("第一句。第二句。第三句。", 1, 8) == "… 第二句。第三句。"


def test_rows_of_a_table_lose_their_frame() -> None:
    assert excerpt("| Plan | Price |\n| --- | ---: |\n| Skein | 12 € |", 2) == "Plan | Price Skein | 12 €"
