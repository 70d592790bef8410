"""PDF tables: what is one, what is none, how its cells read, and that no character is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lunheng.errors import ParseError
from lunheng.parsing import pdf_tables
from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.pdf_characters import Characters
from lunheng.parsing.pdf_glyphs import Segment
from lunheng.parsing.pdf_tables import read_tables
from lunheng.testing.parser import check_document
from lunheng.types import Document, Element, Limits

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "pdfplumber_pdfs"
HANDBOOK = ROOT / "examples" / "handbook" / "员工手册.pdf"

ENGLISH_ROWS = [
    ["Station", "Opened", "Keeper"],
    ["North pier", "1871", "A. Moss"],
    ["South pier", "1904", "B. Reed"],
    ["Harbour mouth", "1933", ""],
]
CHINESE_ROWS = [
    ["站点", "启用年份", "负责人"],
    ["北码头", "1871 年", "黎若禾"],
    ["南码头", "1904 年", "周 Anna"],
    ["港口", "1933 年", ""],
]
PROSE = {
    "en": "The keepers of the harbour lights wrote down the weather of every night, and the books are all there.",
    "zh": "灯塔看守人每天夜里都把天气记在簿子上，这些簿子一本不少地保存到了今天，可以在档案馆里查阅。",
}
FONTS = {"en": "Helvetica", "zh": "STSong-Light"}
ROWS = {"en": ENGLISH_ROWS, "zh": CHINESE_ROWS}
both = pytest.mark.parametrize("language", ["en", "zh"])


def parse(path: Path) -> Document:
    document = parse_here(path, Limits(), "off")
    check_document(document)
    return document


def tables(document: Document) -> list[Element]:
    return [e for e in document.elements if e.kind == "table"]


def cells(table: Element) -> list[list[str]]:
    lines = table.text.split("\n")
    return [[c.strip() for c in line.strip("|").split("|")] for line in [lines[0], *lines[2:]]]


def build(path: Path, flow: list[Any], **options: Any) -> Path:
    from reportlab.platypus import SimpleDocTemplate

    SimpleDocTemplate(str(path), pagesize=(595, 842), **options).build(flow)
    return path


def text(language: str, content: str | None = None) -> Any:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import Paragraph

    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    wrap = "CJK" if language == "zh" else None
    style = ParagraphStyle(language, fontName=FONTS[language], fontSize=10, leading=15, wordWrap=wrap, spaceAfter=10)
    return Paragraph(content or PROSE[language], style)


def table(rows: list[list[Any]], language: str = "en", *style: tuple[Any, ...], **options: Any) -> Any:
    from reportlab.platypus import Table

    text(language)  # registers the font
    made = Table(rows, **options)
    made.setStyle([("FONT", (0, 0), (-1, -1), FONTS[language], 9), *style])
    return made


GRID = ("GRID", (0, 0), (-1, -1), 0.5, "black")
LOOKS: dict[str, list[tuple[Any, ...]]] = {
    "grid": [GRID],
    "thick outside": [("INNERGRID", (0, 0), (-1, -1), 0.25, "gray"), ("BOX", (0, 0), (-1, -1), 2, "black")],
    "open sides": [("INNERGRID", (0, 0), (-1, -1), 0.5, "black"), ("LINEABOVE", (0, 0), (-1, 0), 1, "black")],
    "double box": [GRID, ("BOX", (0, 0), (-1, -1), 0.5, "black", None, None, None, 2, 2)],
    "columns only": [("BOX", (0, 0), (-1, -1), 1, "black"), ("LINEBEFORE", (1, 0), (-1, -1), 0.5, "black"),
                     ("LINEBELOW", (0, 0), (-1, 0), 1, "black")],
    "three lines": [("LINEABOVE", (0, 0), (-1, 0), 1, "black"), ("LINEBELOW", (0, 0), (-1, 0), 0.5, "black"),
                    ("LINEBELOW", (0, -1), (-1, -1), 1, "black")],
    "a line below each row": [("LINEBELOW", (0, 0), (-1, -1), 0.5, "black"),
                              ("LINEABOVE", (0, 0), (-1, 0), 1, "black")],
    "one rule": [("LINEBELOW", (0, 0), (-1, 0), 0.5, "black")],
    "no rules": [],
    "bands": [("ROWBACKGROUNDS", (0, 0), (-1, -1), ["lightgrey", "whitesmoke"])],
    "bands on white": [("ROWBACKGROUNDS", (0, 1), (-1, -1), ["lightgrey", None])],
    "shaded": [GRID, ("BACKGROUND", (0, 0), (-1, 0), "lightgrey"),
               ("ROWBACKGROUNDS", (0, 1), (-1, -1), ["white", "whitesmoke"])],
}  # fmt: skip


@both
@pytest.mark.parametrize("look", LOOKS)
def test_looks(look: str, language: str, tmp_path: Path) -> None:
    rows = ROWS[language]
    made = table(rows, language, *LOOKS[look], colWidths=[140, 90, 120])
    path = build(tmp_path / "look.pdf", [text(language), made, text(language)])
    document = parse(path)
    assert [e.kind for e in document.elements] == ["paragraph", "table", "paragraph"]
    assert cells(document.elements[1]) == rows
    found = document.elements[1]
    assert found.page == 1 and found.bbox is not None
    above, below = document.elements[0].bbox, document.elements[2].bbox
    assert above and below and above[3] <= found.bbox[1] + 2 and found.bbox[3] <= below[1] + 2


@both
def test_without_rules_wrapped_cells_are_rows_by_their_spaces(language: str, tmp_path: Path) -> None:
    long = {"en": "under repair until the tides of spring are over", "zh": "春季大潮结束之前一直在维修，不对外开放"}
    rows = [list(row) for row in ROWS[language]]
    rows[2][2] = long[language]
    wrapped = [[text(language, cell or " ") for cell in row] for row in rows]
    for row in wrapped:
        for cell in row:
            cell.style.spaceAfter = 0
    made = table(wrapped, language, colWidths=[140, 90, 120])
    document = parse(build(tmp_path / "wrapped.pdf", [text(language), made, text(language)]))
    assert [e.kind for e in document.elements] == ["paragraph", "table", "paragraph"]
    assert cells(document.elements[1]) == rows


def test_without_rules_what_looks_alike_is_no_table(tmp_path: Path) -> None:
    """Numbered points with a wide space, a table of contents, and two columns of prose."""
    from reportlab.pdfgen.canvas import Canvas

    pdf = Canvas(str(tmp_path / "none.pdf"), pagesize=(595, 842))
    for i in range(6):
        pdf.drawString(60, 780 - 16 * i, f"{i + 1}.")
        pdf.drawString(90, 780 - 16 * i, f"Point {'abc' * (i % 3 + 1)} of the warden")
        pdf.drawString(60, 660 - 16 * i, f"Part {'x' * (i + 1)} {'.' * (60 - i)}")
        pdf.drawString(400, 660 - 16 * i, str(3 * i + 1))
    words = iter((PROSE["en"] + " ") * 20)
    for column in (60, 320):
        for i in range(20):
            pdf.drawString(column, 540 - 14 * i, "".join(next(words) for _ in range(36)))
    pdf.save()
    assert tables(parse(tmp_path / "none.pdf")) == []


def test_the_handbook() -> None:
    document = parse(HANDBOOK)
    leave, allowances = tables(document)
    assert "| 满 5 年不满 10 年 | 17 天 | 6 天 |" in leave.text
    assert cells(leave)[0] == ["司龄", "每年年假天数", "可结转天数"]
    assert leave.page == 2 and leave.caption == "表 1 各司龄的年假天数"
    assert leave.heading_path[-1] == "3.1 年假"
    assert allowances.page == 3 and "| 夜间交通 | 每次 80 元 | 22:00 以后离开办公室 |" in allowances.text
    position = document.elements.index(leave)
    assert document.elements[position + 1].text.startswith("当年未休完的年假")


@both
def test_wrapped_lines_are_joined(language: str, tmp_path: Path) -> None:
    rows = [[text(language, c) for c in row] for row in [["A", "B"], [PROSE[language], "1"], ["2", PROSE[language]]]]
    path = build(tmp_path / "wrapped.pdf", [table(rows, language, GRID, colWidths=[150, 150])])
    (found,) = tables(parse(path))
    assert cells(found) == [["A", "B"], [PROSE[language], "1"], ["2", PROSE[language]]]


@both
def test_merged_cells_are_filled(language: str, tmp_path: Path) -> None:
    rows = [["Area", "Year", ""], ["", "2024", "2025"], ["North", "1", "2"], ["", "3", ""]]
    style = [GRID, ("SPAN", (0, 0), (0, 1)), ("SPAN", (1, 0), (2, 0)), ("SPAN", (0, 2), (0, 3))]
    if language == "zh":
        rows[0][:2], rows[2][0] = ["地区", "年份"], "北部"
    path = build(tmp_path / "merged.pdf", [table(rows, language, *style, colWidths=80)])
    (found,) = tables(parse(path))
    area, year, north = rows[0][0], rows[0][1], rows[2][0]
    assert cells(found) == [[area, year, year], [area, "2024", "2025"], [north, "1", "2"], [north, "3", ""]]


@pytest.mark.parametrize(
    ("caption", "taken"),
    [
        ("Table 3: Lights of the coast", True),
        ("Table 2.1 Lights of the coast", True),
        ("表 3　沿海灯塔一览", True),
        ("附表一 沿海灯塔一览", True),
        ("Table 3 shows the lights of the coast.", False),
        ("表格列出了沿海灯塔", False),
        ("表 3 列出了沿海灯塔。", False),
    ],
)
@pytest.mark.parametrize("above", [True, False])
def test_captions(caption: str, taken: bool, above: bool, tmp_path: Path) -> None:
    made, line = table(ENGLISH_ROWS, "en", GRID), text("zh", caption)
    flow = [text("en"), line, made, text("en")] if above else [text("en"), made, line, text("en")]
    document = parse(build(tmp_path / "caption.pdf", flow))
    (found,) = tables(document)
    assert found.caption == (" ".join(caption.split("　")) if taken else None) or found.caption == caption
    assert "".join(caption.split()) in "".join(document.text.split())


def test_a_heading_over_two_columns_of_a_three_line_table(tmp_path: Path) -> None:
    rows = [["Harbour", "Ships", "", "Crews"], ["", "in", "out", ""], ["Adel", "12", "7", "3"], ["Borel", "5", "", "1"]]
    lines = [("LINEABOVE", (0, 0), (-1, 0), 1, "black"), ("LINEBELOW", (0, 1), (-1, 1), 0.5, "black"),
             ("LINEBELOW", (0, -1), (-1, -1), 1, "black"), ("LINEBELOW", (1, 0), (2, 0), 0.5, "black"),
             ("SPAN", (1, 0), (2, 0)), ("ALIGN", (1, 0), (2, 0), "CENTER")]  # fmt: skip
    path = build(tmp_path / "span.pdf", [text("en"), table(rows, "en", *lines, colWidths=80), text("en")])
    (found,) = tables(parse(path))
    assert cells(found) == [["Harbour", "Ships", "Ships", "Crews"], *rows[1:]]


@both
def test_wrapped_lines_of_a_three_line_table(language: str, tmp_path: Path) -> None:
    rows = [["A", "B", "C"], ["x1", "y1", PROSE[language]], ["x2", "y2", PROSE[language]], ["x3", "", "z3"]]
    lines = [("LINEABOVE", (0, 0), (-1, 0), 1, "black"), ("LINEBELOW", (0, 0), (-1, 0), 0.5, "black"),
             ("LINEBELOW", (0, -1), (-1, -1), 1, "black"), ("VALIGN", (0, 0), (-1, -1), "TOP")]  # fmt: skip
    flow = [[text(language, c) if i and j == 2 else c for j, c in enumerate(row)] for i, row in enumerate(rows)]
    path = build(tmp_path / "wrapped.pdf", [table(flow, language, *lines, colWidths=[60, 60, 200])])
    (found,) = tables(parse(path))
    assert cells(found) == rows


def test_two_tables_on_a_page(tmp_path: Path) -> None:
    flow = [text("en"), table(ENGLISH_ROWS, "en", GRID), text("en"), table(CHINESE_ROWS, "zh", GRID), text("zh")]
    document = parse(build(tmp_path / "two.pdf", flow))
    assert [e.kind for e in document.elements] == ["paragraph", "table", "paragraph", "table", "paragraph"]
    assert [cells(t) for t in tables(document)] == [ENGLISH_ROWS, CHINESE_ROWS]


@both
def test_a_table_beside_text(language: str, tmp_path: Path) -> None:
    from reportlab.platypus import BaseDocTemplate, Frame, FrameBreak, PageTemplate

    path = tmp_path / "beside.pdf"
    document = BaseDocTemplate(str(path), pagesize=(595, 842))
    document.addPageTemplates(PageTemplate("two", [Frame(50, 400, 240, 400), Frame(310, 400, 240, 400)]))
    made = table(ROWS[language], language, GRID, colWidths=[75, 70, 70])
    paragraphs = [text(language) for _ in range(4)]
    document.build([*paragraphs, FrameBreak(), made, text(language)])
    found = parse(path)
    assert [e.kind for e in found.elements].count("table") == 1
    assert cells(tables(found)[0]) == ROWS[language]
    assert [e.text for e in found.elements if e.kind == "paragraph"] == [PROSE[language]] * 5
    assert found.elements[4].kind == "table"


@pytest.mark.parametrize("repeated", [True, False])
@both
def test_a_table_goes_on_over_pages(language: str, repeated: bool, tmp_path: Path) -> None:
    header = ROWS[language][0]
    rows = [header, *([f"{ROWS[language][1][0]} {i}", str(1800 + i), f"{i % 7}"] for i in range(100))]
    made = table(rows, language, GRID, colWidths=[140, 90, 120], repeatRows=int(repeated))
    document = parse(build(tmp_path / "long.pdf", [text(language), made, text(language)]))
    (found,) = tables(document)
    assert cells(found) == rows
    assert found.page == 1 and document.elements[-1].page == 3


def test_a_table_goes_on_with_merged_columns(tmp_path: Path) -> None:
    from reportlab.platypus import PageBreak

    upper = [*ENGLISH_ROWS[:3], ["All", "2", ""]]
    lower = [["Note", "kept by hand"], ["Source", "the books"]]
    flow = [table(upper, "en", GRID, ("SPAN", (1, 3), (2, 3)), colWidths=90), PageBreak()]
    flow.append(table(lower, "en", GRID, colWidths=[90, 180]))
    (found,) = tables(parse(build(tmp_path / "merged.pdf", flow)))
    assert cells(found) == [*ENGLISH_ROWS[:3], ["All", "2", "2"], *([a, b, b] for a, b in lower)]


def test_another_table_on_the_next_page_stays_apart(tmp_path: Path) -> None:
    from reportlab.platypus import PageBreak

    bold = ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 9)
    other = [["Ship", "Built", "Captain"], *ENGLISH_ROWS[1:]]
    flow = [table(rows, "en", GRID, bold, colWidths=90) for rows in (ENGLISH_ROWS, other)]
    document = parse(build(tmp_path / "apart.pdf", [flow[0], PageBreak(), flow[1]]))
    assert [cells(t) for t in tables(document)] == [ENGLISH_ROWS, other]


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotated_pages(rotation: int, tmp_path: Path) -> None:
    """A wide table drawn sideways on a page that the reader shows turned."""
    from reportlab.pdfgen.canvas import Canvas

    path = tmp_path / "rotated.pdf"
    pdf = Canvas(str(path), pagesize=(595, 842))
    pdf.setPageRotation(rotation)
    pdf.translate(*{90: (842, 0), 180: (595, 842), 270: (0, 595)}[rotation])  # it has turned the paper too
    pdf.rotate(rotation)
    made = table(CHINESE_ROWS, "zh", GRID, colWidths=100)
    made.wrapOn(pdf, 500, 500)
    made.drawOn(pdf, 60, 200)
    pdf.save()
    (found,) = tables(parse(path))
    assert cells(found) == CHINESE_ROWS


def decorated(pdf: Any) -> None:
    """Headings underlined, boxes around paragraphs, a frame around the page, a rule between columns."""
    pdf.rect(30, 30, 535, 782)
    for k in range(4):
        y = 700 - 150 * k
        pdf.drawString(60, y, f"Part {k} of the harbour book")
        pdf.line(60, y - 3, 200, y - 3)
        pdf.roundRect(55, y - 100, 480, 80, 6)
        for i in range(4):
            pdf.drawString(60, y - 35 - 15 * i, PROSE["en"][: 80 - i])
        pdf.line(300, y - 20, 300, y - 10)


def charted(pdf: Any) -> None:
    """A plot with a grid, labels in it, a curve of many points; bars; hatching."""
    for i in range(11):
        pdf.line(100, 500 + 25 * i, 500, 500 + 25 * i)
        pdf.line(100 + 40 * i, 500, 100 + 40 * i, 750)
        pdf.drawString(70, 497 + 25 * i, str(i))
        pdf.drawString(97 + 40 * i, 485, str(i))
    curve = pdf.beginPath()
    curve.moveTo(100, 500)
    for i in range(3000):
        curve.lineTo(100 + i * 0.13, 500 + (i * 37 % 240))
    pdf.drawPath(curve)
    for i in range(30):
        pdf.drawString(110 + 40 * (i % 9), 510 + 25 * (i // 3), f"p{i}")
    for i in range(40):
        pdf.rect(100 + 10 * i, 200, 8, 20 + i * 4, fill=1)
    for i in range(3000):
        pdf.line(50 + i % 300, 40, 52 + i % 300, 60 + i % 50)
    pdf.drawString(100, 180, "Number of boats by year")


def formatted(pdf: Any) -> None:
    """A form with lines to write on."""
    for i, label in enumerate(["Name", "Address", "Telephone", "Signature"]):
        pdf.drawString(60, 700 - 30 * i, label)
        pdf.line(150, 698 - 30 * i, 400, 698 - 30 * i)
        pdf.rect(450, 698 - 30 * i, 10, 10)


def columns(pdf: Any) -> None:
    """Prose in two columns between the rules of header and footer."""
    for y in (790, 60):
        pdf.line(50, y, 545, y)
    for i in range(45):
        for x in (50, 305):
            pdf.drawString(x, 770 - 15 * i, PROSE["en"][: 44 + i % 3])


def barred(pdf: Any) -> None:
    """A chart with level lines only, bars and figures over them."""
    for i in range(9):
        pdf.line(100, 500 + 25 * i, 500, 500 + 25 * i)
        pdf.drawString(80, 497 + 25 * i, str(10 * i))
    for i in range(8):
        pdf.rect(115 + 48 * i, 500, 24, 40 + 17 * i, fill=0)
        pdf.drawString(120 + 48 * i, 545 + 17 * i, str(40 + 17 * i))
        pdf.drawString(115 + 48 * i, 485, f"20{10 + i}")


def slides(pdf: Any) -> None:
    """Sections between rules of one length: headings and prose."""
    for i in range(6):
        pdf.line(60, 760 - 110 * i, 535, 760 - 110 * i)
        pdf.drawString(60, 740 - 110 * i, f"Section {i}")
        for k in range(4):
            pdf.drawString(60, 720 - 110 * i - 15 * k, PROSE["en"][: 90 - 3 * k])


def code(pdf: Any) -> None:
    """A listing on bands of colour, and a running head of three parts above a rule."""
    for x, part in ((60, "The harbour book"), (270, "draft"), (480, "page 7")):
        pdf.drawString(x, 806, part)
    pdf.line(60, 802, 535, 802)
    for k in range(4):
        pdf.drawString(60, 785 - 15 * k, PROSE["en"][: 90 - 3 * k])
    for i, line in enumerate(
        ["def light(k):", "    return k * 2", "", "for k in range(3):", "    print(light(k))"] * 3
    ):
        pdf.setFillGray(0.9 if i % 2 else 0.95)
        pdf.rect(60, 700 - 14 * i, 475, 14, fill=1, stroke=0)
        pdf.setFillGray(0)
        pdf.setFont("Courier", 9)
        pdf.drawString(64, 704 - 14 * i, line)


@pytest.mark.parametrize("draw", [decorated, charted, formatted, columns, barred, slides, code])
def test_no_tables(draw: Callable[[Any], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reportlab.pdfgen.canvas import Canvas

    path = tmp_path / "none.pdf"
    pdf = Canvas(str(path), pagesize=(595, 842))
    pdf.setFont("Helvetica", 10)
    draw(pdf)
    pdf.save()
    found = parse(path)
    assert tables(found) == []
    monkeypatch.setattr(pdf_tables, "find_grids", lambda rules: [])
    monkeypatch.setattr(pdf_tables, "find_open_grids", lambda rules, segments: [])
    assert [e.text for e in found.elements] == [e.text for e in parse(path).elements]


def characters(segments: list[Segment]) -> Counter[str]:
    return Counter(c for s in segments for c in s.text if not c.isspace())


def real_files() -> list[Path]:
    return [HANDBOOK, *sorted(DATA.rglob("*.pdf"))]


@pytest.mark.parametrize("path", real_files(), ids=lambda p: p.stem)
def test_no_character_is_lost(path: Path) -> None:
    """Each page's characters are those of the segments outside tables and of the tables' cells, each once."""
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError:
        pytest.skip("the file is locked with a password")
    for page in list(pdf)[:8]:
        layer = Characters(page)
        plain = characters(layer.text().segments)
        layer.close()
        rest, found = read_tables(page)
        shown = Counter(c for t in found for row in t.rows for cell in row for c in cell if not c.isspace())
        inside = plain - characters(rest.segments)
        assert not inside - shown - Counter("\u00ad-"), "lost"
        assert not shown - Counter({c: n * 100 for c, n in inside.items()}) - Counter("-"), "made up"
    pdf.close()


@pytest.mark.skipif(not DATA.exists(), reason="needs the data folder pdfplumber_pdfs beside the project")
def test_a_real_chinese_page_with_three_tables() -> None:
    found = tables(parse(DATA / "tests" / "pdfs" / "issue-336-example.pdf"))
    assert len(found) == 3
    assert cells(found[0])[2] == ["高速公路", "八", "2.5000", "60000≤Q＜80000", "20＜μ≤30"]


@pytest.mark.skipif(not DATA.exists(), reason="needs the data folder pdfplumber_pdfs beside the project")
def test_a_real_table_of_many_records_between_few_rules() -> None:
    (found,) = tables(parse(DATA / "examples" / "pdfs" / "background-checks.pdf"))
    assert len(cells(found)) == 57
    assert cells(found)[9][:5] == ["District of Columbia", "8", "54", "2", "0"]


def test_damaged_files_say_so(tmp_path: Path) -> None:
    data = HANDBOOK.read_bytes()
    for share in (0.3, 0.6, 0.9):
        path = tmp_path / "cut.pdf"
        path.write_bytes(data[: int(share * len(data))])
        try:
            parse(path)
        except ParseError as error:
            assert str(path) in str(error)
