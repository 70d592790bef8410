"""What OpenDocument, e-books, XML, TeX, reStructuredText and Org keep beyond the conformance suite."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lunheng.errors import EncryptedError
from lunheng.parsing.dispatch import parse_here
from lunheng.testing.samples import CHINESE, ENGLISH, make_epub
from lunheng.types import Document, Limits

Shown = list[tuple[str, str]]


def write(path: Path, text: str | bytes) -> Document:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return parse_here(path, Limits())


def shown(document: Document) -> Shown:
    return [(e.kind if e.role == "body" else e.role, e.text) for e in document.elements]


def flat_odf(body: str, styles: str = "", kind: str = "text") -> str:
    names = {n: n for n in ("office", "text", "table", "style", "presentation")} | {"draw": "drawing"}
    spaces = " ".join(f'xmlns:{p}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for p, n in names.items())
    return (
        f'<?xml version="1.0"?><office:document {spaces} xmlns:xlink="http://www.w3.org/1999/xlink" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:svg="urn:svg" '
        f'office:mimetype="application/vnd.oasis.opendocument.{kind}"><office:automatic-styles>{styles}'
        f"</office:automatic-styles><office:body><office:{kind}>{body}</office:{kind}></office:body></office:document>"
    )


def test_opendocument_structure(tmp_path: Path) -> None:
    styles = (
        '<style:style style:name="P1" style:family="paragraph" style:parent-style-name="Heading_20_2"/>'
        '<style:style style:name="P2" style:family="paragraph" style:parent-style-name="Preformatted_20_Text"/>'
        '<text:list-style style:name="L1"><text:list-level-style-number text:level="1"/>'
        '<text:list-level-style-bullet text:level="2"/></text:list-style>'
    )
    body = (
        '<text:h text:outline-level="1">一级</text:h><text:p text:style-name="P1">二级</text:p>'
        '<text:p>见<text:s text:c="2"/><text:a xlink:href="https://a.b">链接 <text:span>here</text:span></text:a>'
        '<text:note text:note-class="footnote"><text:note-citation>1</text:note-citation><text:note-body>'
        "<text:p>脚注 note</text:p></text:note-body></text:note>。<office:annotation><dc:creator>Ann</dc:creator>"
        "<text:p>a comment</text:p></office:annotation></text:p>"
        '<text:list text:style-name="L1"><text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>inner'
        "</text:p></text:list-item></text:list></text:list-item><text:list-item><text:p>two</text:p></text:list-item>"
        '</text:list><text:p text:style-name="P2">x = 1</text:p><text:p text:style-name="P2"><text:tab/>y</text:p>'
        '<text:p text:style-name="Table">表 1 caption</text:p><table:table><table:table-header-rows><table:table-row>'
        '<table:table-cell table:number-columns-spanned="2"><text:p>wide</text:p></table:table-cell>'
        "<table:covered-table-cell/></table:table-row></table:table-header-rows><table:table-row><table:table-cell "
        'table:number-rows-spanned="2"><text:p>tall</text:p></table:table-cell><table:table-cell><text:p>a</text:p>'
        "</table:table-cell></table:table-row><table:table-row><table:covered-table-cell/><table:table-cell>"
        "<text:p>b</text:p><text:p>c</text:p></table:table-cell></table:table-row></table:table>"
        "<text:table-of-content><text:index-body><text:p>contents 1</text:p></text:index-body></text:table-of-content>"
        "<text:p><draw:frame><draw:text-box><text:p>in a box</text:p></draw:text-box></draw:frame></text:p>"
    )
    document = write(tmp_path / "a.fodt", flat_odf(body, styles))
    assert document.source_type == "odt" and not document.warnings
    assert shown(document) == [
        ("heading", "一级"),
        ("heading", "二级"),
        ("paragraph", "见  链接 here[^1]。"),
        ("footnote", "[^1]: 脚注 note"),
        ("comment", "Ann: a comment"),
        ("list", "1. one\n  - inner\n2. two"),
        ("code", "x = 1\n\ty"),
        ("paragraph", "表 1 caption"),
        ("table", "| wide | wide |\n| --- | --- |\n| tall | a |\n| tall | b<br>c |"),
        ("paragraph", "in a box"),
    ]
    assert document.elements[2].links == (("链接 here", "https://a.b"),)
    assert document.elements[8].caption == "表 1 caption"
    assert document.elements[8].heading_path == ("一级", "二级")


def test_opendocument_slides(tmp_path: Path) -> None:
    styles = (
        '<style:style style:name="d1"><style:drawing-page-properties presentation:visibility="hidden"/></style:style>'
    )
    box = "<draw:frame {}><draw:text-box><text:p>{}</text:p></draw:text-box></draw:frame>"
    body = (
        "<draw:page>"
        + box.format('svg:x="1cm" svg:y="9cm" svg:width="2cm" svg:height="1cm"', "lower 下")
        + box.format('svg:x="1cm" svg:y="4cm" svg:width="2.54cm" svg:height="1in"', "upper 上")
        + '</draw:page><draw:page draw:style-name="d1">'
        + box.format("", "unseen")
        + "</draw:page>"
    )
    document = write(tmp_path / "a.fodp", flat_odf(body, styles, "presentation"))
    assert [(e.text, e.page, e.hidden) for e in document.elements] == [
        ("#1", 1, False),
        ("upper 上", 1, False),
        ("lower 下", 1, False),
        ("#2", 2, True),
        ("unseen", 2, True),
    ]
    assert document.elements[1].bbox == (28.3, 113.4, 100.3, 185.4)


def test_locked_opendocument(tmp_path: Path) -> None:
    path = tmp_path / "a.odt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr("content.xml", b"\x93\x01 locked")
        archive.writestr(
            "META-INF/manifest.xml", "<manifest:file-entry><manifest:encryption-data/></manifest:file-entry>"
        )
    with pytest.raises(EncryptedError, match="password"):
        parse_here(path, Limits())


def rebuilt(sound: Path, path: Path, changes: dict[str, str]) -> Path:
    with zipfile.ZipFile(sound) as source, zipfile.ZipFile(path, "w") as target:
        for name in {**dict.fromkeys(source.namelist()), **changes}:
            target.writestr(name, changes[name] if name in changes else source.read(name))
    return path


def test_chapters_without_headings_are_called_as_in_the_contents(tmp_path: Path) -> None:
    sound = make_epub(tmp_path, CHINESE).path
    chapter = (
        '<html xmlns:epub="http://www.idpf.org/2007/ops"><head><title/><script src="x.js"/></head><body><p>正文<a id="m"/>'
        '<a epub:type="noteref" href="#n">1</a>。</p><aside epub:type="footnote" id="n"><p>脚注的内容</p></aside></body></html>'
    )
    nav = '<html><body><nav><ol><li><a href="text/chapter%200.xhtml">前言</a></li></ol></nav></body></html>'
    path = rebuilt(sound, tmp_path / "b.epub", {"OEBPS/text/chapter 0.xhtml": chapter, "OEBPS/nav.xhtml": nav})
    document = parse_here(path, Limits())
    assert shown(document)[:3] == [("heading", "前言"), ("paragraph", "正文[^1]。"), ("footnote", "脚注的内容")]
    assert document.author == "Ada Sample" and document.created_at == datetime(1931, 5, 1, tzinfo=UTC)


def test_parts_named_in_the_contents_are_headings(tmp_path: Path) -> None:
    sound = make_epub(tmp_path, CHINESE).path
    chapter = "<html><body><p>第一部 Part</p><p>序言的文字。</p><p>第一节</p><p>正文。</p></body></html>"
    nav = (
        '<html><body><nav><ol><li><a href="text/chapter%200.xhtml">第一部 Part</a><ol><li>'
        '<a href="text/chapter%200.xhtml#s1">第一节</a></li></ol></li></ol></nav></body></html>'
    )
    path = rebuilt(sound, tmp_path / "b.epub", {"OEBPS/text/chapter 0.xhtml": chapter, "OEBPS/nav.xhtml": nav})
    found = [(e.kind, e.level, e.text) for e in parse_here(path, Limits()).elements[:4]]
    assert found == [
        ("heading", 1, "第一部 Part"),
        ("paragraph", 0, "序言的文字。"),
        ("heading", 2, "第一节"),
        ("paragraph", 0, "正文。"),
    ]


def test_locked_books_and_mangled_fonts(tmp_path: Path) -> None:
    sound = make_epub(tmp_path, ENGLISH).path
    rights = '<encryption><EncryptedData><EncryptionMethod Algorithm="{}"/></EncryptedData></encryption>'
    name = "META-INF/encryption.xml"
    fonts = rebuilt(sound, tmp_path / "a.epub", {name: rights.format("http://www.idpf.org/2008/embedding")})
    assert parse_here(fonts, Limits()).title == ENGLISH.title
    locked = rebuilt(sound, tmp_path / "b.epub", {name: rights.format("http://www.w3.org/2001/04/xmlenc#aes256-cbc")})
    with pytest.raises(EncryptedError, match="rights"):
        parse_here(locked, Limits())


def test_docbook(tmp_path: Path) -> None:
    document = write(
        tmp_path / "a.xml",
        '<?xml version="1.0"?><!DOCTYPE book PUBLIC "-//OASIS//DTD DocBook XML V4.5//EN" "docbook.dtd"><book><bookinfo>'
        "<title>手册 Manual</title><author><firstname>三</firstname><surname>张</surname></author><pubdate>2026-03-02</pubdate>"
        "</bookinfo><chapter><title>Chapter</title><para>Words&nbsp;with a<footnote><para>the note</para></footnote> and a "
        '<ulink url="https://a.b">link</ulink>.<itemizedlist><listitem><para>one</para><orderedlist><listitem><para>inner'
        "</para></listitem></orderedlist></listitem></itemizedlist></para><programlisting>x  =\n 1</programlisting>"
        '<table><title>Spans</title><tgroup cols="3"><colspec colname="a"/><colspec colname="b"/><colspec colname="c"/><tbody>'
        '<row><entry namest="a" nameend="b">wide</entry><entry morerows="1">tall</entry></row><row><entry>x</entry>'
        "<entry>y</entry></row></tbody></tgroup></table><section><title>Inner</title><para>end</para></section></chapter></book>",
    )
    assert document.source_type == "docbook" and document.author == "张三" and not document.warnings
    assert document.created_at == datetime(2026, 3, 2, tzinfo=UTC)
    assert shown(document) == [
        ("heading", "手册 Manual"),
        ("heading", "Chapter"),
        ("paragraph", "Words with a[^1] and a link."),
        ("footnote", "[^1]: the note"),
        ("list", "- one\n  1. inner"),
        ("code", "x  =\n 1"),
        ("table", "| wide | wide | tall |\n| --- | --- | --- |\n| x | y | tall |"),
        ("heading", "Inner"),
        ("paragraph", "end"),
    ]
    assert document.elements[2].links == (("link", "https://a.b"),) and document.elements[6].caption == "Spans"
    assert document.elements[-1].heading_path == ("手册 Manual", "Chapter", "Inner")


def test_articles_and_verse(tmp_path: Path) -> None:
    article = write(
        tmp_path / "a.nxml",
        '<article article-type="research-article"><front><article-meta><article-id pub-id-type="doi">10.1/x</article-id>'
        "<title-group><article-title>研究</article-title></title-group><contrib-group><contrib contrib-type='author'><name>"
        "<surname>李</surname><given-names>四</given-names></name></contrib></contrib-group><pub-date><year>2025</year>"
        "<month>3</month></pub-date><abstract><p>摘要。</p></abstract><kwd-group><kwd>甲</kwd></kwd-group></article-meta></front>"
        "<body><sec><label>1</label><title>引言</title><p>正文 <xref>[1]</xref>.</p><disp-formula><tex-math>a^2</tex-math>"
        "</disp-formula><fig><label>图 1</label><caption><p>说明</p></caption><graphic/></fig></sec></body><back><ref-list>"
        "<title>References</title><ref><mixed-citation>Knuth 1984.</mixed-citation></ref></ref-list></back></article>",
    )
    assert article.source_type == "jats" and article.author == "李四" and article.extra["doi"] == "10.1/x"
    assert article.created_at == datetime(2025, 3, 1, tzinfo=UTC) and article.extra["keywords"] == ["甲"]
    assert shown(article) == [
        ("heading", "研究"),
        ("paragraph", "摘要。"),
        ("heading", "引言"),
        ("paragraph", "正文 [1]."),
        ("formula", "a^2"),
        ("figure", "图 1 说明"),
        ("heading", "References"),
        ("paragraph", "Knuth 1984."),
    ]
    book = write(
        tmp_path / "b.fb2",
        '<?xml version="1.0" encoding="gb2312"?><FictionBook><description><title-info><book-title>诗</book-title></title-info>'
        "</description><body><section><title><p>静夜思</p></title><poem><stanza><v>床前明月光，</v><v>疑是地上霜。</v></stanza></poem>"
        "</section></body><body name='notes'><section><p>镕基 a note</p></section></body></FictionBook>".encode("gbk"),
    )
    assert shown(book)[1:] == [
        ("heading", "静夜思"),
        ("paragraph", "床前明月光，\n疑是地上霜。"),
        ("footnote", "镕基 a note"),
    ]


def test_data_in_xml_reads_like_json(tmp_path: Path) -> None:
    document = write(
        tmp_path / "a.xml",
        '<?xml version="1.0"?><orders currency="CNY"><order id="7"><item>轴承 bearing</item><qty>3</qty></order>'
        '<order id="8"><item>螺栓 &amp; nut</item><tag>a</tag><tag>b</tag></order></orders>',
    )
    assert document.source_type == "xml" and document.title == "a"
    assert document.text == (
        "currency: CNY\n\norder.id: 7\norder.item: 轴承 bearing\norder.qty: 3\n\n"
        "order.id: 8\norder.item: 螺栓 & nut\norder.tag: a, b"
    )


def test_damaged_xml_keeps_what_it_can(tmp_path: Path) -> None:
    document = write(tmp_path / "a.xml", '<?xml version="1.0"?><doc><p>one & two</p><p>three</doc>')
    assert "three" in document.text and any("damaged" in w for w in document.warnings)


def test_tex(tmp_path: Path) -> None:
    document = write(
        tmp_path / "a.tex",
        "\\documentclass{ctexbook}\\title{论文 \\LaTeX{} 标题}\\author{张三 \\and Li Si}\\begin{document}\\maketitle\n"
        "\\chapter{引言}\\label{ch:a}\nCaf\\'e \\textbf{粗体} $x^2$ \\cite{knuth} 50\\% of\nthe 中文\n换行\\footnote{脚注} "
        "\\href{http://a.b}{here}. % comment\n\n\\[ E = mc^2 \\]\n\\section*{Sub}\n\\begin{enumerate}\\item one\n"
        "\\begin{itemize}\\item inner\\end{itemize}\n\\item two\\end{enumerate}\n\\begin{table}\\caption{表 A}"
        "\\begin{tabular}{lcc}\\hline A & \\multicolumn{2}{c}{B} \\\\ \\midrule \\multirow{2}{*}{x} & 5\\% & 6 \\\\ & 7 & 8"
        "\\end{tabular}\\end{table}\\begin{verbatim}\nint x;\n\\end{verbatim}\\input{/etc/passwd}\\end{document}",
    )
    assert document.title == "论文 LaTeX 标题" and document.author == "张三, Li Si"
    assert shown(document) == [
        ("heading", "论文 LaTeX 标题"),
        ("heading", "引言"),
        ("paragraph", "Café 粗体 $x^2$ [knuth] 50% of the 中文换行[^1] here."),
        ("footnote", "[^1]: 脚注"),
        ("formula", "\\[ E = mc^2 \\]"),
        ("heading", "Sub"),
        ("list", "1. one\n  - inner\n2. two"),
        ("table", "| A | B | B |\n| --- | --- | --- |\n| x | 5% | 6 |\n| x | 7 | 8 |"),
        ("code", "int x;"),
    ]
    assert [e.level for e in document.elements if e.kind == "heading"] == [1, 2, 3]
    assert document.warnings == ("it includes /etc/passwd, which is not read with it; add that file too",)
    assert document.elements[2].links == (("here", "http://a.b"),)


def test_rst_with_what_sphinx_adds(tmp_path: Path) -> None:
    document = write(
        tmp_path / "a.rst",
        "手册\n====\n\n:Author: 张三\n\n见 :ref:`安装 <install>`\n换行 `site <http://a.b>`_ [1]_\n\n小节\n----\n\n"
        ".. versionadded:: 2.0\n   Some *content* with :class:`~foo.Bar`.\n\n   - a\n\n     1. b\n\n"
        ".. toctree::\n   :maxdepth: 2\n\n   other\n\n.. include:: /etc/passwd\n\n.. code-block:: python\n\n   x = 1\n\n"
        ".. note:: 注意\n\n+---+---+\n| A | B |\n+===+===+\n| 跨列  |\n+---+---+\n\n.. [1] the note\n",
    )
    assert document.author == "张三" and "root:" not in document.text
    assert document.warnings == ("it includes /etc/passwd, which is not read with it; add that file too",)
    assert shown(document) == [
        ("heading", "手册"),
        ("paragraph", "见 安装换行 site [^1]"),
        ("heading", "小节"),
        ("paragraph", "versionadded: 2.0"),
        ("paragraph", "Some content with foo.Bar."),
        ("list", "- a\n  1. b"),
        ("code", "x = 1"),
        ("paragraph", "注意"),
        ("table", "| A | B |\n| --- | --- |\n| 跨列 | 跨列 |"),
        ("footnote", "[^1]: the note"),
    ]


def test_org(tmp_path: Path) -> None:
    document = write(
        tmp_path / "a.org",
        "#+TITLE: 组织 manual\n#+DATE: <2026-03-02 Mon>\n* TODO [#A] *第一章* :tag:\n:PROPERTIES:\n:ID: x\n:END:\n这是一段\n换行的 "
        "[[https://a.b][链接]] text[fn:1]\n# comment\n** Sub\n- one\n  continued\n  - inner\n- two\n\n#+caption: 表一\n| a | b |\n"
        "|---+---|\n| 1 | 2 |\n\n#+begin_src python\n  print(1)\n#+end_src\n#+begin_quote\nquoted\n#+end_quote\n: verbatim\n"
        "[fn:1] the note\n",
    )
    assert document.title == "组织 manual" and document.created_at == datetime(2026, 3, 2, tzinfo=UTC)
    assert shown(document) == [
        ("heading", "第一章"),
        ("paragraph", "这是一段换行的 链接 text[^1]"),
        ("heading", "Sub"),
        ("list", "- one continued\n  - inner\n- two"),
        ("table", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("code", "print(1)"),
        ("paragraph", "quoted"),
        ("code", "verbatim"),
        ("footnote", "[^1]: the note"),
    ]
    assert document.elements[4].caption == "表一" and document.elements[1].links == (("链接", "https://a.b"),)
