"""Word: numbering as shown, notes, comments, links, captions, nested tables, boxes, revisions, formulas, pictures."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import docx
import pytest
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn

from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.docx_numbering import Numbering, chinese_numeral, spell
from lunheng.types import Document, Limits

M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'


def parse(word: Any, folder: Path) -> Document:
    word.save(str(folder / "a.docx"))
    return parse_here(folder / "a.docx", Limits(), "off")


def kinds(document: Document) -> list[tuple[str, str]]:
    return [(e.kind, e.text) for e in document.elements if not e.hidden and e.role == "body"]


def png() -> io.BytesIO:
    def block(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\x00\xff\xff" * 2)
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + block(b"IDAT", pixels) + block(b"IEND", b""))


def number_with(word: Any, levels: list[tuple[str, str]]) -> str:
    """Add a list definition of (form, text) levels and give its id."""
    root = word.part.numbering_part.element
    made = "".join(
        f'<w:lvl w:ilvl="{i}"><w:start w:val="1"/><w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/></w:lvl>'
        for i, (form, text) in enumerate(levels)
    )
    name = str(900 + len(root))
    root.insert(0, parse_xml(f'<w:abstractNum {nsdecls("w")} w:abstractNumId="{name}">{made}</w:abstractNum>'))
    root.append(parse_xml(f'<w:num {nsdecls("w")} w:numId="{name}"><w:abstractNumId w:val="{name}"/></w:num>'))
    return name


def numbered(word: Any, text: str, list_id: str, depth: int = 0, style: str | None = None) -> Any:
    paragraph = word.add_paragraph(text, style=style)
    paragraph._p.get_or_add_pPr().append(
        parse_xml(f'<w:numPr {nsdecls("w")}><w:ilvl w:val="{depth}"/><w:numId w:val="{list_id}"/></w:numPr>')
    )
    return paragraph


def test_lists_are_numbered_as_word_shows_them(tmp_path: Path) -> None:
    word = docx.Document()
    chapters = number_with(word, [("chineseCountingThousand", "第%1章"), ("decimal", "%1.%2")])
    steps = number_with(word, [("decimal", "%1."), ("lowerLetter", "(%2)"), ("chineseCounting", "%3、")])
    articles = number_with(word, [("chineseCounting", "第%1条")])
    numbered(word, "总则", chapters, 0, "Heading 1")
    for text, depth in [("first", 0), ("inner", 1), ("inner too", 1), ("深", 2), ("second", 0), ("inner", 1)]:
        numbered(word, text, steps, depth)
    numbered(word, "附则", chapters, 0, "Heading 1")
    numbered(word, "本规定自发布之日起施行。", articles)
    numbered(word, "由人事部解释。", articles)
    assert kinds(parse(word, tmp_path)) == [
        ("heading", "第一章 总则"),
        ("list", "1. first\n  (a) inner\n  (b) inner too\n    一、 深\n2. second\n  (a) inner"),
        ("heading", "第二章 附则"),
        ("paragraph", "第一条 本规定自发布之日起施行。"),
        ("paragraph", "第二条 由人事部解释。"),
    ]


@pytest.mark.parametrize(
    "form,expected",
    [
        ("decimal", "1 10 27"),
        ("upperLetter", "A J AA"),
        ("lowerRoman", "i x xxvii"),
        ("chineseCountingThousand", "一 十 二十七"),
        ("chineseLegalSimplified", "壹 拾 贰拾柒"),
        ("decimalEnclosedCircle", "① ⑩ 27"),
        ("ideographTraditional", "甲 癸 二十七"),
        ("decimalZero", "01 10 27"),
        ("somethingNew", "1 10 27"),
    ],
)
def test_forms_of_numbers(form: str, expected: str) -> None:
    assert [spell(n, form) for n in (1, 10, 27)] == expected.split()


def test_chinese_numerals() -> None:
    assert [chinese_numeral(n) for n in (11, 20, 105, 110, 1005, 12000)] == [
        *("十一", "二十", "一百零五", "一百一十", "一千零五", "12000")
    ]


def test_a_list_begins_anew_where_it_says_so() -> None:
    root = parse_xml(
        f'<w:numbering {nsdecls("w")}><w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/>'
        '<w:lvlText w:val="%1)"/></w:lvl></w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
        '<w:num w:numId="2"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/>'
        "</w:lvlOverride></w:num></w:numbering>"
    )
    lists = Numbering(root)
    assert [lists.mark(n, 0) for n in ("1", "1", "2", "2", "9")] == ["1)", "2)", "5)", "6)", "-"]


def add_part(word: Any, kind: str, body: str) -> None:
    from docx.opc.packuri import PackURI
    from docx.opc.part import Part

    xml = f'<?xml version="1.0"?><w:{kind}s {nsdecls("w")}>{body}</w:{kind}s>'
    part = Part(
        PackURI(f"/word/{kind}s.xml"),
        f"application/vnd.openxmlformats-officedocument.wordprocessingml.{kind}s+xml",
        xml.encode(),
        word.part.package,
    )
    base = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    word.part.relate_to(part, f"{base}/{kind}s")


def test_footnotes_and_links(tmp_path: Path) -> None:
    word = docx.Document()
    add_part(
        word,
        "footnote",
        '<w:footnote w:id="0" w:type="separator"><w:p/></w:footnote>'
        '<w:footnote w:id="7"><w:p><w:r><w:t>按自然年计算。</w:t></w:r></w:p></w:footnote>',
    )
    paragraph = word.add_paragraph("年假十天")
    paragraph._p.append(parse_xml(f'<w:r {nsdecls("w")}><w:footnoteReference w:id="7"/></w:r>'))
    paragraph.add_run("，详见")
    target = word.part.relate_to(
        "https://example.org/假", "http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink", True
    )
    paragraph._p.append(
        parse_xml(f'<w:hyperlink {nsdecls("w", "r")} r:id="{target}"><w:r><w:t>内网</w:t></w:r></w:hyperlink>')
    )
    field = parse_xml(
        f'<w:p {nsdecls("w")}><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> HYPERLINK '
        '"https://example.org/b" </w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>'
        '<w:r><w:t>the guide</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>'
    )
    word.element.body.insert(1, field)
    document = parse(word, tmp_path)
    assert kinds(document) == [("paragraph", "年假十天[^1]，详见内网"), ("paragraph", "the guide")]
    assert [(e.text, e.role) for e in document.elements if e.role != "body"] == [("[^1]: 按自然年计算。", "footnote")]
    links = [link for e in document.elements for link in e.links]
    assert links == [("内网", "https://example.org/假"), ("the guide", "https://example.org/b")]


def test_comments_revisions_and_hidden_text(tmp_path: Path) -> None:
    word = docx.Document()
    paragraph = word.add_paragraph("kept ")
    word.add_comment(paragraph.runs[0], "真的吗？", author="Ann")
    for tag, text in (("ins", "inserted"), ("del", " deleted"), ("moveTo", " moved here"), ("moveFrom", " moved away")):
        name = "w:delText" if tag == "del" else "w:t"
        paragraph._p.append(
            parse_xml(f'<w:{tag} {nsdecls("w")}><w:r><{name} xml:space="preserve">{text}</{name}></w:r></w:{tag}>')
        )
    word.add_paragraph("").add_run("obey me").font.hidden = True
    document = parse(word, tmp_path)
    assert kinds(document) == [("paragraph", "kept inserted moved here")]
    assert [e.text for e in document.elements if e.role == "comment"] == ["Ann: 真的吗？"]
    assert [e.text for e in document.elements if e.hidden] == ["obey me"]


def test_captions_pictures_and_tables(tmp_path: Path) -> None:
    word = docx.Document()
    word.add_paragraph("Table 1: Lenses")
    table = word.add_table(2, 2)
    for at, text in enumerate(["镜", "径", "大", "212"]):
        table.cell(at // 2, at % 2).text = text
    inner = table.cell(1, 1).add_table(1, 2)
    inner.cell(0, 0).text, inner.cell(0, 1).text = "mm", "±1"
    word.add_picture(png())
    word.element.body.findall(".//" + qn("wp:docPr"))[0].set("descr", "穹顶的照片")
    word.add_paragraph("图 1 穹顶")
    word.add_paragraph("表 2 中的数据是旧的。")
    frame = word.add_table(1, 1)
    frame.cell(0, 0).text = "A framed paragraph."
    document = parse(word, tmp_path)
    assert kinds(document) == [
        ("paragraph", "Table 1: Lenses"),
        ("table", "| 镜 | 径 |\n| --- | --- |\n| 大 | 212<br>mm; ±1 |"),
        ("figure", "图 1 穹顶\n穹顶的照片"),
        ("paragraph", "表 2 中的数据是旧的。"),
        ("paragraph", "A framed paragraph."),
    ]
    assert [e.caption for e in document.elements if e.caption] == ["Table 1: Lenses", "图 1 穹顶"]


def test_text_boxes_and_formulas(tmp_path: Path) -> None:
    word = docx.Document()
    fraction = "<m:f><m:num><m:r><m:t>a</m:t></m:r></m:num><m:den><m:r><m:t>𝑏</m:t></m:r></m:den></m:f>"
    power = "<m:sSup><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup>"
    word.add_paragraph("其中 ")._p.append(parse_xml(f"<m:oMath {M}>{power}</m:oMath>"))
    word.add_paragraph()._p.append(
        parse_xml(f"<m:oMathPara {M}><m:oMath><m:r><m:t>y=</m:t></m:r>{fraction}</m:oMath></m:oMathPara>")
    )
    box = (
        f'<w:r {nsdecls("w")} xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
        'xmlns:v="urn:schemas-microsoft-com:vml"><mc:AlternateContent><mc:Choice Requires="wps"><w:drawing>'
        "<w:txbxContent><w:p><w:r><w:t>boxed 框</w:t></w:r></w:p></w:txbxContent></w:drawing></mc:Choice>"
        "<mc:Fallback><w:pict><v:textbox><w:txbxContent><w:p><w:r><w:t>boxed 框</w:t></w:r></w:p></w:txbxContent>"
        "</v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    )
    word.add_paragraph("before")._p.append(parse_xml(box))
    assert kinds(parse(word, tmp_path)) == [
        ("paragraph", "其中 $x^2$"),
        ("formula", r"y=\frac{a}{b}"),
        ("paragraph", "before"),
        ("paragraph", "boxed 框"),
    ]


def test_headings_by_chinese_style_outline_level_and_without_any_style(tmp_path: Path) -> None:
    word = docx.Document()
    style = word.styles.add_style("二级标题", 1)
    word.add_paragraph("甲", style="Heading 1")
    word.add_paragraph("乙", style=style)
    outlined = word.add_paragraph("丙")
    level = OxmlElement("w:outlineLvl")
    level.set(qn("w:val"), "2")
    outlined._p.get_or_add_pPr().append(level)
    found = parse(word, tmp_path)
    assert [(e.text, e.level) for e in found.elements] == [("甲", 1), ("乙", 2), ("丙", 3)]

    bare = docx.Document()
    for heading in ("第一章 总则", "第二章 附则"):
        bare.add_paragraph(heading)
        bare.add_paragraph("").add_run("适用范围").bold = True
        bare.add_paragraph("本规定适用于全体员工，包括试用期员工和实习生，外包人员参照执行。")
        bare.add_paragraph("The rules hold for everybody, and for guests while they are in the house.")
    assert [(e.text, e.level) for e in parse(bare, tmp_path).elements if e.kind == "heading"][:2] == [
        ("第一章 总则", 2),
        ("适用范围", 3),
    ]
