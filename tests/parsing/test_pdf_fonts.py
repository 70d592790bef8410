"""The font that stands in for Chinese fonts that are neither in the file nor on the machine."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path

from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.pdf_fonts import ASCENT, DESCENT, blank_font
from lunheng.types import Limits


def test_the_blank_font_is_one_that_freetype_reads() -> None:
    from PIL import ImageFont

    font = ImageFont.truetype(BytesIO(blank_font()), 1000)
    assert font.getlength("论衡") == 2000 and font.getlength("a") == 250
    assert (font.getmetrics()[0], font.getmetrics()[1]) == (ASCENT, -DESCENT)
    _, top, _, bottom = font.getbbox("衡")
    assert bottom - top == ASCENT - DESCENT


def test_chinese_that_is_not_embedded_has_heights_also_sideways(tmp_path: Path) -> None:
    """Fails without the blank font on a machine that has no Chinese font."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    path = tmp_path / "fonts.pdf"
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    pdf = Canvas(str(path), pagesize=(600, 600))
    pdf.setPageRotation(90)
    pdf.rotate(90)
    pdf.setFont("STSong-Light", 10)
    pdf.drawString(100, -300, "灯塔看守人每天夜里都把天气记在簿子上，1871 年也不例外。")
    pdf.save()
    (element,) = parse_here(path, Limits(), "off").elements
    assert element.text == "灯塔看守人每天夜里都把天气记在簿子上，1871 年也不例外。"
    assert element.bbox is not None and 8 <= element.bbox[3] - element.bbox[1] <= 14


def test_a_process_that_used_it_ends_well(tmp_path: Path) -> None:
    code = (
        "import pypdfium2\nfrom lunheng.parsing.pdf_fonts import install_blank_font\ninstall_blank_font()\n"
        "pdf = pypdfium2.PdfDocument.new()\npdf.new_page(100, 100)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
