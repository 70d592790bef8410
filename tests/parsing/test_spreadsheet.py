"""Spreadsheets: values as shown, hidden parts, merged cells, several tables, wide sheets, links, notes; CSV."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.comments import Comment

from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.number_formats import BUILTIN, format_value
from lunheng.parsing.tables import table_rows
from lunheng.types import Document, Limits

DAY = dt.datetime(2026, 3, 1, 14, 5, 9)


def parse(book: Any, folder: Path, **limits: Any) -> Document:
    book.save(folder / "a.xlsx")
    return parse_here(folder / "a.xlsx", Limits(**limits), "off")


def shown(document: Document) -> list[tuple[str, str]]:
    return [(e.kind, e.text) for e in document.elements if not e.hidden and e.role == "body"]


@pytest.mark.parametrize(
    "value,code,expected",
    [
        (0.125, "0.0%", "12.5%"),
        (1234.5, "#,##0.00", "1,234.50"),
        (-1234.5, "#,##0.00;(#,##0.00)", "(1,234.50)"),
        (-3, "0.00", "-3.00"),
        (1234, '"¥"#,##0', "¥1,234"),
        (1234, "[$¥-804]#,##0.00", "¥1,234.00"),
        (1234, "_ ¥* #,##0.00_ ;[Red]-¥#,##0.00", "¥1,234.00"),
        (12000000, '#,##0.0,,"M"', "12.0M"),
        (3, '0"台"', "3台"),
        (7, "000", "007"),
        (0, '0;-0;"—"', "—"),
        (2.5, "0.##", "2.5"),
        (1.005, "0.00", "1.01"),
        (12345, "0.00E+00", "1.23E+04"),
        (5, "General", None),
        (0.5, "# ?/?", None),
        ("text", "0.00", None),
        (DAY, 'yyyy"年"m"月"d"日"', "2026年3月1日"),
        (DAY, "[$-804]yyyy/m/d aaaa", "2026/3/1 星期日"),
        (DAY, "d-mmm-yy h:mm AM/PM", "1-Mar-26 2:05 PM"),
        (DAY, '上午/下午h"时"mm"分"', "下午2时05分"),
        (DAY, "mm:ss.0", "05:09.0"),
        (46082, "yyyy-mm-dd", "2026-03-01"),
        (1.5, "[h]:mm", "36:00"),
        (dt.timedelta(hours=30, minutes=5), "[h]:mm", "30:05"),
        (46082, BUILTIN[31], "2026年3月1日"),
    ],
)
def test_values_as_shown(value: Any, code: str, expected: str | None) -> None:
    assert format_value(value, code) == expected


def test_formats_merges_units_and_notes(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "收入"
    for row in (
        ["表 1 收入明细", None, None],
        ["单位：万元", None, None],
        ["季度", "收入", None],
        [None, "国内", "海外"],
    ):
        sheet.append(row)
    sheet.append(["一季度", 1234.5, 0.25])
    sheet.append(["二季度", 2000, 0.3])
    sheet.append(["注：海外为占比。"])
    for cells in ("A1:C1", "A3:A4", "B3:C3"):
        sheet.merge_cells(cells)
    for row in (5, 6):
        sheet.cell(row, 2).number_format = "#,##0.00"
        sheet.cell(row, 3).number_format = "0%"
    document = parse(book, tmp_path)
    assert shown(document) == [
        ("heading", "收入"),
        ("heading", "表 1 收入明细"),
        ("paragraph", "单位：万元"),
        (
            "table",
            "| 季度 | 收入 / 国内 | 收入 / 海外 |\n| --- | --- | --- |\n| 一季度 | 1,234.50 | 25% |\n| 二季度 | 2,000.00 | 30% |",
        ),
        ("paragraph", "注：海外为占比。"),
    ]
    assert next(e.caption for e in document.elements if e.kind == "table") == "表 1 收入明细 单位：万元"


def test_hidden_rows_columns_links_and_notes(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (["Name", "Salary", "Site"], ["Ann", 10, "home"], ["Bob", 20, "x"], ["Cid", 30, "y"]):
        sheet.append(row)
    sheet.row_dimensions[3].hidden = True
    sheet.column_dimensions["B"].hidden = True
    sheet["C2"].hyperlink = "https://example.org/ann"
    sheet["A4"].comment = Comment("离职", "HR")
    document = parse(book, tmp_path)
    table = next(e for e in document.elements if e.kind == "table" and not e.hidden)
    assert table_rows(table.text) == [["Name", "Site"], ["Ann", "home"], ["Cid", "y"]]
    assert table.links == (("home", "https://example.org/ann"),)
    hidden = [table_rows(e.text) for e in document.elements if e.hidden]
    assert hidden[0] == [["Name", "Salary", "Site"], ["Bob", "20", "x"]]
    assert hidden[1] == [["Name", "Salary"], ["Ann", "10"], ["Bob", "20"], ["Cid", "30"]]
    assert [e.text for e in document.elements if e.role == "comment"] == ["A4: 离职"]
    assert any("hidden rows or columns" in w for w in document.warnings)


def test_several_tables_and_a_gap_within_one(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (
        ["城市", "人数"],
        ["北京", 3],
        [],
        ["上海", 4],
        [],
        ["Sales by region"],
        ["Region", "Sum"],
        ["North", 7],
    ):
        sheet.append(row)
    for at, row in enumerate((["Key", "Value"], ["a", 1]), 1):
        for column, value in enumerate(row, 4):
            sheet.cell(at, column, value)
    tables = [table_rows(e.text) for e in parse(book, tmp_path).elements if e.kind == "table"]
    assert tables == [
        [["城市", "人数"], ["北京", "3"], ["上海", "4"]],
        [["Key", "Value"], ["a", "1"]],
        [["Region", "Sum"], ["North", "7"]],
    ]


def test_a_wide_sheet_is_read_as_records(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "人员"
    sheet.append(["姓名", *(f"字段{i}" for i in range(1, 30))])
    sheet.append(["黎若禾", *range(1, 30)])
    sheet.append(["Ann", None, 5])
    document = parse(book, tmp_path)
    records = [e for e in document.elements if e.kind == "paragraph"]
    assert records[0].text.startswith("姓名: 黎若禾\n字段1: 1\n") and records[0].caption == "人员"
    assert records[1].text == "姓名: Ann\n字段2: 5"
    assert [e.kind for e in parse(book, tmp_path, wide_sheet_columns=0).elements] == ["heading", "table"]


def test_a_formula_without_a_stored_value_is_said(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["a", 1, "=SUM(B1:B1)"])
    assert any("no stored value" in w for w in parse(book, tmp_path).warnings)


@pytest.mark.parametrize(
    "text,rows",
    [
        ("sep=;\n名称;数量\n镜;1\n", [["名称", "数量"], ["镜", "1"]]),
        ('a, "b, c"\n1, 2\n', [["a", "b, c"], ["1", "2"]]),
        ("甲|1|2026\n乙|2|2027\n丙|3|2028\n", [["甲", "1", "2026"], ["乙", "2", "2027"], ["丙", "3", "2028"]]),
        ("城市,2024,2025\n北京,1,2\n上海,3,4\n", [["城市", "2024", "2025"], ["北京", "1", "2"], ["上海", "3", "4"]]),
    ],
)
def test_csv_dialects(tmp_path: Path, text: str, rows: list[list[str]]) -> None:
    for encoding in ("utf-8", "gb18030", "utf-16"):
        (tmp_path / "a.csv").write_bytes(text.encode(encoding))
        document = parse_here(tmp_path / "a.csv", Limits(), "off")
        assert [table_rows(e.text) for e in document.elements] == [rows]


def test_csv_without_a_header_has_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("甲,1.5\n乙,2.5\n丙,3.5\n", encoding="utf-8")
    document = parse_here(tmp_path / "a.csv", Limits(), "off")
    assert document.text.startswith("|  |  |\n| --- | --- |\n| 甲 | 1.5 |")
