"""Language by script and function words, mixed text included."""

import pytest

from lunheng.text import detect_language, han_share


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("向量数据库支持近似检索。", "zh"),
        ("備份資料庫需要使用管理員帳號。", "zh"),
        ("如何配置 GPU server 的 cache？", "zh"),
        ("保修期", "zh"),
        ("How long is the warranty of the XG-2000?", "en"),
        ("warranty", "en"),
        ("The capital, Beijing (北京), lies in the north of China.", "en"),
        ("日本語の文章を検出する。", "ja"),
        ("カタカナ", "ja"),
        ("한국어 문장입니다.", "ko"),
        ("Как дела в Москве?", "ru"),
        ("Le chat est dans la maison et il dort.", "fr"),
        ("Der Hund ist nicht auf dem Sofa.", "de"),
        ("El perro y el gato son los amigos de la casa.", "es"),
        ("สวัสดีครับ", "th"),
        ("مرحبا بالعالم", "ar"),
        ("", "und"),
        ("3.14 + 2 = 5.14 !!!", "und"),
    ],
)
def test_detects(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_looks_only_at_the_beginning_of_a_long_text() -> None:
    assert detect_language("数据" * 20_000 + "the end of it " * 50_000) == "zh"


def test_han_share() -> None:
    assert han_share("数据库") == 1.0
    assert han_share("data 数据, 123") == pytest.approx(2 / 6)
    assert han_share("123") == 0.0
