"""Make the binary documents of ``examples/handbook/`` from ``handbook_text``, the same bytes each time.

Run by whoever changes that text: ``python scripts/make_handbook.py``. Needs ``fpdf2`` beside the project's own
dependencies, and Noto Sans CJK (SIL OFL 1.1; Debian's ``fonts-noto-cjk``), of which the PDF embeds a subset.
The text formats (csv, html, json, md, txt) are written by hand and are their own source.
"""

from __future__ import annotations

import argparse
import datetime
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docx
import openpyxl
import pptx
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Pt as DocxPt
from fpdf import FPDF
from fpdf.enums import TableBordersLayout
from handbook_text import (
    BACKUP_RULES,
    BACKUP_SCHEDULE,
    EMPLOYEE_HANDBOOK,
    EXPENSE_POLICY,
    ON_CALL_GUIDE,
    PLANS,
    RESTORE_DRILLS,
    Block,
)
from openpyxl.styles import Alignment, Font, PatternFill
from pptx.util import Inches, Pt

HANDBOOK = Path(__file__).parent.parent / "examples" / "handbook"
FONTS = Path("/usr/share/fonts/opentype/noto")
SIMPLIFIED_CHINESE = 2
"""Position of the simplified Chinese face in the Noto Sans CJK collection."""
MADE_AT = datetime.datetime(2026, 4, 20, 9, 0, 0, tzinfo=datetime.UTC)


class _HandbookPdf(FPDF):
    """A4 pages with a running header and page numbers."""

    def header(self) -> None:
        self.set_font("noto", size=8.5)
        self.cell(0, 6, "椋鸟云员工手册（2026 版）", align="L")
        self.set_x(self.l_margin)
        self.cell(0, 6, "内部资料", align="R", border="B", new_x="LMARGIN", new_y="NEXT")
        self.ln(4)

    def footer(self) -> None:
        self.set_y(-14)
        self.set_font("noto", size=8.5)
        self.cell(0, 6, f"第 {self.page_no()} 页 / 共 {{nb}} 页", align="C")

    def lines(self, text: str, width: float) -> Iterator[str]:
        """Break ``text`` as Chinese typesetting does: anywhere but inside words and before closing punctuation."""
        line = ""
        for unit in re.findall(r"(?:[\w.,@:%/-]+(?<![\u4e00-\u9fff])|.)[，。；：、！？）》”%]*", text, re.ASCII):
            if line and self.get_string_width(line + unit) > width:
                yield line.rstrip()
                line = unit.lstrip()
            else:
                line += unit
        if line:
            yield line

    def paragraph(self, text: str, indent: float = 0, first: str = "") -> None:
        """Write ``text`` in lines; ``first`` is the bullet or number that hangs before an indented one."""
        for number, line in enumerate(self.lines(text, self.epw - indent - 2)):
            if self.will_page_break(6.4):
                self.add_page()
            self.set_x(self.l_margin + indent - (6 if first else 0))
            if first:
                self.cell(6, 6.4, first if number == 0 else "")
            self.cell(0, 6.4, line, new_x="LMARGIN", new_y="NEXT")
        self.ln(1.4)


def make_pdf(path: Path) -> None:
    """The employee handbook: Chinese, several pages, outline, ruled tables."""
    pdf = _HandbookPdf(format="A4")
    pdf.set_creation_date(MADE_AT)
    pdf.set_title("椋鸟云员工手册（2026 版）")
    pdf.set_author("椋鸟云人力资源部")
    pdf.set_lang("zh-CN")
    pdf.set_margins(24, 16, 24)
    pdf.set_auto_page_break(True, 22)
    for style, weight in (("", "Regular"), ("B", "Bold")):
        pdf.add_font("noto", style, FONTS / f"NotoSansCJK-{weight}.ttc", collection_font_number=SIMPLIFIED_CHINESE)
    pdf.add_page()
    pdf.set_font("noto", "B", 22)
    pdf.cell(0, 18, "椋鸟云员工手册（2026 版）", align="C", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("noto", size=10.5)
    pdf.cell(0, 8, "第 4.2 版　2026 年 1 月 1 日起生效", align="C", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(6)
    for kind, content in EMPLOYEE_HANDBOOK:
        match kind, content:
            case (("h1" | "h2"), str(text)):
                level, size, height = (0, 16, 12) if kind == "h1" else (1, 12.5, 9)
                if pdf.will_page_break(height + (36 if kind == "h1" else 24)):
                    pdf.add_page()
                pdf.start_section(text, level)
                pdf.set_font("noto", "B", size)
                pdf.cell(0, height, text, new_x="LMARGIN", new_y="NEXT")
            case "p", str(text):
                pdf.set_font("noto", size=10.5)
                pdf.paragraph(text)
            case (("ul" | "ol"), list(items)):
                pdf.set_font("noto", size=10.5)
                for number, item in enumerate(items, 1):
                    pdf.paragraph(item, indent=8, first="•" if kind == "ul" else f"{number}.")
            case "table", (str(caption), list(rows)):
                if pdf.will_page_break(10 + 7.5 * len(rows)):
                    pdf.add_page()
                pdf.set_font("noto", "B", 9.5)
                pdf.cell(0, 8, caption, align="C", new_x="LMARGIN", new_y="NEXT")
                pdf.set_font("noto", size=9.5)
                with pdf.table(borders_layout=TableBordersLayout.ALL, line_height=7.5, text_align="CENTER") as table:
                    for row in rows:
                        table.row(row)
                pdf.ln(3)
    pdf.output(str(path))


def _set_east_asian_font(style: object, name: str) -> None:
    style.font.name = name  # type: ignore[attr-defined]
    style.element.rPr.rFonts.set(qn("w:eastAsia"), name)  # type: ignore[attr-defined]


def _page_number(paragraph: object) -> None:
    for kind, text in (("begin", None), (None, "PAGE"), ("end", None)):
        run = paragraph.add_run()._r  # type: ignore[attr-defined]
        if kind:
            mark = OxmlElement("w:fldChar")
            mark.set(qn("w:fldCharType"), kind)
        else:
            mark = OxmlElement("w:instrText")
            mark.text = text
        run.append(mark)


def make_docx(path: Path, title: str, author: str, header: str, blocks: list[Block], font: str) -> None:
    """A Word document with styled headings, lists, tables (equal neighbours in the first column merged)."""
    document = docx.Document()
    properties = document.core_properties
    properties.title, properties.author, properties.comments = title, author, ""
    properties.created = properties.modified = MADE_AT
    for name in ("Normal", "Title", "Heading 1", "Heading 2"):
        _set_east_asian_font(document.styles[name], font)
    document.styles["Normal"].font.size = DocxPt(10.5)
    document.sections[0].header.paragraphs[0].text = header
    footer = document.sections[0].footer.paragraphs[0]
    footer.alignment = WD_ALIGN_PARAGRAPH.CENTER
    _page_number(footer)
    document.add_heading(title, 0)
    for kind, content in blocks:
        match kind, content:
            case (("h1" | "h2"), str(text)):
                document.add_heading(text, int(kind[1]))
            case "p", str(text):
                document.add_paragraph(text)
            case (("ul" | "ol"), list(items)):
                for item in items:
                    document.add_paragraph(item, style="List Bullet" if kind == "ul" else "List Number")
            case "table", (str(caption), list(rows)):
                document.add_paragraph(caption, style="Caption")
                table = document.add_table(len(rows), len(rows[0]), style="Table Grid")
                for y, row in enumerate(rows):
                    for x, text in enumerate(row):
                        above = x == 0 and y > 1 and rows[y - 1][0] == text
                        if above:
                            table.cell(y, 0).merge(table.cell(y - 1, 0))
                        else:
                            table.cell(y, x).text = text
                            table.cell(y, x).paragraphs[0].runs[0].bold = y == 0
                document.add_paragraph()
    document.save(str(path))


def make_pptx(path: Path) -> None:
    """The plans and prices: bilingual slides, a table, bullets of two levels, notes."""
    deck = pptx.Presentation()
    properties = deck.core_properties
    properties.title, properties.author = "椋鸟云产品方案与价格", "Wen Kolbe"
    properties.created = properties.modified = MADE_AT
    opening = deck.slides.add_slide(deck.slide_layouts[0])
    opening.shapes.title.text = "椋鸟云产品方案与价格"
    opening.placeholders[1].text = "Plans and prices, valid from 1 April 2026\n销售总监 Wen Kolbe"
    opening.notes_slide.notes_text_frame.text = (
        "Internal training deck. Do not send it to customers; send the web page."
    )
    for title, content, notes in PLANS:
        is_table = isinstance(content[0], tuple)
        slide = deck.slides.add_slide(deck.slide_layouts[5 if is_table else 1])
        slide.shapes.title.text = title
        if is_table:
            box = Inches(0.4), Inches(1.7), Inches(9.2), Inches(2.4)
            table = slide.shapes.add_table(len(content), len(content[0]), *box).table
            for y, row in enumerate(content):
                for x, text in enumerate(row):
                    table.cell(y, x).text = text
                    table.cell(y, x).text_frame.paragraphs[0].runs[0].font.size = Pt(14)
        else:
            frame = slide.placeholders[1].text_frame
            for number, bullet in enumerate(content):
                paragraph = frame.paragraphs[0] if number == 0 else frame.add_paragraph()
                paragraph.text = str(bullet).removeprefix("- ")
                paragraph.level = int(str(bullet).startswith("- "))
        slide.notes_slide.notes_text_frame.text = notes
    deck.save(str(path))


def make_xlsx(path: Path) -> None:
    """The backup schedule: three sheets, real dates and numbers, a merged title row."""
    book = openpyxl.Workbook()
    book.properties.title, book.properties.creator = "Backup schedule 备份计划", "魏思远 Wei Siyuan"
    book.properties.created = MADE_AT.replace(tzinfo=None)
    book.remove(book.active)
    sheets: list[tuple[str, str, list[tuple[object, ...]], tuple[int, ...]]] = [
        ("Schedule 计划", "Backup schedule 备份计划, version 2026-04", BACKUP_SCHEDULE, (38, 26, 26, 20, 16, 16, 12, 12, 22)),
        ("恢复演练 Drills", "恢复演练记录（2025 年 10 月至 2026 年 4 月）", RESTORE_DRILLS, (14, 20, 26, 14, 16, 10, 20, 48)),
        ("Rules 规则", "Rules for backups 备份规则", BACKUP_RULES, (6, 70, 60)),
    ]  # fmt: skip
    for name, title, rows, widths in sheets:
        sheet = book.create_sheet(name)
        sheet.append([title])
        sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=len(widths))
        sheet["A1"].font = Font(bold=True, size=14)
        for row in rows:
            sheet.append(row)
        for column, width in enumerate(widths, 1):
            sheet.column_dimensions[openpyxl.utils.get_column_letter(column)].width = width
            header = sheet.cell(2, column)
            header.font, header.fill = Font(bold=True), PatternFill("solid", fgColor="DDE6F0")
        for cell in (cell for line in sheet.iter_rows(min_row=3) for cell in line):
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            if isinstance(cell.value, datetime.date):
                cell.number_format = "yyyy-mm-dd"
        sheet.freeze_panes = "A3"
    book.save(path)


def freeze(path: Path) -> None:
    """Rewrite an Office file with fixed times, so that the same text gives the same bytes."""
    out = io.BytesIO()
    stamp = MADE_AT.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "docProps/core.xml":
                data = re.sub(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*", rb"\g<1>" + stamp, data)
            new.writestr(zipfile.ZipInfo(name, (2026, 4, 20, 9, 0, 0)), data, zipfile.ZIP_DEFLATED)
    path.write_bytes(out.getvalue())


MAKERS: dict[str, Callable[[Path], None]] = {
    "员工手册.pdf": make_pdf,
    "on-call-and-incidents.docx": lambda path: make_docx(
        path, "On-call and Incident Guide", "Priya Nandakumar", "Starling Cloud, internal", ON_CALL_GUIDE, "Calibri"
    ),
    "报销制度-2026.docx": lambda path: make_docx(
        path, "椋鸟云报销制度（2026 版）", "司徒衡", "椋鸟云　内部资料", EXPENSE_POLICY, "Noto Sans CJK SC"
    ),
    "plans-and-prices.pptx": make_pptx,
    "backup-schedule.xlsx": make_xlsx,
}


def main() -> None:
    """Make every binary document in the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, default=HANDBOOK)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MAKERS.items():
        path = folder / name
        make(path)
        if path.suffix != ".pdf":
            freeze(path)
        print(f"{path.stat().st_size:>8,}  {path}")


if __name__ == "__main__":
    main()
