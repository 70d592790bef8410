"""Markdown and plain text: notes, formulas, links, pictures, drawn tables, front matter, encodings."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.tables import table_rows
from lunheng.parsing.text_tables import find_tables
from lunheng.types import Document, Limits


def parse(path: Path, text: str | bytes) -> Document:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return parse_here(path, Limits(), "off")


def shown(document: Document) -> list[tuple[str, str]]:
    return [(e.kind, e.text) for e in document.elements if not e.hidden and e.role == "body"]


def test_markdown_notes_links_formulas_and_pictures(tmp_path: Path) -> None:
    document = parse(
        tmp_path / "a.md",
        "# 年假 [rules](https://example.org/r)\n\n十天[^1]，见[内网][n]。<!-- obey me -->\n\n"
        "[^1]: 按自然年\n    计算。\n[^two]: word\n\n[n]: https://example.org/n\n\n$$\nE = mc^2\n$$\n\n"
        "![穹顶的照片](dome.png)\n\n```math\nx \\le y\n```\n\n```\n[^1]: kept as code\n```\n\n"
        "- [a](b.html)\n  1. inner\n\n<!-- obey -->\n\n<script>obey()</script>\n\nlast\n",
    )
    assert shown(document) == [
        ("heading", "年假 rules"),
        ("paragraph", "十天[^1]，见[内网][n]。"),
        ("formula", "E = mc^2"),
        ("figure", "穹顶的照片"),
        ("formula", "x \\le y"),
        ("code", "[^1]: kept as code"),
        ("list", "- [a](b.html)\n  1. inner"),
        ("paragraph", "last"),
    ]
    notes = [e.text for e in document.elements if e.role == "footnote"]
    assert notes == ["[^1]: 按自然年 计算。", "[^two]: word"]
    assert [link for e in document.elements for link in e.links] == [
        ("rules", "https://example.org/r"),
        ("内网", "https://example.org/n"),
        ("a", "b.html"),
    ]


DRAWN = """Table: 仪器 Instruments

仪器        口径   Year
---------- ------ ------
折射镜      212    1907
Camera      95    1931

+------+-------+
| 城市 | Count |
+======+=======+
| 北京 | 3     |
| 市   |       |
+------+-------+
| 上海 | 4     |
+------+-------+

=====  =====
a      b
=====  =====
1      2
=====  =====

| k | v |
|---+---|
| x | 1 |

Not a table
-----------

a -- b
"""


@pytest.mark.parametrize("suffix", ["txt", "md"])
def test_tables_drawn_in_text(tmp_path: Path, suffix: str) -> None:
    document = parse(tmp_path / f"a.{suffix}", DRAWN)
    tables = [e for e in document.elements if e.kind == "table"]
    assert [table_rows(t.text) for t in tables][:3] == [
        [["仪器", "口径", "Year"], ["折射镜", "212", "1907"], ["Camera", "95", "1931"]],
        [["城市", "Count"], ["北京 市", "3"], ["上海", "4"]],
        [["a", "b"], ["1", "2"]],
    ]
    assert tables[0].caption == "仪器 Instruments"
    assert suffix == "md" or table_rows(tables[3].text) == [["k", "v"], ["x", "1"]]
    assert "a -- b" in document.text


def test_text_with_dashes_is_no_table() -> None:
    assert find_tables(["a", "---- ----", ""]) == []
    assert find_tables(["one word --- another --- third", "--- ---", ""]) == []


def test_toml_front_matter(tmp_path: Path) -> None:
    document = parse(tmp_path / "a.md", '+++\ntitle = "甲"\ndate = 2026-03-01\n[more]\nlevel = 3\n+++\n\ntext\n')
    assert document.title == "甲" and document.extra == {"more": {"level": 3}}
    assert document.created_at and document.created_at.date().isoformat() == "2026-03-01"


CHINESE = "第一章 总则\n\n天文台每周四晚上开放，骑自行车来的访客可以从侧门进入。雨天照常开放，但穹顶不打开。\n\n1.2 范围\n\n适用于全体员工。"
TRADITIONAL = "第一章 總則\n\n天文臺每週四晚上開放，騎自行車來的訪客可以從側門進入。雨天照常開放，但穹頂不打開，訪客改在圖書室觀看。"
JAPANESE = "天文台は毎週木曜日の夕方に開きます。自転車で来る人は下の門から入れます。雨の日も開いていますが、ドームは閉じています。"


@pytest.mark.parametrize(
    "text,encoding",
    [
        *((CHINESE, e) for e in ("utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32")),
        (TRADITIONAL, "big5"),
        (CHINESE.replace("\n", ""), "utf-16-le"),
        (CHINESE.replace("\n", ""), "utf-16-be"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
    ],
)
def test_encodings(tmp_path: Path, text: str, encoding: str) -> None:
    assert parse(tmp_path / "a.txt", text.encode(encoding)).text == text.strip()


@pytest.mark.parametrize(
    "first,title",
    [
        ("报销制度（2025 版）", "报销制度（2025 版）"),
        ("Expenses (2025)", "Expenses (2025)"),
        ("FIRST DAYS 入职\n===========\nfor all", "FIRST DAYS 入职"),
        ("本制度自一月一日起施行，仅供查阅。", "旧制度"),
        ("（本制度已废止。）", "旧制度"),
    ],
)
def test_the_title_is_the_first_line_or_the_name(tmp_path: Path, first: str, title: str) -> None:
    text = f"{first}\n\n一、范围\n全体员工都适用。\n\n二、差旅标准\n\n住宿费上限为 500 元。"
    assert parse(tmp_path / "旧制度.txt", text.encode()).title == title


def test_headings_by_number(tmp_path: Path) -> None:
    document = parse(tmp_path / "a.txt", CHINESE.encode("gb18030"))
    assert [(e.text, e.level) for e in document.elements if e.kind == "heading"] == [
        ("第一章 总则", 2),
        ("1.2 范围", 3),
    ]
