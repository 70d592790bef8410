"""Rich Text Format as its many writers write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.parsing.dispatch import parse_here
from lunheng.types import Document, Limits

HEAD = r"{\rtf1\ansi\ansicpg936{\fonttbl{\f0\fcharset0 Times;}{\f1\fcharset134 SimSun;}{\f2\fcharset136 MingLiU;}}"


def write(folder: Path, body: str) -> Document:
    path = folder / "a.rtf"
    path.write_bytes((HEAD + body + "}").encode("latin-1"))
    return parse_here(path, Limits())


def coded(text: str, encoding: str) -> str:
    return "".join(f"\\'{byte:02x}" for byte in text.encode(encoding))


def shown(document: Document) -> list[tuple[str, str]]:
    return [(e.kind, e.text) for e in document.elements if not e.hidden]


def test_each_font_has_its_code_page(tmp_path: Path) -> None:
    document = write(
        tmp_path,
        rf"\pard{{\f1 {coded('镕基', 'gbk')}}}{{\f2 {coded('臺灣', 'big5')}}} plain {coded('默认', 'gbk')}\par"
        rf"{{\f0 {coded('缺省', 'gbk')}}}\par{{\f1 caf{coded('é', 'cp1252')} au lait}}\par",
    )
    lines = [text for _, text in shown(document)]
    assert lines[:2] == ["镕基臺灣 plain 默认", "缺省"] and lines[2].startswith("caf") and lines[2].endswith("au lait")


def test_unicode_with_any_number_of_fallbacks(tmp_path: Path) -> None:
    body = r"\pard\uc1\u20013?\u25991\'3f{\uc2\u20013\'d6\'d0}{\uc0\u25991}\u-10179?\u-8704? end\par"
    assert shown(write(tmp_path, body)) == [("paragraph", "中文中文😀 end")]


def test_headings_lists_and_typed_lists(tmp_path: Path) -> None:
    document = write(
        tmp_path,
        r"{\stylesheet{\s0 Normal;}{\s1 heading 1;}{\s2\outlinelevel1 Abschnitt;}}\pard\s1 Top\par\pard\s2 Sub\par"
        r"\pard\outlinelevel2 Third\par\pard{\listtext 1.\tab}\ls1 one\par{\listtext\'b7\tab}\ilvl1\ls1 inner\par"
        r"\pard \bullet\tab typed\par\pard plain\par",
    )
    assert shown(document) == [
        ("heading", "Top"),
        ("heading", "Sub"),
        ("heading", "Third"),
        ("list", "1. one\n  - inner\n- typed"),
        ("paragraph", "plain"),
    ]
    assert document.elements[-1].heading_path == ("Top", "Sub", "Third")


def test_merged_cells_and_notes(tmp_path: Path) -> None:
    document = write(
        tmp_path,
        r"\trowd\clmgf\cellx1\clmrg\cellx2\clvmgf\cellx3\pard\intbl wide\cell\cell tall\cell\row"
        r"\trowd\cellx1\cellx2\clvmrg\cellx3\pard\intbl a\par second\cell b|c\cell\cell\row"
        r"\pard text{\super\chftn{\footnote\pard\plain {\super\chftn} the note}} more{\*\atnauthor Ann}"
        r"{\*\annotation\pard a comment}.\par",
    )
    assert shown(document)[0] == (
        "table",
        "| wide | wide | tall |\n| --- | --- | --- |\n| a<br>second | b\\|c | tall |",
    )
    assert [(e.role, e.text) for e in document.elements[1:]] == [
        ("body", "text[^1] more."),
        ("footnote", "[^1]: the note"),
        ("comment", "Ann: a comment"),
    ]


def test_links_pictures_hidden_and_deleted(tmp_path: Path) -> None:
    document = write(
        tmp_path,
        r'\pard see {\field{\*\fldinst HYPERLINK "https://example.org/a"}{\fldrslt the {\b page}}} now'
        r"{\pict\pngblip 89504e47}{\*\shppict{\pict 00}}{\deleted gone}{\v obey me}{\header no}\bin4 }}}}.\par",
    )
    assert shown(document) == [("paragraph", "see the page now.")]
    assert document.elements[0].links == (("the page", "https://example.org/a"),)
    assert [e.text for e in document.elements if e.hidden] == ["obey me"] and document.warnings


@pytest.mark.parametrize(
    "body", ["{" * 50_000, "}" * 50_000, r"\u99999999999?", r"\bin999999999 x", r"\trowd\row\cell\row"]
)
def test_hostile_rtf(tmp_path: Path, body: str) -> None:
    write(tmp_path, rf"\pard before\par {body} after\par")
