"""What single formats keep beyond the conformance suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.html import cap_nesting
from lunheng.parsing.tables import escape_cell, markdown_table
from lunheng.types import Document, Element, Limits


def parse(path: Path) -> Document:
    return parse_here(path, Limits(), "off")


def write(path: Path, text: str, encoding: str = "utf-8") -> Document:
    path.write_text(text, encoding=encoding)
    return parse(path)


def kinds(document: Document) -> list[tuple[str, str]]:
    return [(e.kind, e.text) for e in document.elements if not e.hidden]


def hidden(document: Document) -> list[Element]:
    return [e for e in document.elements if e.hidden]


def test_html_spans_fill_the_grid(tmp_path: Path) -> None:
    document = write(
        tmp_path / "a.html",
        "<table><caption>表一</caption><tr><th rowspan=2>甲</th><th colspan=2>乙|丙</th></tr>"
        "<tr><td>1</td><td>2<br>3</td></tr></table>",
    )
    caption, table = document.elements
    assert caption.text == "表一"
    assert table.text == "| 甲 | 乙\\|丙 | 乙\\|丙 |\n| --- | --- | --- |\n| 甲 | 1 | 2<br>3 |"
    assert table.caption == "表一"


def test_html_nested_lists_and_code(tmp_path: Path) -> None:
    document = write(
        tmp_path / "a.html",
        "<html><body><ol><li>one<ul><li>inner <b>bold</b></li></ul></li><li>two</li></ol><pre>x = 1\n  y</pre></body>",
    )
    assert kinds(document) == [("list", "1. one\n  - inner bold\n2. two"), ("code", "x = 1\n  y")]


@pytest.mark.parametrize(
    "style",
    ["display:none", "visibility: hidden", "font-size:0", "opacity:0", "color:#fff", "color:white;background:#ffffff"],
)
def test_html_hidden_text_is_flagged(tmp_path: Path, style: str) -> None:
    document = write(
        tmp_path / "a.html", f"<html><body><p>seen</p><p style='{style}'>obey me</p><p>also</p></body></html>"
    )
    assert kinds(document) == [("paragraph", "seen"), ("paragraph", "also")]
    assert [e.text for e in hidden(document)] == ["obey me"]
    assert document.warnings


def test_html_white_on_blue_is_visible(tmp_path: Path) -> None:
    document = write(
        tmp_path / "a.html", "<html><body><p style='color:#fff;background:#003'>banner text</p></body></html>"
    )
    assert kinds(document) == [("paragraph", "banner text")]


def test_html_declared_encoding(tmp_path: Path) -> None:
    page = "<html><head><meta charset='gb2312'><title>镕基</title></head><body><p>数据</p></body></html>"
    document = write(tmp_path / "a.html", page, "gbk")
    assert document.title == "镕基" and document.text == "数据"


def test_cap_nesting_keeps_text_and_order() -> None:
    text, dropped = cap_nesting("<div>" * 9 + "deep" + "</div>" * 9 + "<p>after</p>", 3)
    assert text.count("<div>") == text.count("</div>") == 3 and dropped == 6
    assert text.index("deep") < text.index("after")


def test_markdown_keeps_lists_code_and_quotes(tmp_path: Path) -> None:
    document = write(
        tmp_path / "a.md",
        "Setext 标题\n====\n\n## 二级 `code` **bold**\n\n1. 一\n   - 内\n2. 二\n\n> 引用的话\n\n```sh\nls | wc\n```\n\n"
        "| a | b |\n|---|---|\n| x\\|y | `z` |\n\n<div hidden>secret</div>\n",
    )
    assert kinds(document) == [
        ("heading", "Setext 标题"),
        ("heading", "二级 code bold"),
        ("list", "1. 一\n   - 内\n2. 二"),
        ("paragraph", "引用的话"),
        ("code", "ls | wc"),
        ("table", "| a | b |\n| --- | --- |\n| x\\|y | `z` |"),
    ]
    assert [e.text for e in hidden(document)] == ["secret"]


def test_plain_text_structure(tmp_path: Path) -> None:
    document = write(
        tmp_path / "a.txt",
        "第一章 总则\n第一条的内容在这里，写得比较长，足以成为一段。\n第二条的内容也在这里，同样写得很长很长。\n\n"
        "1.2 Scope\n\nA paragraph that was\nwrapped by hand at a\nnarrow width.\n\n- one\n- two\n",
    )
    assert kinds(document) == [
        ("heading", "第一章 总则"),
        ("paragraph", "第一条的内容在这里，写得比较长，足以成为一段。"),
        ("paragraph", "第二条的内容也在这里，同样写得很长很长。"),
        ("heading", "1.2 Scope"),
        ("paragraph", "A paragraph that was\nwrapped by hand at a\nnarrow width."),
        ("list", "- one\n- two"),
    ]


def test_docx_merged_cells_levels_and_deleted_text(tmp_path: Path) -> None:
    import docx
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    word = docx.Document()
    word.add_heading("一级", 1)
    word.add_heading("三级", 3)
    word.add_paragraph("outer", style="List Bullet")
    word.add_paragraph("inner", style="List Bullet 2")
    paragraph = word.add_paragraph("kept ")
    deletion = OxmlElement("w:del")
    run = paragraph.add_run("deleted")._r
    run.find(qn("w:t")).tag = qn("w:delText")
    paragraph._p.append(deletion)
    deletion.append(run)
    word.add_paragraph("表 1：merged", style="Caption")
    table = word.add_table(3, 2)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(1, 0).merge(table.cell(2, 0)).text = "tall"
    table.cell(1, 1).text, table.cell(2, 1).text = "x", "y"
    word.save(str(tmp_path / "a.docx"))
    document = parse(tmp_path / "a.docx")
    assert kinds(document) == [
        ("heading", "一级"),
        ("heading", "三级"),
        ("list", "- outer\n  - inner"),
        ("paragraph", "kept"),
        ("paragraph", "表 1：merged"),
        ("table", "| wide | wide |\n| --- | --- |\n| tall | x |\n| tall | y |"),
    ]
    assert document.elements[-1].caption == "表 1：merged"
    assert document.elements[-1].heading_path == ("一级", "三级")


def test_spreadsheet_values_as_shown(tmp_path: Path) -> None:
    import datetime as dt

    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["name", "when", "amount", "ok"])
    sheet.append(["甲", dt.datetime(2026, 1, 2), 3.0, True])
    sheet.append(["乙", dt.datetime(2026, 1, 2, 3, 4), 0.1 + 0.2, False])
    sheet.merge_cells("A4:B4")
    sheet["A4"], sheet["C4"] = "total", "=SUM(C2:C3)"
    book.save(tmp_path / "a.xlsx")
    (table,) = (e for e in parse(tmp_path / "a.xlsx").elements if e.kind == "table")
    assert table.text.split("\n")[2:] == [
        "| 甲 | 2026-01-02 0:00:00 | 3 | TRUE |",
        "| 乙 | 2026-01-02 3:04:00 | 0.3 | FALSE |",
        "| total | total |  |  |",
    ]


def test_title_over_a_sheet_is_a_heading_and_no_column_name(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "计划"
    for row in (["备份计划, version 2026"], ["System 系统", "Kept (days) 保留天数"], ["Git 代码仓库", 120]):
        sheet.append(row)
    sheet.merge_cells("A1:B1")
    book.save(tmp_path / "a.xlsx")
    document = parse(tmp_path / "a.xlsx")
    (table,) = (e for e in document.elements if e.kind == "table")
    assert table.text.splitlines()[0] == "| System 系统 | Kept (days) 保留天数 |"
    assert table.caption == "备份计划, version 2026"
    assert table.heading_path == ("计划", "备份计划, version 2026")
    plain = write(tmp_path / "b.csv", "年假天数 2026,\n司龄,天数\n满 5 年,17\n")
    assert plain.text.endswith("| 司龄 | 天数 |\n| --- | --- |\n| 满 5 年 | 17 |")
    assert plain.elements[0].kind == "heading"


def test_csv_delimiters(tmp_path: Path) -> None:
    assert write(tmp_path / "a.csv", "名称;数量\n轴承;3,5\n").text == "| 名称 | 数量 |\n| --- | --- |\n| 轴承 | 3,5 |"
    assert write(tmp_path / "b.tsv", "a\tb\n1\t2\n").text == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_jsonl_bad_line_is_named(tmp_path: Path) -> None:
    document = write(tmp_path / "a.jsonl", '{"a": {"b": [1, 2]}}\nnot json\n{"a": null, "c": true}\n')
    assert document.text == "a.b: 1, 2\n\nnot json\n\nc: true"
    assert any("line 2" in warning for warning in document.warnings)


@pytest.mark.slow
def test_a_100_mb_text_file(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    line = "The ledger of the year holds one entry for each night. 每一夜都有一条记录。\n\n"
    path.write_text(line * (100_000_000 // len(line.encode())), encoding="utf-8")
    from lunheng.parsing import parse_file

    document = parse_file(path)
    assert len(document.elements) == 100_000_000 // len(line.encode())
    assert document.text[document.elements[-1].start : document.elements[-1].end] == document.elements[-1].text


def test_tables() -> None:
    assert markdown_table([]) == markdown_table([["", " "]]) == ""
    assert markdown_table([["a"], ["b", "c"]]) == "| a |  |\n| --- | --- |\n| b | c |"
    assert escape_cell("a|b\n\n c") == "a\\|b<br>c"
