"""Keywords: what a passage is about, in both languages."""

from hypothesis import given
from hypothesis import strategies as st

from lunheng.text import extract_keywords


def test_chinese() -> None:
    text = "向量数据库用于检索增强生成。数据库的索引需要内存，数据库的备份每天进行，索引可以重建。"
    found = extract_keywords(text, 5)
    assert found[0] == "数据库"
    assert "索引" in found
    assert not {"的", "用于", "可以", "需要"} & set(found)


def test_english() -> None:
    text = "The retrieval server keeps an index. The server rebuilds the index when the server restarts."
    found = extract_keywords(text, 3)
    assert "server" in found
    assert "index" in found
    assert "the" not in found


def test_mixed_and_traditional() -> None:
    found = extract_keywords("GPU伺服器的資料庫，GPU伺服器的資料庫。", 4)
    assert "gpu" in found
    assert "资料库" in found


@given(st.text(max_size=100), st.integers(0, 8))
def test_any_text(text: str, k: int) -> None:
    found = extract_keywords(text, k)
    assert len(found) <= k
    assert len(set(found)) == len(found)
    assert all(found)


def test_forms_of_a_word_count_together_and_show_the_usual_one() -> None:
    found = extract_keywords("The engineers page an engineer; engineers answer pages in three days, day by day.", 3)
    assert found[0] == "engineers" and "day" not in found and "days" not in found


def test_what_names_no_subject_is_no_keyword() -> None:
    found = extract_keywords(
        "本手册规定，每31日及以后的费用在24小时之内报销，各部门的费用由财务部门核对。The first two years, every day.", 6
    )
    assert {"手册", "费用"} <= set(found)
    assert not {"本手册", "日及", "小时", "部门", "years", "day", "first", "two"} & set(found)
