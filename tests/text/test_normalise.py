"""Simplified = traditional, half width = full width, upper = lower case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunheng.text import normalise, simplify


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("繁體中文資料", "繁体中文资料"),
        ("頭髮與發展", "头发与发展"),
        ("乾淨的乾隆", "干净的乾隆"),
        ("為什麼", "为什么"),
        ("ＧＰＵ服务器１２３", "gpu服务器123"),
        ("ﾃｽﾄ", "テスト"),
        ("Straße", "STRASSE"),
        ("（注）", "(注)"),
    ],
)
def test_same_form(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize("text", ["皇后在后面", "干涉内政", "乾坤", "面条和面子", "著作", "系统联系关系"])
def test_simplified_text_stays(text: str) -> None:
    assert normalise(text) == text


def test_simplify_keeps_case() -> None:
    assert simplify("ＨＴＴＰServer 資料") == "HTTPServer 资料"


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_takes_any_text(text: str) -> None:
    assert isinstance(normalise(text), str)
