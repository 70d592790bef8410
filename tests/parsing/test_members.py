"""Files inside files: archives and mails, sound, odd and hostile."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import time
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest

from lunheng.errors import EncryptedError, LimitError, ParseError
from lunheng.parsing import parse_file
from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.members import MAX_DEPTH, MAX_WARNINGS, Allowance, safe_name, shown_name
from lunheng.parsing.sandbox import Sandbox
from lunheng.testing.samples import CHINESE, ENGLISH, make_docx, make_pdf
from lunheng.types import Document, Limits


def parse(path: Path, limits: Limits | None = None) -> Document:
    return parse_here(path, limits or Limits(), "off")


def headings(document: Document) -> list[tuple[int, str]]:
    return [(e.level, e.text) for e in document.elements if e.kind == "heading"]


def zipped(members: dict[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("gbk", ["合同/采购合同.txt", "合同/附件一.txt"]),
        ("big5", ["合約/採購合約書.txt", "說明文件.txt"]),
        ("utf-8", ["合同/采购合同.txt"]),
        ("cp437", ["café/résumé.txt"]),
    ],
)
def test_names_in_the_encodings_of_their_makers(tmp_path: Path, encoding: str, names: list[str]) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(rebuilt(names, encoding))
    document = parse(path)
    assert [text for _, text in headings(document)] == names
    assert not document.warnings


def rebuilt(names: list[str], encoding: str) -> bytes:
    """A zip whose names are raw bytes without the flag for UTF-8."""

    class Raw(zipfile.ZipInfo):
        def _encodeFilenameFlags(self) -> tuple[bytes, int]:
            return self.filename.encode(encoding), self.flag_bits & ~0x800

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(Raw(name), f"text of {name}")
    return out.getvalue()


def test_members_keep_their_structure(tmp_path: Path) -> None:
    pdf, word = make_pdf(tmp_path, ENGLISH).path, make_docx(tmp_path, CHINESE).path
    path = tmp_path / "both.zip"
    path.write_bytes(zipped({"a/one.pdf": pdf.read_bytes(), "two.docx": word.read_bytes(), ".hidden.txt": "no"}))
    document = parse(path)
    assert document.title == "both" and "no" not in document.text.split()
    pages = [e for e in document.elements if ENGLISH.sections[1][1][0] in e.text.replace("\n", " ")]
    assert pages[0].page == 2 and pages[0].bbox and pages[0].heading_path[0] == "a/one.pdf"
    assert (2, CHINESE.title) in headings(document) and (1, "two.docx") in headings(document)


def test_nested_archives_to_a_depth(tmp_path: Path) -> None:
    data: bytes | str = "the innermost text"
    for depth in range(MAX_DEPTH - 1):
        data = zipped({"inner.txt" if depth == 0 else f"{depth}.zip": data})
    path = tmp_path / "nested.zip"
    path.write_bytes(zipped({"deep.zip": data, "after.txt": "still read"}))
    document = parse(path)
    assert "the innermost text" in document.text and not document.warnings
    path.write_bytes(zipped({"more.zip": zipped({"deep.zip": data}), "after.txt": "still read"}))
    document = parse(path)
    assert "the innermost text" not in document.text and "still read" in document.text
    assert any("nested over" in w and "more.zip" in w for w in document.warnings)


def test_paths_that_escape_are_only_names(tmp_path: Path) -> None:
    names = ["../../escaped.txt", "/etc/absolute.txt", "C:\\\\windows.txt", "a/../../b.txt"]
    path = tmp_path / "slip.zip"
    path.write_bytes(zipped(dict.fromkeys(names, "content of a hostile member")))
    document = parse_file(path)
    assert [text for _, text in headings(document)] == ["escaped.txt", "etc/absolute.txt", "C:/windows.txt", "a/b.txt"]
    assert sum("leads out" in w for w in document.warnings) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["slip.zip"]
    assert not (tmp_path.parent / "escaped.txt").exists() and not Path("/etc/absolute.txt").exists()
    assert safe_name("../..") == "unnamed" and safe_name("-rf /..\\.bashrc") == "bashrc"
    assert shown_name("a\nb/./c") == "a b/c"


def test_one_bad_member_costs_a_warning(tmp_path: Path) -> None:
    data = bytearray(
        zipped({"good.txt": "good text", "locked.txt": "secret", "noise.bin": bytes(range(256)) * 9, "void.txt": ""})
    )
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature, data.find(signature) + 4)
        data[at + offset] |= 1
    path = tmp_path / "mixed.zip"
    path.write_bytes(bytes(data))
    document = parse(path)
    assert headings(document) == [(1, "good.txt")]
    reasons = {w.partition(":")[0]: w for w in document.warnings}
    assert "password" in reasons["locked.txt"] and "binary" in reasons["noise.bin"] and "empty" in reasons["void.txt"]
    assert not any("lunheng-" in w for w in document.warnings)


def test_a_locked_archive_says_so(tmp_path: Path) -> None:
    data = bytearray(zipped({"locked.txt": "secret"}))
    data[data.find(b"PK\x03\x04") + 6] |= 1
    data[data.find(b"PK\x01\x02") + 8] |= 1
    path = tmp_path / "locked.zip"
    path.write_bytes(bytes(data))
    with pytest.raises(EncryptedError, match=r"locked\.zip.*password"):
        parse(path)


def test_bombs_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(zipped({"bomb.txt": b" " * 50_000_000, "after.txt": "still read"}))
    document = parse_file(path)
    assert headings(document) == [(1, "after.txt")]
    assert any("bomb.txt" in w and "times its size" in w for w in document.warnings)
    with pytest.raises(LimitError, match="max_expanded_bytes"):
        parse(path, Limits(max_expanded_bytes=1_000_000))
    # Many archives, each within the limit, are not.
    path.write_bytes(zipped({f"{i}.zip": zipped({"a.txt": f"text {i} " * 10_000}) for i in range(30)}))
    document = parse(path, Limits(max_expanded_bytes=200_000))
    assert any("max_expanded_bytes" in w for w in document.warnings) and "text 0" in document.text


def test_a_thousand_bad_members(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    path.write_bytes(zipped({f"{i}.txt": "" for i in range(1000)}))
    assert len(parse(path).warnings) <= MAX_WARNINGS + 2


def test_no_members_outlive_a_killed_child(tmp_path: Path) -> None:
    sandbox = Sandbox()
    path = tmp_path / "slow.zip"
    path.write_bytes(zipped({"slow.txt": "word " * 10_000_000}))
    with pytest.raises(ParseError):
        sandbox.parse(path, Limits(max_seconds=1, max_expansion_ratio=1e9))
    sandbox.parse(make_docx(tmp_path, ENGLISH).path, Limits())
    folder = Path(sandbox._idle[0]._folder)
    assert folder.is_dir() and not list(folder.iterdir())
    sandbox.close()
    assert not folder.exists()


def test_a_child_without_a_parent_tidies_up(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    script = (
        "import os, signal, sys; from lunheng.parsing import parse_file; parse_file(sys.argv[1]); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    folder = tmp_path / "temporary"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", script, str(path)], env={**os.environ, "TMPDIR": str(folder)}, check=False)
    for _ in range(100):
        if not list(folder.iterdir()):
            return
        time.sleep(0.05)
    raise AssertionError("the child's folder is still there")


def test_mail_headers_of_chinese_mailers(tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    subject = base64.b64encode("关于年假".encode("gbk")).decode()
    path.write_bytes(
        (
            f"Subject: =?gb2312?B?{subject}?=\r\nFrom: =?UTF-8?B?5byg5LiJ?= <zhang@example.cn>\r\nTo: 李四 <li@example.cn>\r\n"
            "Date: Tue, 3 Mar 2026 08:00:00 +0800\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            "--b\r\nContent-Type: text/plain; charset=gb2312; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            "朱镕基批示如下，请各部门 \r\n遵照执行。\r\n\r\n谢谢！\r\n"
            "--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment;\r\n"
            " filename*=UTF-8''%E9%99%84%E4%BB%B6.txt\r\n\r\nattached text\r\n"
            '--b\r\nContent-Type: text/plain; name="表格.txt"\r\n\r\nattached table\r\n--b--\r\n'
        ).encode("gbk")
    )
    document = parse(path)
    assert document.title == "关于年假" and document.author == "张三 <zhang@example.cn>"
    assert document.extra["to"] == ["李四 <li@example.cn>"]
    assert document.created_at and document.created_at.isoformat() == "2026-03-03T00:00:00+00:00"
    assert "朱镕基批示如下，请各部门 遵照执行。" in document.text
    assert headings(document) == [(1, "关于年假"), (2, "附件.txt"), (2, "表格.txt")]


def test_a_mail_in_a_mail(tmp_path: Path) -> None:
    inner = EmailMessage()
    inner["Subject"], inner["From"] = "内部邮件 inner", "a@example.org"
    inner.set_content("the inner body")
    outer = EmailMessage()
    outer["Subject"], outer["From"] = "outer", "b@example.org"
    outer.set_content("the outer body")
    outer.add_attachment(inner)
    word = make_docx(tmp_path, CHINESE).path.read_bytes()
    outer.add_attachment(word, "application", "octet-stream", filename="报告.docx")
    outer.add_attachment(b"\x00\x01" * 99, "application", "octet-stream", filename="bad.bin")
    path = tmp_path / "m.eml"
    path.write_bytes(outer.as_bytes())
    document = parse(path)
    assert headings(document)[:3] == [(1, "outer"), (2, "内部邮件 inner.eml"), (3, "内部邮件 inner")]
    assert (3, CHINESE.title) in headings(document) and "the inner body" in document.text
    assert [w for w in document.warnings if w.startswith("bad.bin: no parser reads binary data")]


def test_a_mail_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text("From: a@b.org\nDate: Tue, 3 Mar 2026 08:00:00 +0800\nMessage-ID: <x@b.org>\n\nbody")
    document = parse(path)
    assert document.source_type == "eml" and any("named .txt" in w for w in document.warnings)
    path.write_text("From: the desk of\nSubject: notes\n\nNot a mail.")
    assert parse(path).source_type == "txt"


def test_a_mail_with_raw_bytes_is_a_mail(tmp_path: Path) -> None:
    path = tmp_path / "m.eml"
    head = b"From: a@b.org\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nthe body\n--b\n"
    path.write_bytes(head + b"Content-Type: application/x-thing\n\n" + bytes(range(256)) * 9 + b"\n--b--\n")
    document = parse(path)
    assert document.source_type == "eml" and "the body" in document.text and "binary" in document.warnings[0]


def test_a_mail_with_a_broken_attachment(tmp_path: Path) -> None:
    path = tmp_path / "m.eml"
    path.write_text(
        "From: a@b.org\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nbody\n--b\n"
        'Content-Type: text/plain\nContent-Disposition: attachment; filename="a.txt"\n'
        "Content-Transfer-Encoding: base64\n\naGVsbG8gdGhlcmU*x\n--b--\n"
    )
    assert "hello there" in parse(path).text


def test_notebook_outputs_are_marked(tmp_path: Path) -> None:
    output = {"output_type": "execute_result", "data": {"text/html": "<table><tr><td>甲</td><td>1</td></tr></table>"}}
    cells = [
        {"cell_type": "markdown", "source": ["# 标题\n", "\n", "正文"]},
        {"cell_type": "code", "source": "x = 1", "outputs": [{"output_type": "stream", "text": ["a\n", "b"]}, output]},
        {"cell_type": "code", "source": "1/0", "outputs": [{"output_type": "error", "ename": "E", "evalue": "zero"}]},
    ]
    path = tmp_path / "n.json"  # known by its content, whatever its name
    path.write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}), encoding="utf-8")
    document = parse(path)
    assert document.source_type == "ipynb" and document.title == "标题"
    assert [(e.kind, e.text, e.caption) for e in document.elements[2:]] == [
        ("code", "x = 1", None),
        ("code", "a\nb", "output"),
        ("table", "| 甲 | 1 |\n| --- | --- |", None),
        ("code", "1/0", None),
        ("code", "E: zero", "output"),
    ]


def test_members_share_the_time_of_their_file(tmp_path: Path) -> None:
    path = tmp_path / "slow.zip"
    path.write_bytes(zipped({f"{i}.txt": f"text {i}" for i in range(3)}))
    allowance = Allowance(10**9, ends=0.0)
    document = parse_here(path, Limits(), "off", allowance)
    assert not document.text and all("max_seconds" in w for w in document.warnings[:3])
