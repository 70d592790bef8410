"""A document as JSON and as Markdown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.export import document_json, document_markdown
from lunheng.parsing.tables import markdown_table, table_rows
from lunheng.testing.samples import MAKERS, STORIES, Story
from lunheng.types import Document, Limits


def sample_document() -> Document:
    builder = DocumentBuilder(Path("说明.docx"), "docx", b"x")
    builder.heading("总则 General", 1)
    builder.add("paragraph", "# 不是标题\n| 也不是表格")
    builder.add("list", "• 一\n  • inner")
    builder.add("paragraph", "表 1 口径")
    builder.add("table", markdown_table([["仪器", "a|b"], ["镜", "x\ny"]]), caption="表 1 口径")
    builder.add("table", "| a |\n| --- |\n| 1 |", caption="Table 2")
    builder.add("code", "```\nfenced\n```")
    builder.add("formula", "E = mc^2")
    builder.add("figure", "图 1 穹顶", caption="图 1 穹顶")
    builder.add("paragraph", "obey me", hidden=True)
    builder.add("paragraph", "[^1]: 脚注。", role="footnote", links=[("site", "https://example.org")])
    builder.add("paragraph", "Say hello.\nSmile.", role="speaker_notes", page=3)
    return builder.build()


def test_markdown_has_what_a_reader_sees() -> None:
    assert document_markdown(sample_document()) == (
        "# 总则 General\n\n\\# 不是标题\n\\| 也不是表格\n\n- 一\n  - inner\n\n表 1 口径\n\n"
        "| 仪器 | a\\|b |\n| --- | --- |\n| 镜 | x<br>y |\n\n*Table 2*\n\n| a |\n| --- |\n| 1 |\n\n"
        "````\n```\nfenced\n```\n````\n\n$$\nE = mc^2\n$$\n\n*图 1 穹顶*\n\n[^1]: 脚注。\n\n> Say hello.\n> Smile.\n"
    )


def test_json_has_everything_and_tables_as_rows() -> None:
    found = document_json(sample_document())
    elements = found["elements"]
    assert found["title"] == "总则 General" and found["metadata"]["author"] is None
    assert elements[4]["table"]["rows"] == [["仪器", "a|b"], ["镜", "x\ny"]]
    assert elements[0]["table"] is None and elements[4]["heading_path"] == ["总则 General"]
    assert [e["text"] for e in elements if e["hidden"]] == ["obey me"]
    note = next(e for e in elements if e["role"] == "footnote")
    assert note["links"] == [{"text": "site", "target": "https://example.org"}]


def test_a_description_is_marked_as_none_of_the_text() -> None:
    document = sample_document()
    elements = tuple(replace(e, description="一座穹顶。") if e.kind == "figure" else e for e in document.elements)
    described = replace(document, elements=elements)
    assert "*图 1 穹顶*\n\n> 一座穹顶。\n\n[^1]" in document_markdown(described)
    assert [e["description"] for e in document_json(described)["elements"] if e["type"] == "figure"] == ["一座穹顶。"]


def test_an_empty_document_is_empty_markdown() -> None:
    assert document_markdown(DocumentBuilder(Path("x.txt"), "txt", b"x").build()) == ""


@pytest.mark.parametrize("rows", [[["甲", ""], ["", "x"]], [["a\\", "b"], ["1", "2"]], [["--", "-"], ["-", "---"]]])
def test_rows_come_back_from_markdown(rows: list[list[str]]) -> None:
    assert table_rows(markdown_table(rows)) == rows


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.language)
@pytest.mark.parametrize("format_name", MAKERS)
def test_every_format_reads_again_as_markdown(format_name: str, story: Story, tmp_path: Path) -> None:
    sample = MAKERS[format_name](tmp_path, story)
    document = parse_here(sample.path, Limits(), "off")
    (tmp_path / "again.md").write_text(document_markdown(document), encoding="utf-8")
    again = parse_here(tmp_path / "again.md", Limits(), "off")

    def tables(found: Document) -> list[str]:
        return [e.text for e in found.elements if e.kind == "table" and not e.hidden]

    def headings(found: Document) -> list[tuple[int, str]]:
        return [(e.level, e.text) for e in found.elements if e.kind == "heading" and not e.hidden]

    assert tables(again) == tables(document) and headings(again) == headings(document)
    assert document_json(document)["source_type"] == sample.source_type
