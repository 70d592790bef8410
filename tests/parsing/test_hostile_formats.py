"""Hostile and odd files in the formats beside PDF and Office: an error or a warning each, in bounded time."""

from __future__ import annotations

import json
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

from lunheng.errors import LimitError, LunhengError, ParseError
from lunheng.parsing.sandbox import Sandbox
from lunheng.testing.ole import compound_file
from lunheng.testing.parser import check_document
from lunheng.testing.samples import ENGLISH, MAKERS
from lunheng.types import Document, Limits

OPEN = ["ipynb", "eml", "zip", "epub", "odt", "odp", "rtf", "msg", "rst", "tex", "org", "docbook", "jats", "fb2"]
LIMITS = Limits(max_seconds=20, max_memory_bytes=1_000_000_000)


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox()


def outcome(sandbox: Sandbox, path: Path, limits: Limits = LIMITS) -> Document | ParseError:
    """The document, which is sound, or the error, which names the file."""
    try:
        document = sandbox.parse(path, limits)
    except ParseError as error:
        assert path.name in str(error)
        return error
    check_document(document)
    return document


@pytest.mark.parametrize("format_name", OPEN)
def test_empty_files(tmp_path: Path, sandbox: Sandbox, format_name: str) -> None:
    path = MAKERS[format_name](tmp_path, ENGLISH).path
    path.write_bytes(b"")
    with pytest.raises(ParseError, match="0 bytes"):
        sandbox.parse(path, LIMITS)
    path.write_bytes(b"\n")
    outcome(sandbox, path)


NAMES = ["lol", *(f"lol{i}" for i in range(1, 12))]
ENTITIES = ('<!ENTITY {} "{}">'.format(name, f"&{inner};" * 10) for inner, name in pairwise(NAMES))
LAUGHS = f'<!DOCTYPE lolz [<!ENTITY lol "lol">{"".join(ENTITIES)}]>'


@pytest.mark.parametrize("suffix", ["xml", "docbook", "nxml", "fb2", "fodt"])
def test_a_billion_laughs(tmp_path: Path, sandbox: Sandbox, suffix: str) -> None:
    path = tmp_path / f"laughs.{suffix}"
    path.write_text(f'<?xml version="1.0"?>{LAUGHS}<book><para>before &lol11; after</para></book>')
    found = outcome(sandbox, path)
    assert isinstance(found, LunhengError) or len(found.text) < 1000


@pytest.mark.parametrize(("format_name", "member"), [("odt", "content.xml"), ("epub", "OEBPS/text/chapter 1.xhtml")])
def test_entities_in_packed_xml(tmp_path: Path, sandbox: Sandbox, format_name: str, member: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret of the file system")
    sound = MAKERS[format_name](tmp_path, ENGLISH).path
    path = tmp_path / f"hostile.{format_name}"
    external = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}">]>'
    for declared, used in ((external, "&e;"), (LAUGHS, "&lol11;")):
        with zipfile.ZipFile(sound) as source, zipfile.ZipFile(path, "w") as target:
            for name in source.namelist():
                data = source.read(name).decode()
                if name == member:
                    head, mark, body = data.rpartition("?>")
                    data = head + mark + declared + body.replace("the", f"the {used}")
                target.writestr(name, data)
        found = outcome(sandbox, path)
        if isinstance(found, Document):
            assert "secret of the file system" not in found.text and len(found.text) < 10_000


def test_an_external_entity_is_not_fetched(tmp_path: Path, sandbox: Sandbox) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret of the file system")
    path = tmp_path / "external.xml"
    path.write_text(
        f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "{secret.as_uri()}">]><a><p>one &e; two</p></a>'
    )
    found = outcome(sandbox, path)
    assert isinstance(found, Document) and "secret of" not in found.text and "one" in found.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.xml", '<?xml version="1.0"?>' + "<section>" * 100_000 + "<p>x</p>" + "</section>" * 100_000),
        (
            "deep.fb2",
            '<?xml version="1.0"?><FictionBook>'
            + "<section>" * 250
            + "<p>x</p>"
            + "</section>" * 250
            + "</FictionBook>",
        ),
        ("deep.rst", "\n".join("  " * i + "* item" + "\n" for i in range(500))),
        ("wide.rst", "*" * 200_000),
        ("deep.tex", "{" * 100_000 + "x" + "}" * 100_000),
        ("begin.tex", r"\begin{itemize}\item a" * 5_000),
        ("half.tex", "\\section{" + "a $ b \\[ {" * 2_000),
        ("deep.org", "\n".join("*" * i + " heading" for i in range(1, 2_000))),
        ("list.org", "\n".join(" " * i + "- item" for i in range(5_000))),
        ("links.org", "[[" * 100_000),
        ("marks.org", "* " + "*a " * 50_000),
        ("deep.rtf", "{\\rtf1 " + "{" * 50_000 + "x"),
        ("notes.rtf", "{\\rtf1 " + "{\\footnote a" * 20_000 + "}"),
        ("deep.ipynb", '{"nbformat": 4, "cells": ' + "[" * 100_000),
        ("parts.eml", "From: a@b.c\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n" + "--b\n\nx\n" * 5_000),
        ("head.eml", "From: a@b.c\nSubject: " + "=?utf-8?q?a?= " * 50_000 + "\n\nbody"),
    ],
    ids=lambda value: value if len(value) < 20 else "",
)
def test_deep_and_endless(tmp_path: Path, sandbox: Sandbox, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    outcome(sandbox, path)


def test_mails_in_mails_without_end(tmp_path: Path, sandbox: Sandbox) -> None:
    text = "From: a@b.c\nSubject: the innermost\n\nbody"
    for depth in range(300):
        text = (
            f"From: a@b.c\nSubject: level {depth}\nContent-Type: multipart/mixed; boundary=b{depth}\n\n"
            f"--b{depth}\nContent-Type: message/rfc822\n\n{text}\n--b{depth}--"
        )
    path = tmp_path / "nested.eml"
    path.write_text(text)
    outcome(sandbox, path)


def test_a_zip_that_holds_itself_many_times(tmp_path: Path, sandbox: Sandbox) -> None:
    data = b"the innermost text"
    name = "a.txt"
    for depth in range(6):
        path = tmp_path / f"{depth}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for i in range(10):
                archive.writestr(f"{i}-{name}", data)
        data, name = path.read_bytes(), "z.zip"
    found = outcome(sandbox, path, Limits(max_seconds=4))  # a million texts at the bottom
    assert isinstance(found, LimitError) or any("left out" in w for w in found.warnings)


def test_zip_claims_a_small_size(tmp_path: Path, sandbox: Sandbox) -> None:
    path = tmp_path / "lies.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"a" * 5_000_000)
    data = path.read_bytes()
    path.write_bytes(data.replace((5_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    found = outcome(sandbox, path)
    assert isinstance(found, LunhengError) or "damaged" in found.warnings[0]


def test_tables_with_huge_repeats(tmp_path: Path, sandbox: Sandbox) -> None:
    path = tmp_path / "wide.fodt"
    cell = '<table:table-cell table:number-columns-repeated="99999999"><text:p>x</text:p></table:table-cell>'
    row = f'<table:table-row table:number-rows-repeated="99999999">{cell}</table:table-row>'
    path.write_text(
        '<?xml version="1.0"?><office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:text="t" xmlns:table="x" office:mimetype="application/vnd.oasis.opendocument.text"><office:body>'
        f"<office:text><table:table>{row * 20}</table:table></office:text></office:body></office:document>"
    )
    with pytest.raises(LimitError, match="cells"):
        sandbox.parse(path, LIMITS)


def test_a_book_without_its_parts(tmp_path: Path, sandbox: Sandbox) -> None:
    sound = MAKERS["epub"](tmp_path, ENGLISH).path
    for left_out in ("OEBPS/book.opf", "OEBPS/text/chapter 1.xhtml", "OEBPS/nav.xhtml"):
        path = tmp_path / "part.epub"
        with zipfile.ZipFile(sound) as source, zipfile.ZipFile(path, "w") as target:
            for name in source.namelist():
                if name != left_out:
                    target.writestr(name, source.read(name))
        found = outcome(sandbox, path)
        if left_out.endswith("opf"):
            assert isinstance(found, ParseError)
        elif "chapter" in left_out:
            assert isinstance(found, Document) and "chapter 1" in found.warnings[0]


def test_messages_with_broken_properties(tmp_path: Path, sandbox: Sandbox) -> None:
    path = tmp_path / "odd.msg"
    inner: dict[str, object] = {"__properties_version1.0": bytes(24)}
    for _ in range(30):
        inner = {"__properties_version1.0": bytes(24), "__attach_version1.0_#0": {"__substg1.0_3701000D": inner}}
    path.write_bytes(
        compound_file({"__properties_version1.0": b"\xff" * 99, "__substg1.0_0037001F": b"\xff\xd8a", **inner})
    )
    outcome(sandbox, path)


def test_a_notebook_of_wrong_types(tmp_path: Path, sandbox: Sandbox) -> None:
    path = tmp_path / "odd.ipynb"
    cells = [
        None,
        3,
        {"cell_type": 5, "source": {}},
        {"cell_type": "code", "source": [1, "x"], "outputs": [[], {"text": 7}]},
    ]
    path.write_text(json.dumps({"nbformat": "x", "cells": cells, "metadata": [], "worksheets": [1, {"cells": [2]}]}))
    found = outcome(sandbox, path)
    assert isinstance(found, Document) and found.text == "x"
