"""Hostile and broken files cost an error each, and nothing else."""

from __future__ import annotations

import io
import os
import threading
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lunheng.errors import EncryptedError, LimitError, ParseError, UnsupportedFormatError
from lunheng.parsing import parse_file
from lunheng.parsing.sandbox import Sandbox
from lunheng.testing.samples import ENGLISH, make_docx, make_html, make_pdf, make_xlsx
from lunheng.types import Limits


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


def flate_bomb_pdf(size: int) -> bytes:
    """A one-page PDF whose content stream unpacks to ``size`` bytes of drawing."""
    stream = zlib.compress(b"BT /F1 1 Tf (a) Tj ET\n" * (size // 22), 9)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d/Filter/FlateDecode>>stream\n" % len(stream) + stream + b"\nendstream",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out = io.BytesIO(b"%PDF-1.4\n")
    out.seek(0, 2)
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj" % number + body + b"\nendobj\n")
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, table))
    return out.getvalue()


def zip_bomb(path: Path, like: Path, member: str, size: int) -> None:
    """A copy of ``like`` whose ``member`` is replaced by ``size`` bytes of nothing much."""
    with zipfile.ZipFile(like) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            if name != member:
                target.writestr(name, source.read(name))
        with target.open(member, "w") as file:
            file.write(source.read(member)[:-1])
            for _ in range(size // (1 << 20)):
                file.write(b" " * (1 << 20))


def test_flate_bomb_pdf_is_bounded(tmp_path: Path, sandbox: Sandbox) -> None:
    path = tmp_path / "bomb.pdf"
    path.write_bytes(flate_bomb_pdf(200_000_000))
    assert path.stat().st_size < 2_000_000
    with pytest.raises(ParseError, match=r"bomb\.pdf"):
        sandbox.parse(path, Limits(max_seconds=8, max_memory_bytes=700_000_000))


@pytest.mark.parametrize(
    ("make", "member"), [(make_docx, "word/document.xml"), (make_xlsx, "xl/worksheets/sheet1.xml")]
)
def test_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, make: object, member: str) -> None:
    sound = make(tmp_path, ENGLISH).path  # type: ignore[operator]
    bomb = tmp_path / f"bomb{sound.suffix}"
    zip_bomb(bomb, sound, member, 100_000_000)
    with pytest.raises(LimitError, match="times its size"):
        parse_file(bomb)


def test_total_size_is_bounded(tmp_path: Path, sandbox: Sandbox) -> None:
    path = make_docx(tmp_path, ENGLISH).path
    with pytest.raises(LimitError, match="max_expanded_bytes"):
        sandbox.parse(path, Limits(max_expanded_bytes=1000))


def test_far_cell_does_not_end_the_process(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = 1, 2
    path = tmp_path / "far.xlsx"
    book.save(path)
    with pytest.raises(LimitError, match="max_cells"):
        parse_file(path)


def test_deeply_nested_html_comes_back(tmp_path: Path, sandbox: Sandbox) -> None:
    path = tmp_path / "deep.html"
    path.write_text("<!DOCTYPE html><body>" + "<div>" * 200_000 + "the bottom" + "</div>" * 200_000 + "<p>after</p>")
    document = sandbox.parse(path, Limits(max_seconds=20))
    assert "the bottom" in document.text and "after" in document.text
    assert any("nested" in warning for warning in document.warnings)


def test_deeply_nested_json_is_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ParseError, match=r"deep\.json"):
        parse_file(path)


def test_pages_and_bytes(tmp_path: Path, sandbox: Sandbox) -> None:
    path = make_pdf(tmp_path, ENGLISH).path
    with pytest.raises(LimitError, match="max_pages"):
        sandbox.parse(path, Limits(max_pages=1))
    with pytest.raises(LimitError, match="max_bytes"):
        sandbox.parse(path, Limits(max_bytes=100))


def test_a_slow_parse_is_ended(tmp_path: Path, sandbox: Sandbox) -> None:
    path = tmp_path / "slow.txt"
    path.write_text("word " * 20_000_000)
    with pytest.raises(LimitError, match="max_seconds"):
        sandbox.parse(path, Limits(max_seconds=0.01))
    small = make_html(tmp_path, ENGLISH).path
    assert sandbox.parse(small, Limits()).title == ENGLISH.title


def test_memory_is_bounded(tmp_path: Path, sandbox: Sandbox) -> None:
    path = tmp_path / "large.txt"
    path.write_text("\n\n".join(f"paragraph {i} of a large text" for i in range(1_000_000)))
    with pytest.raises(LimitError, match="memory"):
        sandbox.parse(path, Limits(max_memory_bytes=120_000_000))


def test_a_dead_worker_costs_one_document(tmp_path: Path, sandbox: Sandbox) -> None:
    path = make_html(tmp_path, ENGLISH).path
    sandbox.parse(path, Limits())
    os.kill(sandbox._idle[0]._process.pid, 9)
    sandbox._idle[0]._process.wait()
    assert sandbox.parse(path, Limits()).title == ENGLISH.title


def test_workers_are_reused_and_threads_have_their_own(tmp_path: Path, sandbox: Sandbox) -> None:
    path = make_html(tmp_path, ENGLISH).path
    before = set(threading.enumerate())
    sandbox.parse(path, Limits())
    first = sandbox._idle[0]
    sandbox.parse(path, Limits())
    assert sandbox._idle == [first]
    with ThreadPoolExecutor(3) as pool:
        documents = list(pool.map(lambda _: sandbox.parse(path, Limits()), range(12)))
    assert len(set(map(id, documents))) == 12 and all(d == documents[0] for d in documents)
    added = set(threading.enumerate()) - before
    assert [thread.name for thread in added] == ["lunheng-parse-clock"]
    sandbox.close()
    for thread in added:
        thread.join(5)
        assert not thread.is_alive()
    assert sandbox.parse(path, Limits()).title == ENGLISH.title  # a closed pool begins anew


def test_a_file_in_the_working_directory_is_no_module(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_docx(tmp_path, ENGLISH).path
    (tmp_path / "docx.py").write_text("raise SystemExit('ran a file of the folder')")
    (tmp_path / "lunheng.py").write_text("raise SystemExit('ran a file of the folder')")
    monkeypatch.chdir(tmp_path)
    assert sandbox.parse(path, Limits()).title == ENGLISH.title


def test_encrypted_files_say_so(tmp_path: Path) -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 1000 + "EncryptedPackage".encode("utf-16-le") + b"\x00" * 500
    locked = tmp_path / "locked.docx"
    locked.write_bytes(ole)
    with pytest.raises(EncryptedError, match="password"):
        parse_file(locked)


def test_encrypted_pdf(tmp_path: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    path = tmp_path / "locked.pdf"
    canvas = Canvas(str(path), encrypt="secret")
    canvas.drawString(100, 100, "hello")
    canvas.save()
    with pytest.raises(EncryptedError, match="password"):
        parse_file(path)


@pytest.mark.parametrize("name", ["empty.pdf", "empty.docx", "empty.txt", "empty.md"])
def test_empty_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    with pytest.raises(ParseError, match=r"0 bytes"):
        parse_file(path)


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="cannot be read"):
        parse_file(tmp_path / "missing.pdf")
    noise = tmp_path / "noise.txt"
    noise.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(UnsupportedFormatError):
        parse_file(noise)
    old = tmp_path / "old.doc"
    old.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le") * 20)
    with pytest.raises(ParseError, match=r"old\.doc"):
        parse_file(old)


def test_external_entities_are_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret of the file system")
    sound = make_docx(tmp_path, ENGLISH).path
    hostile = tmp_path / "entity.docx"
    with zipfile.ZipFile(sound) as source, zipfile.ZipFile(hostile, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "word/document.xml":
                start = data.index(b"?>") + 2
                entity = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}">]>'.encode()
                data = data[:start] + entity + data[start:].replace(b"Visiting hours", b"Visiting &e;", 1)
            target.writestr(name, data)
    try:
        document = parse_file(hostile)
    except ParseError:
        return
    assert "secret of the file system" not in document.text
