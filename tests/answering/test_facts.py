"""The exact parts of sentences, in both languages and mixed."""

from __future__ import annotations

import pytest

from lunheng.answering.facts import Quantity, everyone, extract, is_code, negated


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("备份保留35天。", 35, "day"),
        ("Backups are kept for 35 days.", 35, "day"),
        ("备份保留三十五天", 35, "day"),
        ("kept for thirty-five days", 35, "day"),
        ("每人每晚 1,350 元", 1350, "yuan"),
        ("CNY 1,350 a week", 1350, "yuan"),
        ("¥1350", 1350, "yuan"),
        ("约1.5万人", 15000, "person"),
        ("比例为百分之三十", 30, "percent"),
        ("a rate of 30%", 30, "percent"),
        ("两周内提交", 2, "week"),
        ("within two weeks", 2, "week"),
        ("３５天", 35, "day"),
        ("容量为500GB", 500, "gb"),
        ("三百五十名员工", 350, "person"),
        ("the fee is $20", 20, "dollar"),
        ("10 working days", 10, "day"),
    ],
)
def test_quantities_have_one_form(text: str, value: float, unit: str) -> None:
    assert Quantity(value, unit) in extract(text).quantities


@pytest.mark.parametrize(
    "text",
    [
        "2026年3月1日",
        "2026-03-01",
        "March 1, 2026",
        "1 March 2026",
        "2026/3/1",
        "on Mar. 1st, 2026",
        "２０２６年３月１日",
    ],
)
def test_dates_have_one_form(text: str) -> None:
    assert extract(text).dates == {(2026, 3, 1)}
    assert not extract(text).quantities


@pytest.mark.parametrize("text", ["02:30", "2:30", "凌晨2点30分", "2点半", "2:30 a.m.", "02：30"])
def test_times_have_one_form(text: str) -> None:
    assert extract(text).times == {150}


def test_afternoon_is_counted() -> None:
    assert extract("下午2:30").times == extract("2:30 pm").times == extract("14:30").times == {870}


@pytest.mark.parametrize("text", ["我们统一管理", "一个人也好", "第一次", "十分重要的一些事"])
def test_numerals_inside_words_are_not_numbers(text: str) -> None:
    assert all(q.value in (1, 10) for q in extract(text).quantities)


def test_names_are_codes_acronyms_and_capitalised_words() -> None:
    names = extract("The Aurora cluster runs on XG-2000 and is owned by the SRE team in March.").names
    assert {"aurora", "xg-2000", "sre"} <= names
    assert "the" not in names and "march" not in names


def test_identifiers_and_addresses_are_names() -> None:
    names = extract(
        "Join starling-guest-sg, run pg_dump and write to privacy@starling.example on an on-call day."
    ).names
    assert {"starling-guest-sg", "pg_dump", "privacy@starling.example"} == {
        n for n in names if is_code(n)
    } and "on-call" not in names


@pytest.mark.parametrize("text", ["任何人都可以申请", "Anyone may ask", "open to all employees", "所有员工均适用"])
def test_what_is_said_of_everybody(text: str) -> None:
    assert everyone(text)


@pytest.mark.parametrize("text", ["经理可以申请", "The General Counsel may ask", "every hold is reviewed"])
def test_what_is_said_of_some(text: str) -> None:
    assert not everyone(text)


def test_chinese_names_are_tagged() -> None:
    assert "北京" in extract("总部设在北京。").names


@pytest.mark.parametrize(
    ("text", "denies"),
    [
        ("试用期员工不能远程办公", True),
        ("没有提到", True),
        ("金额不超过500元", False),
        ("不少于三天", False),
        ("Employees may not work remotely", True),
        ("no more than 500", False),
        ("It's allowed", False),
        ("You don't need approval", True),
        ("不仅支持中文", False),
        ("无论何时都可以", False),
        ("未经批准禁止访问", True),
    ],
)
def test_denials_are_told_from_bounds(text: str, denies: bool) -> None:
    assert negated(text) is denies
