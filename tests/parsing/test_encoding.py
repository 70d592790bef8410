"""Any encoding of Chinese and English text is read right."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunheng.errors import ParseError
from lunheng.parsing.encoding import decode

CHINESE = "公司每年三月发放上一年度的奖金，新员工按月折算。"
TRADITIONAL = "公司每年三月發放上一年度的獎金，新員工按月折算。"
ENGLISH = "The bonus is paid every March — pro rata for those who joined later."


@pytest.mark.parametrize("text", [CHINESE, TRADITIONAL, ENGLISH, CHINESE + ENGLISH])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"])
def test_round_trip(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding))[0] == text


@pytest.mark.parametrize("text", [TRADITIONAL, TRADITIONAL * 50, "資料庫"])
def test_big5(text: str) -> None:
    assert decode(text.encode("big5"))[0] == text


@pytest.mark.parametrize("text", ["年假", "数据库", "退款：七天", CHINESE * 1000])
def test_short_and_long_gbk(text: str) -> None:
    assert decode(text.encode("gbk"))[0] == text


def test_utf16_without_a_mark() -> None:
    assert decode(ENGLISH.encode("utf-16-le"))[0] == ENGLISH
    assert decode(ENGLISH.encode("utf-16-be"))[0] == ENGLISH


def test_western_text_is_not_taken_for_chinese() -> None:
    text = "Le café fermé près de l'église a été rénové à Noël, où l'été dernier il était délabré. " * 5
    assert decode(text.encode("cp1252"))[0] == text


def test_cut_utf8_is_damage_not_another_encoding() -> None:
    text, encoding, warnings = decode((CHINESE * 5).encode()[:-1])
    assert encoding == "utf-8" and text.startswith(CHINESE) and warnings


@given(st.binary(max_size=300))
def test_anything_gives_text_or_a_clear_error(data: bytes) -> None:
    try:
        text, encoding, _ = decode(data, "file.txt")
    except ParseError as error:
        assert "file.txt" in str(error)
    else:
        assert isinstance(text, str) and codecs.lookup(encoding)
