"""PowerPoint: order, lists, groups, tables, charts, notes, hidden parts, links."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.oxml import parse_xml
from pptx.util import Pt

from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.pptx_order import reading_order
from lunheng.types import Document, Limits

NS = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'


def parse(deck: Any, folder: Path) -> Document:
    deck.save(str(folder / "a.pptx"))
    return parse_here(folder / "a.pptx", Limits(), "off")


def shown(document: Document) -> list[tuple[str, str]]:
    return [(e.kind, e.text) for e in document.elements if not e.hidden and e.role == "body"]


def box(slide: Any, text: str, left: float, top: float, width: float = 200, height: float = 40) -> Any:
    made = slide.shapes.add_textbox(Pt(left), Pt(top), Pt(width), Pt(height))
    made.text_frame.text = text
    return made


def test_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Two 两栏"
    for text, left, top in [("right 2", 420, 260), ("left 1", 40, 200), ("right 1", 420, 200), ("left 2", 40, 260)]:
        box(slide, text, left, top)
    box(slide, "below", 40, 480, 600)
    assert [text for _, text in shown(parse(deck, tmp_path))] == [
        "Two 两栏", "left 1", "left 2", "right 1", "right 2", "below",
    ]  # fmt: skip


def test_reading_order_of_what_overlaps() -> None:
    boxes = [((0.0, 20.0, 10.0, 40.0), "b"), ((0.0, 0.0, 10.0, 30.0), "a"), ((5.0, 1.0, 15.0, 30.0), "c")]
    assert [name for _, name in reading_order(boxes)] == ["a", "c", "b"]


def test_lists_numbers_links_and_groups(tmp_path: Path) -> None:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "步骤"
    frame = slide.placeholders[1].text_frame
    for at, (text, level) in enumerate([("准备", 0), ("inner", 1), ("完成", 0)]):
        paragraph = frame.paragraphs[0] if at == 0 else frame.add_paragraph()
        paragraph.text, paragraph.level = text, level
    numbered = box(slide, "one", 40, 420)
    second = numbered.text_frame.add_paragraph()
    second.text = "二"
    for paragraph in numbered.text_frame.paragraphs:
        paragraph._p.get_or_add_pPr().append(parse_xml(f'<a:buAutoNum {NS} type="arabicParenR"/>'))
    group = slide.shapes.add_group_shape()
    inside = group.shapes.add_textbox(Pt(300), Pt(480), Pt(100), Pt(30))
    run = inside.text_frame.paragraphs[0].add_run()
    run.text = "内网"
    run.hyperlink.address = "https://example.org/"
    document = parse(deck, tmp_path)
    assert shown(document) == [
        ("heading", "步骤"),
        ("list", "- 准备\n  - inner\n- 完成"),
        ("list", "1) one\n2) 二"),
        ("paragraph", "内网"),
    ]
    assert document.elements[-1].links == (("内网", "https://example.org/"),)
    assert document.elements[-1].bbox == pytest.approx((300, 480, 400, 510), abs=0.2)


def test_tables_charts_and_notes(tmp_path: Path) -> None:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    box(slide, "表 1 人数", 40, 10)
    table = slide.shapes.add_table(2, 3, Pt(40), Pt(60), Pt(400), Pt(60)).table
    table.cell(0, 0).merge(table.cell(0, 1))
    for r, c, text in [(0, 0, "wide"), (0, 2, "x"), (1, 0, "1"), (1, 1, "2"), (1, 2, "3")]:
        table.cell(r, c).text = text
    data = CategoryChartData()
    data.categories = ["一季度", "Q2"]
    data.add_series("收入", (1.1, 0.1 + 0.2))
    data.add_series("Cost", (3, None))
    chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Pt(40), Pt(200), Pt(400), Pt(200), data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Income 收支"
    slide.notes_slide.notes_text_frame.text = "Say hello.\n说慢一点。"
    document = parse(deck, tmp_path)
    assert shown(document)[1:] == [
        ("paragraph", "表 1 人数"),
        ("table", "| wide | wide | x |\n| --- | --- | --- |\n| 1 | 2 | 3 |"),
        ("table", "|  | 收入 | Cost |\n| --- | --- | --- |\n| 一季度 | 1.1 | 3 |\n| Q2 | 0.3 |  |"),
    ]
    assert [e.caption for e in document.elements if e.kind == "table"] == ["表 1 人数", "Income 收支"]
    assert [e.text for e in document.elements if e.role == "speaker_notes"] == ["Say hello.\n说慢一点。"]


def test_what_is_hidden_is_flagged(tmp_path: Path) -> None:
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[6])
    box(first, "seen", 40, 40)
    box(first, "off the slide", -900, 40)
    box(first, "switched off", 40, 90)._element.nvSpPr.cNvPr.set("hidden", "1")
    second = deck.slides.add_slide(deck.slide_layouts[6])
    box(second, "隐藏页", 40, 40)
    second._element.set("show", "0")
    document = parse(deck, tmp_path)
    assert ("paragraph", "seen") in shown(document)
    assert {e.text for e in document.elements if e.hidden} >= {"off the slide", "switched off", "隐藏页"}
    assert len(document.warnings) == 2
