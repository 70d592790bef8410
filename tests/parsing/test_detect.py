"""The type is read from the bytes; names decide only among kinds of text."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.errors import ParseError, UnsupportedFormatError
from lunheng.parsing.detect import SUFFIXES, detect
from lunheng.parsing.dispatch import PARSERS, find_parser
from lunheng.protocols import Parser
from lunheng.testing.samples import ENGLISH, MAKERS


@pytest.mark.parametrize("format_name", MAKERS)
def test_each_format_is_known(format_name: str, tmp_path: Path) -> None:
    found = detect(MAKERS[format_name](tmp_path, ENGLISH).path)
    assert found.format == format_name and found.warning is None


@pytest.mark.parametrize("format_name", ["pdf", "docx", "pptx", "xlsx", "html", "json"])
def test_a_wrong_name_is_seen_through(format_name: str, tmp_path: Path) -> None:
    wrong = MAKERS[format_name](tmp_path, ENGLISH).path.rename(tmp_path / "wrong.txt")
    found = detect(wrong)
    assert found.format == format_name
    assert found.warning and "wrong" not in found.warning and ".txt" in found.warning


def test_text_named_as_a_container(tmp_path: Path) -> None:
    path = tmp_path / "notes.docx"
    path.write_text("just some notes")
    assert detect(path).format == "txt"
    assert "named .docx" in (detect(path).warning or "")


@pytest.mark.parametrize(
    "data",
    [
        b"7z\xbc\xaf'\x1c" + b"\0" * 100,
        b"\x7fELF" + b"\0" * 100,
        bytes(range(256)) * 4,
        b"Rar!\x1a\x07" + b"\1" * 50,
    ],
)
def test_binary_data_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "thing.md"
    path.write_bytes(data)
    with pytest.raises(UnsupportedFormatError, match=r"thing\.md"):
        detect(path)


def test_broken_zip(tmp_path: Path) -> None:
    path = tmp_path / "broken.docx"
    path.write_bytes(b"PK\x03\x04" + b"\x01" * 400)
    with pytest.raises(ParseError, match="truncated"):
        detect(path)


def test_markdown_that_begins_with_a_tag_is_markdown(tmp_path: Path) -> None:
    path = tmp_path / "readme.md"
    path.write_text("<html>\n\n# Title")
    assert detect(path).format == "md"


def test_every_format_has_a_parser() -> None:
    for name in PARSERS:
        assert isinstance(find_parser(name), Parser)
    assert set(PARSERS) <= SUFFIXES | {"xlsb"}
