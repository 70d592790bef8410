"""Pictures handed over to be described: from every format that has them, within the setting, and never unasked."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from lunheng.config import ParsingSettings
from lunheng.errors import NoTextError, UnsupportedFormatError
from lunheng.parsing import fingerprint, parse_file
from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.wire import decode_document, encode_document
from lunheng.testing.parser import check_document
from lunheng.types import Document, Limits

SAYS = {"zh": "镜面要用静置过夜的雨水清洗。", "en": "The mirrors are washed in rain water that stood overnight."}
NAMED = {"zh": "[图片 1]", "en": "[picture 1]"}


def png(color: str, size: tuple[int, int] = (2000, 500)) -> bytes:
    written = BytesIO()
    Image.new("RGB", size, color).save(written, "PNG")
    return written.getvalue()


def docx(path: Path, text: str, pictures: list[bytes]) -> None:
    import docx

    word = docx.Document()
    word.add_paragraph(text)
    for data in pictures:
        word.add_picture(BytesIO(data), width=docx.shared.Cm(4))
    word.save(str(path))


def pptx(path: Path, text: str, pictures: list[bytes]) -> None:
    import pptx

    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = text
    for at, data in enumerate(pictures):
        slide.shapes.add_picture(BytesIO(data), 0, 2_000_000 + 900_000 * at, height=800_000)
    deck.save(str(path))


def images(pictures: list[bytes]) -> str:
    return "".join(f'<img src="data:image/png;base64,{base64.b64encode(data).decode()}">' for data in pictures)


def html(path: Path, text: str, pictures: list[bytes]) -> None:
    elsewhere = '<img src="https://example.org/a.png"><img src="file:///etc/passwd">'
    path.write_text(f"<html><body><p>{text}</p>{images(pictures)}{elsewhere}</body></html>", "utf-8")


def epub(path: Path, text: str, pictures: list[bytes]) -> None:
    container = '<container><rootfiles><rootfile full-path="o/b.opf"/></rootfiles></container>'
    package = (
        '<package><manifest><item id="a" href="c/a.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="a"/></spine></package>'
    )
    shown = "".join(f'<img src="../i/{at}.png"/>' for at in range(len(pictures)))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("o/b.opf", package)
        archive.writestr("o/c/a.xhtml", f"<html><body><h1>{text}</h1>{shown}<img src='../../../x.png'/></body></html>")
        for at, data in enumerate(pictures):
            archive.writestr(f"o/i/{at}.png", data)


def archive(path: Path, text: str, pictures: list[bytes]) -> None:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a.txt", text)
        for at, data in enumerate(pictures):
            made.writestr(f"{at}.png", data)


MAKERS: dict[str, Callable[[Path, str, list[bytes]], None]] = {
    "docx": docx,
    "pptx": pptx,
    "html": html,
    "epub": epub,
    "zip": archive,
}


def average(jpeg: bytes) -> tuple[int, ...]:
    with Image.open(BytesIO(jpeg)) as image:
        assert image.format == "JPEG" and max(image.size) <= 1024
        return image.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[return-value]


def near(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 12 for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("language", SAYS)
@pytest.mark.parametrize("suffix", MAKERS)
def test_pictures_are_handed_over_where_they_are_asked_for(suffix: str, language: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    MAKERS[suffix](path, SAYS[language], [png("red"), png("red"), png("blue"), png("green"), png("black", (20, 20))])
    plain = parse_here(path, Limits(), "off")
    assert plain.pictures == () and not any(e.kind == "figure" for e in plain.elements)
    document = parse_here(path, Limits(describe_figures=2), "off")
    check_document(document)
    figures = [document.elements[p.element] for p in document.pictures]
    assert all(e.kind == "figure" for e in figures)
    # A file in an archive is read by itself: what its language is, its neighbours do not say.
    assert figures[0].text == NAMED["en" if suffix == "zip" else language]
    seen = [average(p.jpeg) for p in document.pictures]
    # One that comes again is handed over once, but for files of their own.
    assert near(seen[0], (254, 0, 0)) and near(seen[1], (254, 0, 0) if suffix == "zip" else (0, 0, 254))
    assert len(seen) == 2 and any("only 2 pictures were described" in w for w in document.warnings)


@pytest.mark.parametrize("language", SAYS)
def test_a_figure_of_a_pdf_is_drawn(language: str, tmp_path: Path) -> None:
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    from lunheng.testing.fonts import embedded_font

    path, caption = tmp_path / "a.pdf", "图 1 码头平面图" if language == "zh" else "Figure 1. Plan of the pier"
    pdf = Canvas(str(path), pagesize=(595, 842))
    for turned in (0, 90):
        pdf.setFont(embedded_font(), 10)
        for i in range(6):
            pdf.drawString(60, 780 - 15 * i, SAYS[language])
        pdf.drawImage(ImageReader(Image.new("RGB", (80, 40), "blue")), 150, 540, 200, 80)
        pdf.drawString(180, 524, caption)
        pdf.setPageRotation(turned)
        pdf.showPage()
    pdf.save()
    assert parse_here(path, Limits(), "off").pictures == ()
    document = parse_here(path, Limits(describe_figures=1), "off")
    (picture,) = document.pictures
    assert document.elements[picture.element].text == caption and near(average(picture.jpeg), (0, 0, 254))
    with Image.open(BytesIO(picture.jpeg)) as drawn:
        assert 2.3 < drawn.width / drawn.height < 2.7


def test_a_photo_is_a_document_where_it_is_described(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(png("blue"))
    with pytest.raises(UnsupportedFormatError):
        parse_here(path, Limits(), "off")
    with pytest.raises(NoTextError):
        parse_here(path, Limits())
    for ocr in ("off", "auto"):
        document = parse_here(path, Limits(describe_figures=1), ocr)
        check_document(document)
        assert document.text == "[picture 1]" and near(average(document.pictures[0].jpeg), (0, 0, 254))


def test_a_hidden_picture_is_not_handed_over_and_a_drawing_is_named(tmp_path: Path) -> None:
    path, svg = tmp_path / "a.html", base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode()
    path.write_text(
        f"<p>Visible.</p><div style='display:none'>{images([png('red')])}</div>"
        f"<img src='data:image/svg+xml;base64,{svg}'><img src='data:image/png;base64,%%%'>"
    )
    document = parse_here(path, Limits(describe_figures=3), "off")
    assert document.pictures == () and document.text == "Visible."
    assert any("a picture was not read" in w for w in document.warnings)


def test_pictures_come_through_the_pipe(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    docx(path, SAYS["zh"], [png("red")])
    settings = ParsingSettings(describe_figures=1, ocr="off")
    document = parse_file(path, settings)
    assert document == parse_here(path, settings.limits(), "off") and len(document.pictures) == 1
    assert fingerprint(settings) != fingerprint(ParsingSettings(ocr="off"))


def test_a_reply_with_a_picture_of_no_element_is_refused() -> None:
    from lunheng.types import Picture

    document = Document("a", "txt", "", (), "x", pictures=(Picture(3, b"x"),))
    with pytest.raises(LookupError):
        decode_document(encode_document(document))
