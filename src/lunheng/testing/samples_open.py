"""Sample documents in open formats, written as their standards say: notebooks, mails,
e-books, Rich Text, OpenDocument.

Called by ``samples``.
"""

from __future__ import annotations

import json
import struct
import zipfile
from html import escape
from pathlib import Path
from typing import Any

from lunheng.testing.ole import compound_file
from lunheng.testing.stories import Sample, Story, sample, structured


def _body_html(story: Story) -> str:
    """The story without its title as an HTML fragment."""
    parts = []
    for heading, paragraphs in story.sections:
        parts.append(f"<h2>{escape(heading)}</h2>" + "".join(f"<p>{escape(p)}</p>" for p in paragraphs))
    parts.append("<ul>" + "".join(f"<li>{escape(i)}</li>" for i in story.items) + "</ul>")
    rows = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in r)}</tr>" for r in story.table)
    return "".join(parts) + f"<table>{rows}</table>"


def make_ipynb(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.ipynb"

    def markdown(text: str) -> dict[str, Any]:
        return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}

    rows = ["| " + " | ".join(row) + " |" for row in story.table]
    texts = [f"# {story.title}", *("\n\n".join([f"## {h}", *texts]) for h, texts in story.sections)]
    texts += ["\n".join(f"- {i}" for i in story.items), "\n".join([rows[0], "|---|---|---|", *rows[1:]])]
    output = {"output_type": "stream", "name": "stdout", "text": ["kept\n"]}
    code = {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [output], "source": 'print("kept")'}
    notebook = {"cells": [*map(markdown, texts), code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1), encoding="utf-8")
    return sample(path, story, **structured(story))


def make_eml(folder: Path, story: Story) -> Sample:
    """A mail whose body is the story, with a spreadsheet attached."""
    from email.message import EmailMessage

    path = folder / f"story-{story.language}.eml"
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = story.title, f"{story.items[0]} <ada@example.org>", "keeper@example.org"
    mail["Date"], mail["Message-ID"] = "Mon, 02 Mar 2026 09:30:00 +0800", "<1@example.org>"
    mail.set_content("the plain alternative, which is not shown")
    hidden = f"<div style='display: none'>{escape(story.secret)}</div>"
    mail.add_alternative(f"<html><body>{_body_html(story)}{hidden}</body></html>", subtype="html")
    name = f"{story.items[1]}.csv"
    mail.add_attachment("\n".join(",".join(r) for r in story.table).encode(), "text", "csv", filename=name)
    path.write_bytes(mail.as_bytes())
    found = structured(story)
    found["headings"] = (*found["headings"], name)
    return sample(path, story, **found, hidden=(story.secret, "plain alternative"))


def make_msg(folder: Path, story: Story) -> Sample:
    """An Outlook message with the same content as the mail of ``make_eml``."""
    path = folder / f"story-{story.language}.msg"
    name = f"{story.items[1]}.csv"
    people = {"0C1A": story.items[0], "5D01": "ada@example.org"}
    recipient = _properties({"3001": "keeper", "39FE": "keeper@example.org"}, {0x0C15: 1}, 8)
    attachment = _properties({"3707": name}, {}, 8)
    attachment["__substg1.0_37010102"] = "\n".join(",".join(r) for r in story.table).encode()
    hidden = f"<div style='display: none'>{escape(story.secret)}</div>"
    texts = {"0037": story.title, "1000": "the plain alternative, which is not shown", **people}
    # 2 March 2026, 01:30 UTC, in tenths of microseconds since 1601.
    message = _properties(texts, {0x0039: 134169894000000000, 0x3FDE: 65001}, 32)
    message["__substg1.0_10130102"] = f"<html><body>{_body_html(story)}{hidden}</body></html>".encode()
    message["__recip_version1.0_#00000000"] = recipient
    message["__attach_version1.0_#00000000"] = attachment
    path.write_bytes(compound_file(message))
    found = structured(story)
    found["headings"] = (*found["headings"], name)
    return sample(path, story, **found, hidden=(story.secret, "plain alternative"))


def _properties(texts: dict[str, str], numbers: dict[int, int], header: int) -> dict[str, Any]:
    table = b"".join(struct.pack("<HHIQ", 3, number, 0, value) for number, value in numbers.items())
    streams: dict[str, Any] = {"__properties_version1.0": bytes(header) + table}
    streams |= {f"__substg1.0_{number}001F": text.encode("utf-16-le") for number, text in texts.items()}
    return streams


def make_rtf(folder: Path, story: Story) -> Sample:
    """As Word writes it: Chinese in the code page of its font, and in Unicode with a fallback."""
    path = folder / f"story-{story.language}.rtf"

    def coded(text: str) -> str:
        return "".join(
            c if c.isascii() else "".join(f"\\'{b:02x}" for b in c.encode("gb18030"))
            for c in text.replace("\\", "\\\\")
        )

    def unicode(text: str) -> str:
        return "".join(c if c.isascii() else f"\\u{ord(c) - 65536 * (ord(c) > 32767)}?" for c in text)

    parts = [
        r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 Times;}{\f1\fnil\fcharset134 SimSun;}}",
        r"{\stylesheet{\s0 Normal;}{\s1\outlinelevel0 heading 1;}{\s2 heading 2;}}",
        rf"{{\info{{\title {unicode(story.title)}}}{{\author Ada Sample}}{{\creatim\yr2026\mo3\dy2\hr9\min30}}}}",
        rf"{{\header\pard running header\par}}\pard\s1 {unicode(story.title)}\par",
    ]
    for heading, paragraphs in story.sections:
        parts.append(rf"\pard\s2{{\f1 {coded(heading)}}}\par")
        parts.extend(rf"\pard\s0{{\f1 {coded(p)}}}\par" for p in paragraphs)
    parts.extend(rf"\pard{{\listtext\'b7\tab}}\ilvl0\ls1 {unicode(i)}\par" for i in story.items)
    for row in story.table:
        cells = "".join(rf"\pard\intbl{{\f1 {coded(c)}}}\cell" for c in row)
        parts.append(rf"\trowd\cellx2000\cellx4000\cellx6000 {cells}\row")
    parts.append(rf"\pard{{\v {unicode(story.secret)}}}\par}}")
    path.write_text("\r\n".join(parts), encoding="ascii")
    return sample(path, story, **structured(story), hidden=(story.secret, "running header"))


def make_epub(folder: Path, story: Story) -> Sample:
    """An e-book of EPUB 3: a chapter a section, in an order that only the spine tells."""
    path = folder / f"story-{story.language}.epub"
    page = (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>'
    )
    rows = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in r)}</tr>" for r in story.table)
    items = "".join(f"<li>{escape(i)}</li>" for i in story.items)
    chapters = [f"<h1>{escape(story.title)}</h1>"]
    chapters += [f"<h2>{escape(h)}</h2>{''.join(f'<p>{escape(p)}</p>' for p in texts)}" for h, texts in story.sections]
    chapters += [f"<ul>{items}</ul><table>{rows}</table>"]
    order = list(range(len(chapters)))
    manifest = "".join(
        f'<item id="c{i}" href="text/chapter%20{i}.xhtml" media-type="application/xhtml+xml"/>' for i in reversed(order)
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        book.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
        )
        book.writestr(
            "OEBPS/book.opf",
            '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f"<dc:title>{escape(story.title)}</dc:title><dc:creator>Ada Sample</dc:creator><dc:date>1931-05</dc:date>"
            f'</metadata><manifest><item id="nav" properties="nav" href="nav.xhtml" media-type="application/xhtml+xml"/>'
            f'{manifest}</manifest><spine><itemref idref="nav"/>{"".join(f"<itemref idref={chr(34)}c{i}{chr(34)}/>" for i in order)}'
            "</spine></package>",
        )
        book.writestr(
            "OEBPS/nav.xhtml",
            f"{page}<nav><ol><li><a href='text/chapter%200.xhtml'>navigation-link</a></li></ol></nav></body></html>",
        )
        for i in reversed(order):
            book.writestr(f"OEBPS/text/chapter {i}.xhtml", f"{page}{chapters[i]}</body></html>")
    return sample(path, story, **structured(story), hidden=("navigation-link",))


_ODF = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in [(n, n) for n in ("office", "text", "table", "style", "presentation")]
    + [("draw", "drawing"), ("svg", "svg-compatible"), ("meta", "meta")]
)


def _write_odf(path: Path, kind: str, story: Story, body: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}", zipfile.ZIP_STORED)
        archive.writestr(
            "content.xml",
            f'<office:document-content {_ODF}><office:automatic-styles><style:style style:name="P1" style:family="paragraph"'
            f' style:parent-style-name="Title"/></office:automatic-styles><office:body><office:{kind}>{body}'
            f"</office:{kind}></office:body></office:document-content>",
        )
        archive.writestr(
            "meta.xml",
            f'<office:document-meta {_ODF} xmlns:dc="http://purl.org/dc/elements/1.1/"><office:meta>'
            f"<dc:title>{escape(story.title)}</dc:title><meta:initial-creator>Ada Sample</meta:initial-creator>"
            "<meta:creation-date>2026-03-02T09:30:00.5</meta:creation-date></office:meta></office:document-meta>",
        )


def _odf_table(story: Story) -> str:
    rows = "".join(
        f"<table:table-row>{''.join(f'<table:table-cell><text:p>{escape(c)}</text:p></table:table-cell>' for c in row)}"
        "</table:table-row>"
        for row in story.table
    )
    return f"<table:table>{rows}</table:table>"


def make_odt(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.odt"
    body = [f'<text:p text:style-name="P1">{escape(story.title)}</text:p>']
    for heading, paragraphs in story.sections:
        body.append(f'<text:h text:outline-level="2">{escape(heading)}</text:h>')
        body.extend(f"<text:p>{escape(p)}</text:p>" for p in paragraphs)
    body.append(
        f"<text:list>{''.join(f'<text:list-item><text:p>{escape(i)}</text:p></text:list-item>' for i in story.items)}"
        f"</text:list>{_odf_table(story)}"
    )
    deleted = f"<text:tracked-changes><text:p>{escape(story.secret)}</text:p></text:tracked-changes>"
    _write_odf(path, "text", story, deleted + "".join(body))
    return sample(path, story, **structured(story), hidden=(story.secret,))


def make_odp(folder: Path, story: Story) -> Sample:
    path = folder / f"story-{story.language}.odp"

    def frame(content: str, top: int, kind: str = "") -> str:
        return (
            f'<draw:frame {f"presentation:class={chr(34)}{kind}{chr(34)}" if kind else ""} svg:x="1cm" svg:y="{top}cm" '
            f'svg:width="20cm" svg:height="4cm">{content}</draw:frame>'
        )

    def box(texts: tuple[str, ...]) -> str:
        return f"<draw:text-box>{''.join(f'<text:p>{escape(t)}</text:p>' for t in texts)}</draw:text-box>"

    slides = [
        f"<draw:page>{frame(box(paragraphs), 8)}{frame(box((heading,)), 1, 'title')}</draw:page>"
        for heading, paragraphs in story.sections
    ]
    notes = f"<presentation:notes>{frame(box(story.items[:1]), 9, 'notes')}</presentation:notes>"
    slides.append(
        f"<draw:page>{frame(box((story.title,)), 1, 'title')}{frame(_odf_table(story), 5)}{notes}</draw:page>"
    )
    _write_odf(path, "presentation", story, "".join(slides))
    return sample(
        path,
        story,
        phrases=(*(p for _, texts in story.sections for p in texts), story.items[0]),
        headings=(*(h for h, _ in story.sections), story.title),
        table_rows=story.table,
        pages=((story.sections[1][1][0], 2), (story.table[1][0], 3)),
    )
