"""Documents with known content in every format and both languages, made by each format's own library.

Called by the conformance suites of parsers and chunkers. Needs the dev dependencies: reportlab for PDF, a Chinese font for scans.
"""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from lunheng.testing.samples_markup import make_docbook, make_fb2, make_jats, make_org, make_rst, make_tex
from lunheng.testing.samples_open import make_eml, make_epub, make_ipynb, make_msg, make_odp, make_odt, make_rtf
from lunheng.testing.stories import CHINESE, ENGLISH, STORIES, Sample, Story, sample, structured

__all__ = ["CHINESE", "ENGLISH", "MAKERS", "STORIES", "Sample", "Story"]


def make_markdown(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.md"
    parts = ["---\nauthor: 'Ada Sample'\ntags: [one, two]\n---", f"# {story.title}"]
    for heading, paragraphs in story.sections:
        parts.extend((f"## {heading}", *paragraphs))
    parts.append("\n".join(f"- {item}" for item in story.items))
    rows = ["| " + " | ".join(row) + " |" for row in story.table]
    parts.append("\n".join([rows[0], "|---|---|---|", *rows[1:]]))
    parts.append('```python\nprint("kept")\n```')
    path.write_text("\n\n".join(parts), encoding="utf-8")
    return sample(path, story, **structured(story))


def make_text(folder: Path, story: Story, encoding: str = "utf-8") -> Sample:
    path = folder / f"story-{story.language}-{encoding}.txt"
    parts = [story.title, *(part for heading, texts in story.sections for part in (heading, *texts))]
    path.write_bytes("\r\n\r\n".join(parts).encode(encoding))
    return sample(path, story, headings=tuple(h for h, _ in story.sections))


def make_html(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.html"
    body = [f"<nav><a href='/'>navigation-link</a></nav><h1>{escape(story.title)}</h1>"]
    for heading, paragraphs in story.sections:
        body.append(f"<h2>{escape(heading)}</h2>" + "".join(f"<p>{escape(p)}</p>" for p in paragraphs))
    body.append("<ul>" + "".join(f"<li>{escape(i)}</li>" for i in story.items) + "</ul>")
    body.append("<table>" + "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in r)}</tr>" for r in story.table))
    body.append(
        f"</table><div style='display: none'>{escape(story.secret)}</div><script>var x = 'script-text'</script>"
    )
    path.write_text(
        f"<!DOCTYPE html><html><head><meta charset='utf-8'><title>{escape(story.title)}</title></head>"
        f"<body>{''.join(body)}</body></html>",
        encoding="utf-8",
    )
    return sample(path, story, **structured(story), hidden=(story.secret, "script-text", "navigation-link"))


def make_docx(folder: Path, story: Story) -> Sample:
    import docx

    path = folder / f"story-{story.language}.docx"
    word = docx.Document()
    word.core_properties.title, word.core_properties.author = story.title, "Ada Sample"
    word.add_heading(story.title, 1)
    for heading, paragraphs in story.sections:
        word.add_heading(heading, 2)
        for paragraph in paragraphs:
            word.add_paragraph(paragraph)
    for item in story.items:
        word.add_paragraph(item, style="List Bullet")
    table = word.add_table(len(story.table), len(story.table[0]))
    for r, row in enumerate(story.table):
        for c, cell in enumerate(row):
            table.cell(r, c).text = cell
    word.save(str(path))
    return sample(path, story, **structured(story))


def make_pptx(folder: Path, story: Story) -> Sample:
    import pptx
    from pptx.util import Pt

    path = folder / f"story-{story.language}.pptx"
    deck = pptx.Presentation()
    for heading, paragraphs in story.sections:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = heading
        slide.placeholders[1].text = paragraphs[0]
        for extra in paragraphs[1:]:
            slide.placeholders[1].text_frame.add_paragraph().text = extra
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = story.title
    table = slide.shapes.add_table(len(story.table), len(story.table[0]), Pt(50), Pt(200), Pt(500), Pt(100)).table
    for r, row in enumerate(story.table):
        for c, cell in enumerate(row):
            table.cell(r, c).text = cell
    slide.notes_slide.notes_text_frame.text = story.items[0]
    deck.save(str(path))
    return sample(
        path,
        story,
        phrases=(*(p for _, texts in story.sections for p in texts), story.items[0]),
        headings=(*(h for h, _ in story.sections), story.title),
        table_rows=story.table,
        pages=((story.sections[1][1][0], 2), (story.table[1][0], 3)),
    )


def make_xlsx(folder: Path, story: Story) -> Sample:
    import openpyxl

    path = folder / f"story-{story.language}.xlsx"
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = story.items[0]
    for row in story.table:
        sheet.append(list(row))
    sheet.append([story.sections[0][1][0], 3, 4.5])
    hidden = book.create_sheet("hidden")
    hidden.sheet_state = "hidden"
    hidden.append([story.secret])
    book.save(path)
    return sample(
        path,
        story,
        phrases=(story.sections[0][1][0],),
        headings=(story.items[0],),
        table_rows=(*story.table, (story.sections[0][1][0], "3", "4.5")),
        hidden=(story.secret,),
    )


def make_csv(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([*story.table, (story.sections[0][1][0], "a|b", "x\ny")])
    return sample(
        path,
        story,
        phrases=(story.sections[0][1][0],),
        table_rows=(*story.table, (story.sections[0][1][0], "a\\|b", "x<br>y")),
    )


def make_json(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.json"
    records = [{"heading": h, "text": p, "keeper": {"name": "Ada"}} for h, texts in story.sections for p in texts]
    path.write_text(json.dumps({"records": records}, ensure_ascii=False), encoding="utf-8")
    return sample(path, story)


def make_jsonl(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.jsonl"
    lines = (json.dumps({"heading": h, "text": p}, ensure_ascii=False) for h, texts in story.sections for p in texts)
    path.write_text("\n".join(lines), encoding="utf-8")
    return sample(path, story)


def make_code(folder: Path, story: Story) -> Sample:
    path = folder / f"story_{story.language}.py"
    parts = [
        f'def section_{i}():\n    """{heading}"""\n    return "{texts[0]}"'
        for i, (heading, texts) in enumerate(story.sections)
    ]
    path.write_text("\n\n\n".join(parts), encoding="utf-8")
    return sample(path, story, phrases=tuple(texts[0] for _, texts in story.sections))


def make_zip(folder: Path, story: Story) -> Sample:
    """An archive of a Markdown file, a Word file and a damaged one, with names as Windows in Chinese writes them."""
    import zipfile

    path = folder / f"story-{story.language}.zip"
    members = (make_markdown(folder, story).path, make_docx(folder, story).path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            entry = zipfile.ZipInfo(f"{story.items[0]}/{member.name}", (2026, 3, 2, 9, 30, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, member.read_bytes())
        archive.writestr(zipfile.ZipInfo("broken.docx", (2026, 3, 2, 9, 30, 0)), b"PK\x03\x04 nothing")
    for member in members:
        member.unlink()
    found = structured(story)
    names = tuple(f"{story.items[0]}/{member.name}" for member in members)
    found["headings"] = (names[0], *found["headings"], names[1], *found["headings"])
    return sample(path, story, **found)


def make_pdf(folder: Path, story: Story, columns: int = 1, embedded: bool = False) -> Sample:
    """A born-digital PDF with running headers and page numbers; Chinese in a font that is not embedded, unless asked."""
    from reportlab.lib.enums import TA_JUSTIFY
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import BaseDocTemplate, Frame, NextPageTemplate, PageBreak, PageTemplate, Paragraph

    from lunheng.testing.fonts import embedded_font

    chinese = story.language == "zh"
    font = embedded_font() if embedded else "STSong-Light" if chinese else "Helvetica"
    if chinese and not embedded:
        pdfmetrics.registerFont(UnicodeCIDFont(font))
    path = folder / f"story-{story.language}-{columns}.pdf"
    width, height = A4

    def decorate(canvas: Any, document: Any) -> None:
        canvas.setFont(font, 8)
        canvas.drawString(60, height - 40, f"{story.items[0]} · {story.items[1]}")
        canvas.drawCentredString(width / 2, 30, str(document.page))

    gap = 24.0
    column = (width - 120 - gap * (columns - 1)) / columns
    frames = [Frame(60 + i * (column + gap), 60, column, height - 130, 0, 0, 0, 0) for i in range(columns)]
    document = BaseDocTemplate(str(path), pagesize=A4, title=story.title, author="Ada Sample")
    document.addPageTemplates(PageTemplate("all", frames, onPage=decorate))
    wrap = "CJK" if chinese else None
    body = ParagraphStyle(
        "body", fontName=font, fontSize=10.5, leading=15, spaceAfter=8, alignment=TA_JUSTIFY, wordWrap=wrap
    )
    small = ParagraphStyle("section", parent=body, fontSize=14, leading=20, alignment=0)
    large = ParagraphStyle("title", parent=body, fontSize=20, leading=28, alignment=0)
    flow: list[Any] = [NextPageTemplate("all"), Paragraph(story.title, large)]
    for i, (heading, paragraphs) in enumerate(story.sections):
        flow.extend([PageBreak()] if i else [])
        flow.append(Paragraph(heading, small))
        flow.extend(Paragraph(p, body) for p in paragraphs * (3 if columns > 1 else 1))
    document.build(flow)
    headings = tuple(h for h, _ in story.sections)
    return sample(
        path,
        story,
        headings=(story.title, *headings),
        nested=tuple((story.title, h) for h in headings),
        hidden=(f"{story.items[0]} · {story.items[1]}",),
        pages=((story.sections[1][1][0], 2),),
    )


def make_scan(folder: Path, story: Story, dpi: int = 200) -> Sample:
    """The story's PDF as pictures of its pages, without a text layer."""
    import pypdfium2

    path = folder / f"scan-{story.language}.pdf"
    sample = make_pdf(folder, story, embedded=True)
    pdf = pypdfium2.PdfDocument(sample.path)
    pictures = [page.render(scale=dpi / 72).to_pil().convert("RGB") for page in pdf]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], resolution=dpi)
    pdf.close()
    return replace(sample, path=path)


def make_picture(folder: Path, story: Story, suffix: str = "png") -> Sample:
    """A picture of the story's title, first heading and first paragraph."""
    from PIL import Image, ImageDraw

    from lunheng.testing.fonts import picture_font

    path = folder / f"story-{story.language}.{suffix}"
    heading, paragraphs = story.sections[0]
    body = picture_font(24)
    lines, line = [], ""
    for unit in paragraphs[0] if story.language == "zh" else [f"{word} " for word in paragraphs[0].split()]:
        if body.getlength(line + unit) > 720:
            lines.append(line)
            line = ""
        line += unit
    lines.append(line)
    image = Image.new("RGB", (800, 220 + 36 * len(lines)), "white")
    pen = ImageDraw.Draw(image)
    pen.text((40, 30), story.title, font=picture_font(40), fill="black")
    pen.text((40, 110), heading, font=picture_font(31), fill="black")
    for i, text in enumerate(lines):
        pen.text((40, 170 + 36 * i), text.strip(), font=body, fill="black")
    image.save(path)
    return Sample(
        path,
        {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix),
        story.language,
        phrases=paragraphs[:1],
        headings=(story.title, heading),
        nested=((story.title, heading),),
        pages=((paragraphs[0], 1),),
    )


MAKERS = {
    "md": make_markdown,
    "txt": make_text,
    "html": make_html,
    "docx": make_docx,
    "pptx": make_pptx,
    "xlsx": make_xlsx,
    "csv": make_csv,
    "json": make_json,
    "jsonl": make_jsonl,
    "py": make_code,
    "pdf": make_pdf,
    "ipynb": make_ipynb,
    "eml": make_eml,
    "zip": make_zip,
    "epub": make_epub,
    "odt": make_odt,
    "odp": make_odp,
    "rtf": make_rtf,
    "msg": make_msg,
    "rst": make_rst,
    "tex": make_tex,
    "org": make_org,
    "docbook": make_docbook,
    "jats": make_jats,
    "fb2": make_fb2,
}
"""One maker a format: ``MAKERS["pdf"](folder, ENGLISH)`` writes the file and says what is in it."""
