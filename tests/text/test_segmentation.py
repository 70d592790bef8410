"""Index terms: what must find what, in both languages and mixed."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunheng.text import terms


def found(query: str, passage: str) -> bool:
    """Whether every term of the query occurs in the passage."""
    return set(terms(query, for_query=True)) <= set(terms(passage))


@pytest.mark.parametrize(
    ("query", "passage"),
    [
        ("数据库", "本产品是向量数据库。"),
        ("数据", "本产品是向量数据库。"),
        ("資料庫", "资料库的备份"),
        ("资料库", "資料庫的備份"),
        ("王芳", "财务由王芳说明"),
        ("芳", "财务由王芳说明"),
        ("GPU服务器", "一台gpu 服务器"),
        ("GPU", "GPU服务器"),
        ("databases", "The database is large."),
        ("indexing", "It was indexed"),
        ("XG-2000", "型号 XG2000"),
        ("XG2000", "the XG-2000"),
        ("XG 2000", "the XG-2000"),
        ("3.11", "Python 3.11.7"),
        ("v3.11.7", "Python 3.11.7"),
        ("user name", "def getUserName(user_id)"),
        ("getUserName", "getUserName()"),
        ("snake_case_name", "call snake_case_name here"),
        ("1234", "共 1,234 元"),
        ("1,234.5元", "共1234.5元"),
        ("１２３", "123"),
        ("C++", "written in C++."),
        ("email", "send an e-mail"),
        ("USA", "in the U.S.A. today"),
        ("company's", "the company"),
        ("well known", "a well-known fact"),
        ("テスト", "日本語のテスト"),
    ],
)
def test_finds(query: str, passage: str) -> None:
    assert found(query, passage)


@pytest.mark.parametrize(
    ("query", "passage"),
    [
        ("C++", "the C language"),
        ("3.11.7", "version 3.11"),
        ("XG-2000", "XG-3000"),
        ("王芳", "王方"),
        ("2000", "12000"),
    ],
)
def test_does_not_find(query: str, passage: str) -> None:
    assert not found(query, passage)


def test_query_drops_stop_words_unless_there_is_nothing_else() -> None:
    assert terms("What is the warranty of the server?", for_query=True) == ["warranti", "server"]
    assert terms("服务器的保修期是多少？", for_query=True)[-1] != "多少"
    assert terms("The Who", for_query=True) == ["the", "who"]
    assert terms("是什么", for_query=True)
    assert "the" in terms("the server")


def test_counts_repeats() -> None:
    assert terms("cat cats CAT") == ["cat"] * 3


def test_unknown_name_is_found_however_its_neighbours_are_cut() -> None:
    for passage in ("请联系欧阳霁月办理", "由欧阳霁月说明", "欧阳霁月"):
        assert found("欧阳霁月", passage), passage


@given(st.text(max_size=80))
def test_no_empty_terms_and_the_same_again(text: str) -> None:
    once = terms(text)
    assert all(once)
    assert once == terms(text)


@given(st.text(alphabet="数据库向量检索王芳说 abcXY-_.3", min_size=1, max_size=20))
def test_every_query_term_of_a_text_is_in_the_text(text: str) -> None:
    """A passage is always found by itself: the query form is a part of the index form."""
    assert set(terms(text, for_query=True)) <= set(terms(text))


def test_threads() -> None:
    results: list[list[str]] = []
    words = [f"running{n} databases servers 向量数据库" for n in range(300)]
    threads = [threading.Thread(target=lambda: results.append([t for w in words for t in terms(w)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [results[0]] * 4
