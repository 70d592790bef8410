"""Old Office files, by LibreOffice where it is installed; and LibreOffice's own OpenDocument and RTF."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from lunheng.errors import LimitError, ParseError, UnsupportedFormatError
from lunheng.parsing import libreoffice, parse_file
from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.libreoffice import find_libreoffice
from lunheng.parsing.sandbox import Sandbox
from lunheng.parsing.spreadsheet import SpreadsheetParser
from lunheng.testing.parser import check_document
from lunheng.testing.samples import CHINESE, ENGLISH, STORIES, Story, make_docx, make_msg, make_pptx, make_xlsx
from lunheng.types import Document, Limits

needs_libreoffice = pytest.mark.skipif(find_libreoffice() is None, reason="LibreOffice (soffice) is not installed")


def convert(source: Path, target: str) -> Path:
    """``source`` as LibreOffice saves it in another format."""
    program, folder = find_libreoffice(), source.parent / target
    assert program is not None
    profile = f"-env:UserInstallation={(source.parent / 'profile').as_uri()}"
    subprocess.run(
        [program, "--headless", profile, "--convert-to", target, "--outdir", str(folder), str(source)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder / f"{source.stem}.{target}"


@pytest.fixture
def word(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Story]:
    import docx

    path = make_docx(tmp_path, request.param).path
    document = docx.Document(str(path))
    document.add_paragraph("the end 结束")  # LibreOffice loses a table that ends a .doc
    document.save(str(path))
    return path, request.param


@needs_libreoffice
@pytest.mark.slow
@pytest.mark.parametrize("target", ["doc", "rtf", "odt"])
@pytest.mark.parametrize("word", STORIES, indirect=True, ids=lambda s: s.language)
def test_what_libreoffice_writes_of_a_text(word: tuple[Path, Story], target: str) -> None:
    path, story = word
    document = parse_file(convert(path, target))
    check_document(document)
    assert document.source_type == target and document.title == story.title and document.author == "Ada Sample"
    headings = [(e.level, e.text) for e in document.elements if e.kind == "heading"]
    assert headings == [(1, story.title), *((2, heading) for heading, _ in story.sections)]
    assert [e.text for e in document.elements if e.kind == "list"] == ["\n".join(f"- {i}" for i in story.items)]
    (table,) = (e.text for e in document.elements if e.kind == "table")
    assert all("| " + " | ".join(row) + " |" in table for row in story.table)
    for _, texts in story.sections:
        assert all(text in document.text for text in texts)


@needs_libreoffice
@pytest.mark.slow
@pytest.mark.parametrize("target", ["ppt", "odp"])
@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.language)
def test_what_libreoffice_writes_of_slides(tmp_path: Path, story: Story, target: str) -> None:
    sample = make_pptx(tmp_path, story)
    document = parse_file(convert(sample.path, target))
    check_document(document)
    assert document.source_type == target
    assert [e.text for e in document.elements if e.kind == "heading"] == list(sample.headings)
    assert [e.page for e in document.elements if e.kind == "table"] == [3]
    assert all(phrase in document.text for phrase in sample.phrases)


@needs_libreoffice
def test_old_workbooks_need_no_libreoffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = convert(make_xlsx(tmp_path, CHINESE).path, "xls")
    monkeypatch.setattr(libreoffice, "find_libreoffice", lambda: None)
    document = parse_here(old, Limits())
    assert document.source_type == "xls" and "北方折射镜" in document.text and not document.warnings[1:]


@needs_libreoffice
@pytest.mark.slow
def test_a_workbook_that_its_own_library_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = convert(make_xlsx(tmp_path, CHINESE).path, "xls")
    own = SpreadsheetParser.parse

    def fails_on_old(self: SpreadsheetParser, source: Path, limits: Limits) -> Document:
        if source.suffix == ".xls":
            raise ParseError(f"{source}: a damaged workbook")
        return own(self, source, limits)

    monkeypatch.setattr(SpreadsheetParser, "parse", fails_on_old)
    document = parse_here(old, Limits())
    assert document.source_type == "xls" and "北方折射镜" in document.text
    assert any("LibreOffice" in warning for warning in document.warnings)


@needs_libreoffice
@pytest.mark.slow
def test_a_conversion_that_takes_too_long_is_ended(
    word_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers, hanging = tmp_path / "workers", tmp_path / "hanging" / "soffice"
    workers.mkdir()
    hanging.parent.mkdir()
    # A fast machine converts within any limit that a slow one needs to start: this LibreOffice does not end by itself.
    hanging.write_text(f'#!/bin/sh\n"{find_libreoffice()}" "$@"\nsleep 600\n')
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", f"{hanging.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(tempfile, "tempdir", str(workers))
    with pytest.raises(LimitError, match="max_seconds"):
        Sandbox().parse(word_file, Limits(max_seconds=3))
    assert not list(workers.iterdir()) and not _running(str(workers))


@needs_libreoffice
@pytest.mark.slow
def test_a_damaged_file_is_an_error_that_names_it(word_file: Path) -> None:
    data = word_file.read_bytes()
    word_file.write_bytes(data[: len(data) // 3])
    with pytest.raises(ParseError, match=word_file.name):
        parse_file(word_file)


def test_without_libreoffice_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lunheng.testing.ole import compound_file

    path = tmp_path / "old.doc"
    path.write_bytes(compound_file({"WordDocument": b"\xec\xa5\xc1\x00" * 2000}))
    monkeypatch.setattr(libreoffice, "find_libreoffice", lambda: None)
    with pytest.raises(UnsupportedFormatError, match=r"install LibreOffice, or save the file as \.docx"):
        parse_here(path, Limits())


def test_a_message_with_an_old_office_file_attached_is_a_message(tmp_path: Path) -> None:
    path = make_msg(tmp_path, ENGLISH).path
    path.write_bytes(path.read_bytes() + "WordDocument".encode("utf-16-le"))
    assert parse_here(path, Limits()).source_type == "msg"


@pytest.fixture
def word_file(tmp_path: Path) -> Path:
    return convert(make_docx(tmp_path, ENGLISH).path, "doc")


def _running(mark: str) -> bool:
    """Whether a LibreOffice still runs on a folder of the sandbox."""
    processes = (p / "cmdline" for p in Path("/proc").iterdir() if p.name.isdecimal())
    for process in processes:
        try:
            line = process.read_bytes()
        except OSError:
            continue
        if b"soffice" in line and mark.encode() in line:
            return True
    return False
