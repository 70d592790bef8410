"""Template questions: of every shape, in Chinese, English and both, and none where the text has no such shape."""

from __future__ import annotations

import pytest

from lunheng.tuning.rag.answers import holds_answer
from lunheng.tuning.rag.templates import template_questions
from lunheng.types import Chunk, Metadata


def chunk(text: str, language: str, kind: str = "text", path: tuple[str, ...] = (), title: str = "") -> Chunk:
    metadata = Metadata("a.md", "md", "doc", 0, language=language, heading_path=path, title=title)
    return Chunk("c", text, 0, len(text), metadata, kind=kind)


def asked(text: str, language: str, **more: object) -> dict[str, str]:
    return {d.question: d.answer for d in template_questions(chunk(text, language, **more))}  # type: ignore[arg-type]


PLANS = """| 方案 Plan | 月费 Monthly fee | 负责人 Owner |
| --- | --- | --- |
| 雏鸟 Fledgling | 99 元 | 王芳 |
| 候鸟 Migrant | 899 元 | 李雷 |"""


def test_tables_are_asked_in_the_chunks_language() -> None:
    assert asked(PLANS, "zh", kind="table")["候鸟的月费是多少？"] == "候鸟的月费是899 元。"
    assert "雏鸟的负责人是谁？" in asked(PLANS, "zh", kind="table")
    english = asked(PLANS, "en", kind="table")
    assert english["What is the monthly fee of Migrant?"] == "The monthly fee of Migrant is 899 元."


def test_a_column_that_names_no_property_is_not_made_one() -> None:
    text = "| Data | Kept for | Pages |\n| --- | --- | --- |\n| Audit logs | 400 days | 12 |"
    assert asked(text, "en", kind="table") == {
        "What is given under “Kept for” for Audit logs?": "Audit logs: kept for 400 days.",
        "How many pages are given for Audit logs?": "Audit logs: 12 pages.",
    }


def test_rows_that_name_nothing_or_the_same_thing_twice_are_not_asked() -> None:
    text = "| 日期 | 结果 |\n| --- | --- |\n| 2025-10-21 | 通过 |\n| 客户数据库 | 未通过 |\n| 客户数据库 | 通过 |\n| 代码仓库 | — |"
    assert asked(text, "zh", kind="table") == {}


@pytest.mark.parametrize(
    ("text", "language", "question"),
    [
        ("双密钥是指新旧两把密钥同时有效的轮换方式。", "zh", "什么是双密钥？"),
        ("外包人员的年假为 12 天。", "zh", "外包人员的年假是多少？"),
        ("A hard limit is a ceiling at which writing stops and reading goes on.", "en", "What is a hard limit?"),
        ("The pass mark is 85 percent.", "en", "What is the pass mark?"),
        ("Q: 如何重置密码？\nA: 在登录页点击忘记密码。", "zh", "如何重置密码？"),
        (
            "regions.id: sg-1\nregions.name: Singapore 1\nregions.products: Murmur",
            "en",
            "What are the products of Singapore 1?",
        ),
    ],
)
def test_definitions_amounts_records_and_questions(text: str, language: str, question: str) -> None:
    found = asked(text, language)
    assert question in found
    assert all(holds_answer(text, answer, q) for q, answer in found.items())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("违纪分为三级：一级口头警告，二级书面警告。", "zh"),
        ("该制度为 2026 年 1 月修订。这是一种常见的做法，大家都知道。", "zh"),
        ("It is the best way to do this. There are 12 of them. This is a policy for everyone.", "en"),
        ("Thanks to all who helped.", "en"),
        ("", "en"),
    ],
)
def test_nothing_is_asked_where_nothing_can_be(text: str, language: str) -> None:
    assert asked(text, language) == {}


def test_headings_and_labelled_items() -> None:
    text = "3. 其他假期\n\n- 婚假：15 天，自登记之日起一年内一次休完。\n- 搬家假：每两年 1 天，须提前三天申请。"
    found = asked(text, "zh", path=("3. 其他假期",), title="员工手册")
    assert found["关于其他假期，婚假是怎么规定的？"].startswith("婚假：15 天")
    assert found["《员工手册》关于其他假期是怎么说的？"].startswith("婚假：15 天")
    whole = "4. Requests\n\nAnyone may ask what we hold about them by writing to us. We answer within 20 calendar days."
    assert list(asked(whole, "en", path=("4. Requests",), title="Policy")) == ["What does “Policy” say about requests?"]
    assert asked(whole.replace("Requests", "Overview"), "en", path=("4. Overview",)) == {}
