"""PDF: columns, paragraphs, running lines, headings, pages without text, and real files."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from lunheng.errors import EncryptedError, ParseError
from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.pdf_layout import join_lines
from lunheng.testing.parser import check_document
from lunheng.testing.samples import CHINESE, ENGLISH, STORIES, Story, make_pdf, make_scan
from lunheng.types import Document, Limits

DATA = Path(__file__).parents[3] / "shared" / "data"
FONTS = {"en": "Times-Roman", "zh": "STSong-Light"}


def parse(path: Path, ocr: str = "off") -> Document:
    return parse_here(path, Limits(), ocr)


def canvas(path: Path, **options: Any) -> Any:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    return Canvas(str(path), pagesize=(595, 842), **options)


def wrapped(text: str, font: str, width: float) -> list[str]:
    from reportlab.pdfbase.pdfmetrics import stringWidth

    units = list(text) if not text.isascii() else [word + " " for word in text.split()]
    lines, line = [], ""
    for unit in units:
        if line and stringWidth((line + unit).rstrip(), font, 10) > width:
            lines.append(line.rstrip())
            line = ""
        line += unit
    return [*lines, line.rstrip()]


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.language)
def test_columns_drawn_alternately(story: Story, columns: int, tmp_path: Path) -> None:
    """Line by line across the page, as some programs write: still read column by column."""
    path, font = tmp_path / "columns.pdf", FONTS[story.language]
    width = (595 - 120 - 24 * (columns - 1)) / columns
    paragraphs = [p for _, texts in story.sections for p in texts] * 4
    lines = [line for p in paragraphs for line in (*wrapped(p, font, width), "")]
    rows = math.ceil(len(lines) / columns)
    pdf = canvas(path)
    pdf.setFont(font, 16)
    pdf.drawCentredString(297, 780, f"{story.title} — {story.sections[0][0]}")
    pdf.setFont(font, 10)
    for row in range(rows):
        for column in range(columns):
            if column * rows + row < len(lines):
                pdf.drawString(60 + column * (width + 24), 740 - 14 * row, lines[column * rows + row])
    pdf.save()
    document = parse(path)
    check_document(document)
    found = [e.text for e in document.elements if e.kind == "paragraph"]
    whole = sum(found.count(p) for p in set(paragraphs))
    # A paragraph that ends with its line at a column's foot may be cut there.
    assert whole >= len(paragraphs) - columns
    text = "".join(document.text.split())
    order = [text.index("".join(p.split())[:12]) for p in paragraphs[: len(set(paragraphs))]]
    assert order == sorted(order)


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.language)
def test_the_last_paragraph_of_a_column_is_no_footer(story: Story, tmp_path: Path) -> None:
    """It stands in the margin, apart from the text as its paragraphs are from one another; a header is left out still."""
    path, font = tmp_path / "foot.pdf", FONTS[story.language]
    pdf = canvas(path)
    wanted = []
    for page in range(1, 4):
        pdf.setFont(font, 10)
        for column, paragraphs in enumerate((9, 5)):
            for i in range(paragraphs):
                y = 74 + 46 * (8 - i)
                mark = f"{page}{'AB'[column]}{i}"
                first, second = wrapped(f"{mark} {story.sections[0][1][0][8 * page :]}", font, 210)[:2]
                pdf.drawString(60 + 240 * column, y + 14, first)
                pdf.drawString(60 + 240 * column, y, second)
                wanted.append(mark)
        pdf.setFont(font, 8)
        pdf.drawString(60, 800, f"{story.title}  {page}")
        pdf.showPage()
    pdf.save()
    text = parse(path).text
    assert re.findall(r"\b\d[AB]\d\b", text) == wanted
    assert story.title not in text


def test_no_space_between_chinese_lines_and_hyphens_healed() -> None:
    assert join_lines("数据", "库") == "数据库"
    assert join_lines("使用 GPU", "服务器") == "使用 GPU 服务器"
    assert join_lines("结束，", "then") == "结束，then"
    assert join_lines("obser-", "vatory") == "observatory"
    assert join_lines("obser\u00ad", "vatory") == "observatory"
    assert join_lines("Franco-", "Prussian") == "Franco- Prussian"
    assert join_lines("two", "words") == "two words"


def test_a_paragraph_goes_on_over_the_page(tmp_path: Path) -> None:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    path = tmp_path / "long.pdf"
    text = ", and ".join(f"the ledger of night {i} was kept by the warden and his brother" for i in range(120)) + "."
    style = ParagraphStyle("body", fontName="Times-Roman", fontSize=12, leading=16)
    SimpleDocTemplate(str(path), pagesize=(400, 500)).build([Paragraph(text, style)])
    document = parse(path)
    assert [e.text for e in document.elements] == [text]
    assert document.elements[0].page == 1


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.language)
def test_running_lines_are_left_out(story: Story, tmp_path: Path) -> None:
    path = tmp_path / "running.pdf"
    pdf = canvas(path)
    for page in range(1, 6):
        pdf.setFont(FONTS[story.language], 9)
        pdf.drawString(60, 810, f"{story.title} {page}")
        pdf.drawCentredString(297, 25, f"第 {page} 页 共 5 页" if story.language == "zh" else f"Page {page} of 5")
        pdf.drawString(60, 600, f"{page} {story.sections[0][1][0][:30]}" + ("。" if story.language == "zh" else "."))
        pdf.showPage()
    pdf.save()
    document = parse(path)
    assert story.title not in document.text and "5" not in document.elements[0].text
    assert [e.page for e in document.elements] == [1, 2, 3, 4, 5]


def test_headings_from_the_outline(tmp_path: Path) -> None:
    path = tmp_path / "outline.pdf"
    pdf = canvas(path)
    y = 780
    for level, heading in ((0, "Alpha part"), (1, "Beta piece"), (1, "Gamma piece"), (0, "Delta part")):
        pdf.setFont("Times-Roman", 10)
        pdf.bookmarkPage(heading)
        pdf.addOutlineEntry(heading, heading, level)
        pdf.drawString(60, y, heading)
        pdf.drawString(60, y - 24, ENGLISH.sections[1][1][0][:90])
        y -= 60
    pdf.save()
    document = parse(path)
    found = [(e.level, e.text) for e in document.elements if e.kind == "heading"]
    assert found == [(1, "Alpha part"), (2, "Beta piece"), (2, "Gamma piece"), (1, "Delta part")]
    assert document.elements[-1].heading_path == ("Delta part",)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_pages_read_upright(rotation: int, tmp_path: Path) -> None:
    import pypdfium2

    sample = make_pdf(tmp_path, ENGLISH)
    upright = parse(sample.path)
    pdf = pypdfium2.PdfDocument(sample.path)
    for page in pdf:
        page.set_rotation(rotation)
    # What is drawn sideways on a sideways page: the text must come out whole, if not in the same order.
    pdf.save(tmp_path / "rotated.pdf")
    pdf.close()
    document = parse(tmp_path / "rotated.pdf")
    check_document(document)
    assert len("".join(document.text.split())) >= 0.95 * len("".join(upright.text.split()))


def test_pictures_without_an_engine_are_named(tmp_path: Path) -> None:
    document = parse(make_scan(tmp_path, ENGLISH).path)
    assert document.text == ""
    assert any("pages 1-2" in warning and "OCR is off" in warning for warning in document.warnings)


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.language)
def test_scanned_pages_are_recognised(story: Story, tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra 'ocr'")
    document = parse(make_scan(tmp_path, story).path, "auto")
    check_document(document)
    assert document.elements and all(e.is_ocr and e.bbox for e in document.elements)
    text = "".join(document.text.split())
    wanted = "".join(story.sections[1][1][0].split())
    assert wanted[:25] in text
    assert {e.page for e in document.elements} == {1, 2}


def test_truncated_and_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "locked.pdf"
    pdf = canvas(path, encrypt="secret")
    pdf.drawString(100, 100, "hello")
    pdf.save()
    with pytest.raises(EncryptedError, match="password"):
        parse(path)
    short = tmp_path / "short.pdf"
    short.write_bytes(make_pdf(tmp_path, CHINESE).path.read_bytes()[:300])
    with pytest.raises(ParseError, match=r"short\.pdf"):
        parse(short)


def real_files() -> list[Path]:
    return sorted((DATA / "pdfplumber_pdfs").rglob("*.pdf"))


@pytest.mark.skipif(not real_files(), reason="needs the data folder pdfplumber_pdfs beside the project")
def test_real_files_parse_or_say_why() -> None:
    parsed = 0
    for path in real_files():
        try:
            check_document(parse(path))
            parsed += 1
        except ParseError as error:
            assert str(path) in str(error)
    assert parsed >= 0.9 * len(real_files())


@pytest.mark.skipif(not real_files(), reason="needs the data folder pdfplumber_pdfs beside the project")
def test_a_real_two_column_page_is_in_order() -> None:
    path = next(p for p in real_files() if p.name == "federal-register-2020-17221.pdf")
    text = " ".join(parse(path).text.split())
    assert "SUMMARY: The Coast Guard" in text or "SUMMARY:" in text
    assert "- ment" not in text


def headed(path: Path, parts: list[tuple[str, str, float]], stroked: bool = False) -> Document:
    """A page of (text, font, size); a text without a font is a paragraph of three lines in the body's."""
    from lunheng.testing.fonts import embedded_font

    pdf = canvas(path)
    body = embedded_font()
    y = 790.0
    for text, font, size in parts:
        for line in [text] if font else wrapped(text * 3, body, 470)[:3]:
            drawn = pdf.beginText(60, y)
            drawn.setFont(font or body, size)
            drawn.setTextRenderMode(2 if stroked and font else 0)
            drawn.textOut(line)
            pdf.saveState()
            pdf.drawText(drawn)
            pdf.restoreState()
            y -= 16
        y -= 6
    pdf.save()
    return parse(path)


def found_headings(document: Document) -> list[tuple[int, str]]:
    return [(e.level, e.text) for e in document.elements if e.kind == "heading"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_headings_in_the_size_of_the_text_nest_by_their_numbers(language: str, tmp_path: Path) -> None:
    """Bold by an outline only, as in fonts without a bold face; the title and the last one have no number."""
    from lunheng.testing.fonts import embedded_font

    zh = language == "zh"
    story = CHINESE if zh else ENGLISH
    names = ["天文台年报", "第一章 观测", "1.1 仪器", "1.1.1 镜面", "1.2 记录", "第二章 来访", "参考文献"] if zh else [
        "Report of the observatory", "1 Watching", "1.1 Instruments", "1.1.1 Mirrors", "1.2 Records", "2 Visits", "References",
    ]  # fmt: skip
    paragraph = story.sections[0][1][0]
    parts = [part for name in names for part in ((name, embedded_font(), 10.0), (paragraph, "", 10.0))]
    document = headed(tmp_path / "bold.pdf", parts, stroked=True)
    assert found_headings(document) == list(zip([1, 2, 3, 4, 3, 2, 2], names, strict=True))


def test_articles_and_chapters_without_any_look(tmp_path: Path) -> None:
    from lunheng.testing.fonts import embedded_font

    font = embedded_font()
    paragraph = CHINESE.sections[0][1][0]
    names = ["第一章 总则", "第一条 适用范围", "第二条 定义", "第二章 附则", "第三条 施行日期"]
    parts = [part for name in names for part in ((name, font, 10.0), (paragraph, "", 10.0))]
    # A sentence that begins with an article's number is no heading.
    parts += [("第四条 本办法由天文台负责解释，自发布之日起施行。", font, 10.0)]
    document = headed(tmp_path / "articles.pdf", parts)
    assert found_headings(document) == list(zip([1, 2, 2, 1, 2], names, strict=True))


def test_a_header_of_one_page_is_left_out_and_a_title_is_not(tmp_path: Path) -> None:
    from lunheng.testing.fonts import embedded_font

    paragraph = (CHINESE.sections[0][1][0], "", 10.0)
    small, large = ("港务局年度报告", embedded_font(), 8.0), ("港务管理手册", embedded_font(), 18.0)
    space = ("", embedded_font(), 10.0)
    assert headed(tmp_path / "small.pdf", [small, space, space, paragraph]).elements[0].text.startswith("天文台")
    assert found_headings(headed(tmp_path / "large.pdf", [large, space, space, paragraph])) == [(1, "港务管理手册")]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_lists_notes_figures_and_links(language: str, tmp_path: Path) -> None:
    from PIL import Image
    from reportlab.lib.utils import ImageReader

    from lunheng.testing.fonts import embedded_font

    zh = language == "zh"
    font, path = embedded_font(), tmp_path / "parts.pdf"
    paragraph = (CHINESE if zh else ENGLISH).sections[0][1][0]
    body = wrapped(paragraph * 4, font, 470)
    caption, note = (
        ("图 1 码头平面图", "1 见登记册第四卷。")
        if zh
        else ("Figure 1. Plan of the pier", "1 See the register, vol. 4.")
    )
    pdf = canvas(path)
    pdf.setFont(font, 10)
    for i, line in enumerate(body[:4]):
        pdf.drawString(60, 780 - 15 * i, line)
    for i, (x, mark, text) in enumerate(
        [(70, "•", "北码头"), (86, "–", "冬季关闭"), (70, "•", "南码头"), (70, "2.", "旧船闸")]
    ):
        pdf.drawString(x, 700 - 15 * i, mark)
        pdf.drawString(x + 12, 700 - 15 * i, text)
    picture = ImageReader(Image.new("RGB", (80, 40), "navy"))
    pdf.drawImage(picture, 150, 540, 200, 80)
    pdf.drawString(180, 524, caption)
    pdf.drawString(60, 490, "详见 港务局网站 的公告。" if zh else "See the harbour site for notices.")
    pdf.linkURL("https://example.org/harbour", (85 if zh else 80, 486, 150, 502))
    # The page ends within a sentence; a note stands below it.
    for i, line in enumerate(body[4:8]):
        pdf.drawString(60, 160 - 15 * i, line)
    pdf.setFont(font, 8)
    pdf.drawString(60, 90, note)
    pdf.showPage()
    pdf.setFont(font, 10)
    for i, line in enumerate(body[8:]):
        pdf.drawString(60, 780 - 15 * i, line)
    pdf.save()
    document = parse(path)
    check_document(document)
    (points,) = [e for e in document.elements if e.kind == "list"]
    assert points.text == "- 北码头\n  - 冬季关闭\n- 南码头\n2. 旧船闸"
    (figure,) = [e for e in document.elements if e.kind == "figure"]
    assert figure.caption == figure.text == caption and figure.bbox == (150.0, 222.0, 350.0, 302.0)
    (linked,) = [e for e in document.elements if e.links]
    words, target = linked.links[0]
    assert target == "https://example.org/harbour" and words and words in linked.text
    (foot,) = [e for e in document.elements if e.role == "footnote"]
    assert foot.text == note and foot.page == 1
    # The paragraph goes on over the page, past the note.
    squeezed = "".join(document.elements[-2].text.split())
    assert squeezed == "".join("".join(body[4:]).split())


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.language)
def test_the_last_lines_of_columns_keep_to_the_gutter_of_the_pages_before(story: Story, tmp_path: Path) -> None:
    path, font = tmp_path / "last.pdf", FONTS[story.language]
    paragraph = story.sections[0][1][0]
    lines = wrapped((paragraph + " ") * 9 if story.language == "en" else paragraph * 9, font, 220)
    pdf = canvas(path)
    pages = [lines[:16], lines[16:]]
    for page in pages:
        pdf.setFont(font, 10)
        left = 8 if page is pages[0] else len(page) - 2
        for i, line in enumerate(page):
            pdf.drawString(60 if i < left else 305, 780 - 15 * (i if i < left else i - left), line)
        pdf.showPage()
    pdf.save()
    assert "".join(parse(path).text.split()) == "".join("".join(lines).split())


def test_words_in_bold_before_a_sentence_make_no_heading(tmp_path: Path) -> None:
    path = tmp_path / "words.pdf"
    pdf = canvas(path)
    for i, line in enumerate(wrapped(ENGLISH.sections[0][1][0] * 3, "Times-Roman", 470)):
        pdf.setFont("Times-Roman", 10)
        pdf.drawString(60, 780 - 15 * i, line)
    text = pdf.beginText(60, 600)
    for font, words in (("Times-Bold", "SUMMARY: "), ("Times-Roman", "The pier is closed in winter")):
        text.setFont(font, 10)
        text.textOut(words)
    pdf.drawText(text)
    pdf.save()
    assert found_headings(parse(path)) == []
