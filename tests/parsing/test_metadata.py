"""Sidecars, front matter and file times."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lunheng.errors import ParseError
from lunheng.parsing import hash_file, is_sidecar, parse_file
from lunheng.testing.samples import CHINESE, make_docx


def test_front_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(
        "---\ntitle: '年假制度'\nauthor: [张三, Li Si]\ncollection: hr\nacl:\n  - group:staff\n  - user:ann\n"
        "date: 2026-03-01\npriority: 3\nratio: 0.5\ndraft: false\n# a comment\n---\n\n# 正文\n\n内容。\n",
        encoding="utf-8",
    )
    document = parse_file(path)
    assert (document.title, document.author, document.collection) == ("年假制度", "张三, Li Si", "hr")
    assert document.acl == ("group:staff", "user:ann")
    assert document.created_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert document.extra == {"priority": 3, "ratio": 0.5, "draft": False}
    assert document.text == "正文\n\n内容。"


def test_a_rule_is_not_front_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("text above\n\n---\n\nkey: value\n\n---\n\nbelow")
    assert "key: value" in parse_file(path).text


def test_sidecar(tmp_path: Path) -> None:
    path = make_docx(tmp_path, CHINESE).path
    plain, before = parse_file(path), hash_file(path)
    sidecar = path.with_name(path.name + ".meta.json")
    sidecar.write_text(
        json.dumps({"title": "新标题", "acl": "group:board", "部门": "天文", "year": 1907}), encoding="utf-8"
    )
    document = parse_file(path)
    assert (document.title, document.acl, document.extra) == (
        "新标题",
        ("group:board",),
        {"部门": "天文", "year": 1907},
    )
    assert document.text == plain.text and document.author == "Ada Sample"
    assert is_sidecar(sidecar) and not is_sidecar(path)
    # A changed sidecar is a changed document.
    assert hash_file(path) != before == plain.content_hash


@pytest.mark.parametrize(
    "content", ["{broken", "[1]", '{"acl": {"a": 1}}', '{"created_at": "yesterday"}', '{"acl": "bob"}']
)
def test_a_bad_sidecar_is_an_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    path.with_name("a.txt.meta.json").write_text(content)
    with pytest.raises(ParseError, match=r"a\.txt"):
        parse_file(path)


def test_file_times_fill_what_properties_do_not_give(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert parse_file(path).last_modified == datetime.fromtimestamp(1_700_000_000, UTC)


def test_properties_of_office_files(tmp_path: Path) -> None:
    import docx

    path = tmp_path / "a.docx"
    word = docx.Document()
    word.add_paragraph("text")
    word.core_properties.title, word.core_properties.author = "Document1", "王五"
    word.core_properties.created = datetime(2020, 5, 6, 7)
    word.save(str(path))
    document = parse_file(path)
    assert document.title == "a" and document.author == "王五"
    assert document.created_at == datetime(2020, 5, 6, 7, tzinfo=UTC)
