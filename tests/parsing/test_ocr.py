"""Recognised pages: upright or not, columns, tables, thin and broken text layers, pictures, no engine.

The pictures are small: a page costs seconds.
"""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lunheng.errors import LimitError, MissingExtraError, NoTextError, ParseError, UnsupportedFormatError
from lunheng.parsing import ocr
from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.ocr import OcrLine
from lunheng.parsing.ocr_spaces import with_number_spaces
from lunheng.parsing.ocr_upright import Placement, find_skew, turned, without_skew
from lunheng.testing.fonts import embedded_font, picture_font
from lunheng.testing.parser import check_content, check_damaged, check_document, check_garbled
from lunheng.testing.samples import CHINESE, ENGLISH, STORIES, Story, make_picture
from lunheng.types import Document, Limits

pytest.importorskip("rapidocr", reason="needs the extra 'ocr'")
needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs the program tesseract")
TESSERACT = pytest.param("tesseract", marks=needs_tesseract)


def parse(path: Path, engine: str = "rapidocr") -> Document:
    document = parse_here(path, Limits(), engine)
    check_document(document)
    return document


def similarity(text: str, wanted: str) -> float:
    a, b = "".join(text.split()), "".join(wanted.split())
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()


def picture(size: tuple[int, int], texts: dict[tuple[int, int], str], font: int = 24) -> Any:
    """A picture with lines of text at the given places."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    for place, text in texts.items():
        pen.text(place, text, font=picture_font(font), fill="black")
    return image


def overlay(path: Path, image: Any, draw: Any) -> None:
    """A one-page PDF with a picture over the whole page, and what ``draw`` adds to its canvas."""
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), pagesize=(288, 144))
    canvas.drawImage(ImageReader(image), 0, 0, 288, 144)
    canvas.setFont(embedded_font(), 8)
    draw(canvas)
    canvas.save()


@pytest.mark.parametrize(
    ("engine", "story", "turn"),
    [
        ("rapidocr", CHINESE, 90),
        ("rapidocr", ENGLISH, 180),
        ("rapidocr", CHINESE, -7),
        pytest.param("tesseract", CHINESE, 270, marks=needs_tesseract),
        pytest.param("tesseract", ENGLISH, 90, marks=needs_tesseract),
        pytest.param("tesseract", CHINESE, 3, marks=needs_tesseract),
    ],
    ids=lambda p: getattr(p, "language", p),
)
def test_turned_and_skewed(engine: str, story: Story, turn: int, tmp_path: Path) -> None:
    from PIL import Image

    sample = make_picture(tmp_path, story)
    with Image.open(sample.path) as opened:
        size = opened.size
        image = opened.rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor="white")
    image.save(tmp_path / "turned.png")
    document = parse(tmp_path / "turned.png", engine)
    kinds = [(e.kind, e.level) for e in document.elements]
    assert kinds == [("heading", 1), ("heading", 2), ("paragraph", 0)]
    wanted = story.title + story.sections[0][0] + story.sections[0][1][0]
    assert similarity(document.text, wanted) >= (0.97 if engine == "rapidocr" else 0.94)  # three rare characters
    assert all(e.is_ocr and 0.5 < (e.ocr_confidence or 0) <= 1 for e in document.elements)
    # The title's box, on the picture as it is: at the upper left of the upright one.
    x0, top, x1, bottom = document.elements[0].bbox or (0, 0, 0, 0)
    middle = ((x0 + x1) / 2, (top + bottom) / 2)
    if turn == 90:  # counter-clockwise: its upper left is now the lower left
        assert middle[0] < 90 and middle[1] > size[0] / 2
    elif turn == 180:
        assert middle[0] > size[0] / 2 and middle[1] > size[1] - 90
    elif turn == 270:
        assert middle[0] > size[1] - 90 and middle[1] < size[0] / 2
    else:
        assert middle[0] < size[0] * 0.6 and middle[1] < 130


@pytest.mark.parametrize("degrees", [-10.0, -3.0, -0.5, 0.0, 2.0, 7.0])
def test_skew_is_found(degrees: float) -> None:
    image = picture((900, 300), {(30, 20 + 40 * i): "静置过夜的雨水 mirrors are washed 清洗一次" for i in range(6)})
    skewed = np.asarray(image.rotate(degrees, expand=True, fillcolor="white", resample=3))
    assert find_skew(skewed) == pytest.approx(-degrees, abs=0.3)
    assert find_skew(np.ascontiguousarray(np.rot90(skewed))) == pytest.approx(-degrees, abs=0.3)


def test_a_picture_without_lines_has_no_skew() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    assert find_skew(noise) == 0.0
    assert find_skew(np.full((300, 400, 3), 255, dtype=np.uint8)) == 0.0


def test_places_go_back_to_the_picture_as_it_was() -> None:
    marked = np.full((200, 300, 3), 255, dtype=np.uint8)
    marked[40:50, 60:80] = 0
    for degrees in (0.0, 5.0, -9.0):
        for quarters in range(4):
            upright, placement = without_skew(marked, degrees, Placement.of(marked))
            upright, placement = turned(upright, quarters, placement)
            ys, xs = np.nonzero(upright[:, :, 0] < 100)
            box = placement.box((float(xs.min()), float(ys.min()), float(xs.max()) + 1, float(ys.max()) + 1))
            assert box[0] < 61 and box[1] < 41 and box[2] > 79 and box[3] > 49
            assert box[2] - box[0] < 20 + 10 and box[3] - box[1] < 10 + 12
            x, y = placement.upright(70.0, 45.0)
            assert xs.min() < x < xs.max() and ys.min() < y < ys.max()


@pytest.mark.parametrize(
    ("drawn", "healed"),
    [
        ("第一章 总则", True),
        ("第十二条　报销须在三个月内提交，逾期不予受理", True),
        ("第三节 Travel 差旅", True),
        ("第一章总则", False),
        ("第二十一条规定的费用由部门承担", False),
        ("第 三 章 附 则", False),  # spaced out
        ("General rules 总则", False),
    ],
)
def test_the_space_behind_a_chinese_number_is_seen(drawn: str, healed: bool) -> None:
    from PIL import ImageDraw

    for size in (20, 40):
        image = picture((900, 80), {(30, 10): drawn}, size)
        box = ImageDraw.Draw(image).textbbox((30, 10), drawn, font=picture_font(size))
        line = OcrLine("".join(drawn.split()), tuple(map(float, box)), 0.9)
        (found,) = with_number_spaces(np.asarray(image), [line])
        number = drawn.split()[0]
        assert found.text == (line.text.replace(number, f"{number} ", 1) if healed else line.text)


@pytest.mark.parametrize("engine", ["rapidocr", TESSERACT])
def test_columns_are_read_one_after_the_other(engine: str, tmp_path: Path) -> None:
    left = [
        "静置过夜的雨水每七个星期",
        "清洗一次大镜面，任何人",
        "不得触碰镀银的一面，从",
        "第一步到最后一步都要",
        "戴棉手套，账簿里留存",
    ]
    right = [
        "The keeper answers every",
        "letter within two days,",
        "and keeps a copy in the",
        "green ledger that stands",
        "beside the northern wall.",
    ]
    texts = {(30, 30 + 36 * i): text for i, text in enumerate(left)}
    texts |= {(390, 30 + 36 * i): text for i, text in enumerate(right)}
    path = tmp_path / "columns.png"
    picture((760, 240), texts).save(path)
    text = parse(path, engine).text
    assert similarity(text, "".join(left) + " ".join(right)) >= 0.95
    assert "within two days, and keeps a copy" in text


@pytest.mark.parametrize("engine", ["rapidocr", TESSERACT])
def test_ruled_tables(engine: str, tmp_path: Path) -> None:
    from PIL import ImageDraw

    rows = [("仪器", "Aperture", "年份"), ("北方折射镜", "212 mm", "1907"), ("双筒照相机", "95 mm", "1931")]
    texts = {(50 + 220 * c, 40 + 60 * r): cell for r, row in enumerate(rows) for c, cell in enumerate(row)}
    image = picture((740, 300), {**texts, (40, 240): "所有仪器每年检修一次。"}, 26)
    pen = ImageDraw.Draw(image)
    for y in (25, 85, 145, 205):
        pen.line((30, y, 690, y), fill="black", width=2)
    for x in (30, 250, 470, 690):
        pen.line((x, 25, x, 205), fill="black", width=2)
    image.rotate(1.5, expand=True, fillcolor="white", resample=3).save(tmp_path / "table.png")
    table, note = parse(tmp_path / "table.png", engine).elements
    assert table.kind == "table" and table.is_ocr and table.ocr_confidence
    lines = [line for line in table.text.splitlines() if "---" not in line]
    assert similarity("".join(lines), "".join("| " + " | ".join(row) + " |" for row in rows)) >= 0.95
    assert [line.count("|") for line in lines] == [4, 4, 4]
    assert note.kind == "paragraph" and "检修" in note.text


@needs_tesseract
def test_tesseract_reads_short_chinese_cells_again(tmp_path: Path) -> None:
    """With two languages at hand it takes some for English, and the borders beside them for letters."""
    from PIL import ImageDraw

    rows = [("餐费", "8,679.72", "预算 C"), ("部门", "1,918.06", "凭证 D"), ("差旅", "9,640.01", "审批 A")]
    image = picture(
        (460, 250), {(30 + 145 * c, 27 + 50 * r): cell for r, row in enumerate(rows) for c, cell in enumerate(row)}, 29
    )
    pen = ImageDraw.Draw(image)
    for i in range(4):
        pen.line((15, 20 + 50 * i, 450, 20 + 50 * i), fill="black", width=2)
        pen.line((15 + 145 * i, 20, 15 + 145 * i, 170), fill="black", width=2)
    pen.text((20, 200), "费用报销制度（2025 版）的附表", font=picture_font(29), fill="black")
    image.save(tmp_path / "cells.png")
    table, note = parse(tmp_path / "cells.png", "tesseract").elements
    assert note.text == "费用报销制度（2025 版）的附表"
    found = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.text.splitlines() if "--" not in line
    ]
    assert found == [list(row) for row in rows]


def test_a_thin_layer_is_kept_and_the_picture_read(tmp_path: Path) -> None:
    image = picture((800, 400), {(60, 80): "The large mirror is washed", (60, 130): "每七个星期用雨水清洗一次。"}, 32)
    # What the layer says stands where the picture is white, as a stamp that a program added.
    overlay(tmp_path / "thin.pdf", image, lambda canvas: canvas.drawString(200, 12, "Archive 2041"))
    document = parse(tmp_path / "thin.pdf")
    assert "large mirror is washed" in document.text and "每七个星期用雨水清洗一次" in document.text
    assert document.text.count("Archive 2041") == 1


def test_a_broken_layer_is_read_from_the_picture(tmp_path: Path) -> None:
    image = picture((800, 400), {(60, 80): "The large mirror is washed", (60, 130): "每七个星期用雨水清洗一次。"}, 32)

    def draw(canvas: Any) -> None:
        text = canvas.beginText(20, 100)
        text.setTextRenderMode(3)
        text.textLine("(cid:12)(cid:34)(cid:56)(cid:78)(cid:90)")
        canvas.drawText(text)

    overlay(tmp_path / "broken.pdf", image, draw)
    document = parse(tmp_path / "broken.pdf")
    assert "large mirror is washed" in document.text and "cid" not in document.text


def test_a_sane_invisible_layer_is_kept(tmp_path: Path) -> None:
    image = picture((800, 400), {(60, 80): "what is drawn here"}, 32)
    words = "静置过夜的雨水每七个星期清洗一次大镜面，任何人不得触碰"

    def draw(canvas: Any) -> None:
        text = canvas.beginText(20, 120)
        text.setFont(embedded_font(), 8)
        text.setTextRenderMode(3)
        for _ in range(5):
            text.textLine(words)
        canvas.drawText(text)

    overlay(tmp_path / "layer.pdf", image, draw)
    document = parse(tmp_path / "layer.pdf")
    assert document.text.count(words) == 5 and "drawn" not in document.text
    assert not any(e.is_ocr for e in document.elements)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "_installed", lambda name: False)


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_the_pages_are_named(tmp_path: Path) -> None:
    image = picture((400, 200), {(60, 80): "unread"})

    def draw(canvas: Any) -> None:
        canvas.showPage()
        canvas.setFont(embedded_font(), 8)
        canvas.drawString(20, 100, "The keeper answers every letter within two days.")

    overlay(tmp_path / "mixed.pdf", image, draw)
    document = parse(tmp_path / "mixed.pdf", "auto")
    assert "keeper answers" in document.text
    assert any("pages 1 are" in w and "lunheng[ocr]" in w for w in document.warnings)


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_a_document_of_pictures_is_an_error(tmp_path: Path) -> None:
    overlay(tmp_path / "scan.pdf", picture((400, 200), {(60, 80): "unread"}), lambda canvas: None)
    with pytest.raises(ParseError, match=r"scan\.pdf.*pages 1.*lunheng\[ocr\]"):
        parse(tmp_path / "scan.pdf", "auto")
    picture((400, 200), {(60, 80): "unread"}).save(tmp_path / "photo.jpg")
    with pytest.raises(UnsupportedFormatError, match=r"photo\.jpg.*lunheng\[ocr\]"):
        parse(tmp_path / "photo.jpg", "auto")
    for engine in ("rapidocr", "tesseract"):
        with pytest.raises(MissingExtraError, match=engine):
            parse(tmp_path / "scan.pdf", engine)


def test_ocr_that_is_off_says_so(tmp_path: Path) -> None:
    picture((400, 200), {(60, 80): "unread"}).save(tmp_path / "photo.jpg")
    with pytest.raises(UnsupportedFormatError, match=r"photo\.jpg.*parsing\.ocr"):
        parse(tmp_path / "photo.jpg", "off")


def test_a_picture_without_text_is_told_apart(tmp_path: Path) -> None:
    picture((300, 200), {}).save(tmp_path / "blank.png")
    with pytest.raises(NoTextError, match=r"blank\.png"):
        parse(tmp_path / "blank.png")


def test_pixels_are_counted_before_they_are_decoded(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 1_000_000
    with pytest.raises(LimitError, match=r"bomb\.png.*max_pixels"):
        parse_here(tmp_path / "bomb.png", Limits(), "rapidocr")


def test_recognition_stops_in_time_and_keeps_what_it_has(tmp_path: Path) -> None:
    overlay(tmp_path / "scan.pdf", picture((400, 200), {(60, 80): "unread"}), lambda canvas: None)
    document = parse_here(tmp_path / "scan.pdf", Limits(max_seconds=0.0), "rapidocr")
    assert any("max_seconds" in warning for warning in document.warnings)


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.language)
def test_pictures_conform(story: Story, tmp_path: Path) -> None:
    sample = make_picture(tmp_path, story)
    check_content(parse, sample)
    check_damaged(parse, sample, tmp_path)
    check_garbled(parse, sample, tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "tif", "bmp", "gif", "webp"])
def test_kinds_of_pictures(suffix: str, tmp_path: Path) -> None:
    """Each is told by its bytes, in whatever mode its pixels are; a TIFF has pages."""
    image, second = (picture((360, 120), {(20, 40): text}, 32) for text in ("Bring a red lamp.", "Wear soft shoes."))
    path = tmp_path / f"picture.{suffix}"
    modes = {"jpg": "CMYK", "tif": "I;16", "bmp": "1", "gif": "P", "webp": "RGBA"}
    image = image.convert("L").convert("I;16") if suffix == "tif" else image.convert(modes[suffix])
    pages = {"save_all": True, "append_images": [second]} if suffix == "tif" else {}
    image.save(path, **pages)
    wrong = path.rename(tmp_path / "picture.txt")
    engine = "tesseract" if shutil.which("tesseract") else "rapidocr"
    document = parse(wrong, engine)
    assert document.source_type == {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix)
    wanted = [("Bring a red lamp.", 1), ("Wear soft shoes.", 2)]
    assert [(e.text, e.page) for e in document.elements] == wanted[: 2 if suffix == "tif" else 1]


def test_exif_says_which_side_is_up(tmp_path: Path) -> None:
    from PIL import Image

    image = picture((360, 120), {(20, 40): "Bring a red lamp"}, 32).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it clockwise to show it
    exif[0x013B] = "Ada Sample"
    image.save(tmp_path / "phone.jpg", exif=exif)
    document = parse(tmp_path / "phone.jpg", "tesseract" if shutil.which("tesseract") else "rapidocr")
    assert document.text == "Bring a red lamp" and document.author == "Ada Sample"
    x0, top, x1, bottom = document.elements[0].bbox or (0, 0, 0, 0)
    assert x1 - x0 > 5 * (bottom - top) and x1 < 360 and bottom < 120


@pytest.mark.parametrize("suffix", ["docx", "pptx"])
def test_pictures_in_office_documents(suffix: str, tmp_path: Path) -> None:
    """Read where the setting says so, and the same picture once; linked and damaged ones cost nothing else."""
    import io

    file, path = io.BytesIO(), tmp_path / f"figures.{suffix}"
    picture((480, 160), {(20, 30): "静置过夜的雨水", (20, 80): "Bring a red lamp."}, 32).save(file, "PNG")
    if suffix == "docx":
        import docx

        word = docx.Document()
        word.add_paragraph("The mirrors are washed every seven weeks.")
        for _ in range(2):
            word.add_picture(file)
        word.save(str(path))
    else:
        import pptx

        deck = pptx.Presentation()
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = "The mirrors"
        for left in (0, 5_000_000):
            slide.shapes.add_picture(file, left, 2_000_000)
        deck.save(str(path))
    assert not any(e.kind == "figure" and "lamp" in e.text for e in parse(path, "rapidocr").elements)
    document = parse_here(path, Limits(ocr_figures=1), "rapidocr")
    check_document(document)
    figures = [e for e in document.elements if e.kind == "figure"]
    assert [e.is_ocr for e in figures] == [True, True] and all(e.ocr_confidence for e in figures)
    assert all("静置过夜的雨水" in e.text and "red lamp" in e.text for e in figures)
    assert not document.warnings


@pytest.mark.parametrize("caption", ["图 {} 清洗规则", "Figure {}. The rules"])
def test_figures_of_a_pdf(caption: str, tmp_path: Path) -> None:
    """Pictures with captions are read, so many; where the text of the page stands in one, it is not."""
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    image = ImageReader(picture((480, 160), {(20, 30): "静置过夜的雨水", (20, 80): "Bring a red lamp."}, 32))
    canvas = Canvas(str(tmp_path / "figures.pdf"))
    canvas.setFont(embedded_font(), 10)
    for i in range(6):
        canvas.drawString(60, 790 - 15 * i, "镜面每七个星期清洗一次。 The mirrors are washed every seven weeks.")
    for i in range(3):
        canvas.drawImage(image, 60, 600 - 150 * i, 240, 80)
        canvas.drawString(60, 586 - 150 * i, caption.format(i + 1))
    canvas.drawString(150, 340, "what the layer says")
    canvas.save()
    path = tmp_path / "figures.pdf"
    document = parse_here(path, Limits(ocr_figures=1), "rapidocr")
    check_document(document)
    captions = [caption.format(i + 1) for i in range(3)]
    first, second, third = (e for e in document.elements if e.kind == "figure")
    assert [first.caption, second.caption, third.caption] == captions
    assert "静置过夜的雨水" in first.text and "red lamp" in first.text and first.is_ocr and first.ocr_confidence
    assert second.text == captions[1] and not second.is_ocr and ["only 1 " in w for w in document.warnings] == [True]
    assert third.text == captions[2] and not third.is_ocr
    assert [e.text for e in parse(path).elements if e.kind == "figure"] == captions
