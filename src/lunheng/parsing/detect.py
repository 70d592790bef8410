"""The true type of a file, from its bytes; the name decides only among kinds of plain text.

Called by ``dispatch`` before a parser is chosen. Zip containers are told apart by their members,
OLE containers by their stream names.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.errors import EncryptedError, ParseError, UnsupportedFormatError
from lunheng.parsing.encoding import decode, guess_utf16

HEAD = 8192

CODE_SUFFIXES = frozenset(
    [
        "py",
        "pyi",
        "js",
        "jsx",
        "mjs",
        "ts",
        "tsx",
        "java",
        "kt",
        "scala",
        "go",
        "rs",
        "c",
        "h",
        "cc",
        "cpp",
        "cxx",
        "hpp",
        "cs",
        "rb",
        "php",
        "swift",
        "lua",
        "r",
        "jl",
        "m",
        "pl",
        "sh",
        "bash",
        "zsh",
        "ps1",
        "sql",
        "proto",
        "dockerfile",
        "makefile",
        "toml",
        "yaml",
        "yml",
        "ini",
        "cfg",
        "conf",
    ]
)
_TEXT_SUFFIXES = {
    "md": "md",
    "markdown": "md",
    "txt": "txt",
    "text": "txt",
    "log": "txt",
    "rst": "rst",
    "tex": "tex",
    "latex": "tex",
    "org": "org",
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "json": "json",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "html": "html",
    "htm": "html",
    "xhtml": "html",
    "ipynb": "ipynb",
    "eml": "eml",
    **{suffix: suffix for suffix in ("xml", "docbook", "jats", "tei", "fb2")},
    "dbk": "docbook",
    "nxml": "jats",
    "fodt": "odt",
    "fodp": "odp",
    **{suffix: suffix for suffix in CODE_SUFFIXES},
}
PICTURES = frozenset({"png", "jpeg", "tiff", "bmp", "gif", "webp"})
SUFFIXES = (
    frozenset(_TEXT_SUFFIXES)
    | PICTURES
    | frozenset(
        [
            "jpg",
            "tif",
            "pdf",
            "docx",
            "pptx",
            "xlsx",
            "xlsm",
            "xlsb",
            "xls",
            "ods",
            "odt",
            "odp",
            "epub",
            "zip",
            "rtf",
            "doc",
            "ppt",
            "msg",
        ]
    )
)
"""File name endings, without the dot, that a folder scan should offer to ``parse_file``."""

_BY_CONTENT = frozenset({"eml", "ipynb", "xml", "docbook", "jats", "tei", "fb2", "odt", "odp"})
"""What a name alone does not make a text."""

_ZIP_MEMBERS = (
    ("word/document.xml", "docx"),
    ("ppt/presentation.xml", "pptx"),
    ("xl/workbook.xml", "xlsx"),
    ("xl/workbook.bin", "xlsb"),
)
_ZIP_KINDS = (
    ("opendocument.spreadsheet", "ods"),
    ("opendocument.text", "odt"),
    ("opendocument.presentation", "odp"),
    ("epub", "epub"),
)
_OLE_STREAMS = (
    ("EncryptedPackage", "encrypted"),
    ("__properties_version1.0", "msg"),
    ("WordDocument", "doc"),
    ("PowerPoint Document", "ppt"),
    ("Workbook", "xls"),
    ("Book", "xls"),
)
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"\x1f\x8b", "gzip"),
    (b"7z\xbc\xaf'\x1c", "7z"),
    (b"Rar!", "rar"),
    (b"%!PS", "postscript"),
    (b"\x7fELF", "an ELF program"),
    (b"MZ", "a Windows program"),
    (b"SQLite format 3", "an SQLite database"),
)
_BITMAP_HEADERS = tuple(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))
_SAME = {
    "tif": "tiff",
    "xlsm": "xlsx",
    "xltx": "xlsx",
    "docm": "docx",
    "dotx": "docx",
    "pptm": "pptx",
    "htm": "html",
    "jpg": "jpeg",
}
_HTML_START = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,2000}?-->\s*)*<(?:!doctype\s+html|html|head|body)[\s>]", re.I | re.S
)
_XML_ROOT = re.compile(
    r"(<\?xml.{0,200}?\?>)?(?:\s|<!--.{0,4000}?-->|<\?.{0,500}?\?>|<!DOCTYPE[^>\[]{0,500}(?:\[.{0,4000}?\]\s*)?>)*"
    r"<(?:[\w.-]+:)?([a-zA-Z_][\w.-]*)(?:\s[^>]*)?/?>",
    re.S,
)
_MAIL_HEADERS = re.compile(r"\s*(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*){1,200}")
_MAIL_HEADER = re.compile(r"^([!-9;-~]+):", re.M)


@dataclass(frozen=True, slots=True)
class Detected:
    """A format and, where the name says otherwise, the warning."""

    format: str
    warning: str | None = None


def detect(source: Path) -> Detected:
    """Tell what ``source`` is.

    Raises:
        ParseError: if it is empty, cannot be read, or is a damaged container.
        EncryptedError: for an Office file locked with a password.
        UnsupportedFormatError: for a binary format that nothing here reads.
    """
    try:
        with source.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise ParseError(
            f"{source}: cannot be read ({error.strerror or error}); check its path and permissions"
        ) from error
    if not head:
        raise ParseError(f"{source}: the file is empty (0 bytes); remove it or save it again from its program")
    suffix = source.suffix.lower().lstrip(".") or source.name.lower()
    found = _binary_format(source, head) or _text_format(source, head, suffix)
    named = _TEXT_SUFFIXES.get(suffix, _SAME.get(suffix, suffix))
    known = suffix in SUFFIXES or suffix in _SAME
    if named == "xml" and found in _BY_CONTENT:
        named = found  # every dialect may be called just that
    if known and named != found:
        return Detected(found, f"it is named .{suffix} but holds {found}; parsed as {found}")
    return Detected(found)


def _binary_format(source: Path, head: bytes) -> str | None:
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{\\rtf"):
        return "rtf"
    if head.startswith(b"PK\x03\x04"):
        return _zip_format(source)
    if head.startswith(b"PK\x05\x06"):
        raise ParseError(f"{source}: an empty zip container; save the document again from its program")
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _ole_format(source)
    for magic, name in _MAGIC:
        if head.startswith(magic):
            if name in PICTURES:
                return name
            raise _unsupported(source, name)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    # BM begins many a text: a bitmap says its own size, or none, and where its pixels begin.
    if head.startswith(b"BM") and len(head) > 26 and head[6:10] == bytes(4) and head[14:18] in _BITMAP_HEADERS:
        return "bmp"
    return None


def _zip_format(source: Path) -> str:
    try:
        with zipfile.ZipFile(source) as archive:
            names = set(archive.namelist())
            kind = archive.read("mimetype")[:100].decode("ascii", "replace") if "mimetype" in names else ""
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise ParseError(
            f"{source}: a damaged or truncated zip container ({error}); fetch the file again or save it again"
        ) from error
    for member, name in _ZIP_MEMBERS:
        if member in names:
            return name
    for mark, name in _ZIP_KINDS:
        if mark in kind:
            return name
    if "META-INF/container.xml" in names:
        return "epub"
    if "Index/Document.iwa" in names:
        raise _unsupported(source, "an Apple iWork file")
    return "zip"


def _ole_format(source: Path) -> str:
    names = _ole_names(source)
    for stream, name in _OLE_STREAMS:
        if stream in names:
            if name == "encrypted":
                raise EncryptedError(f"{source}: the file is locked with a password; save it without one")
            return name
    raise _unsupported(source, "an OLE container")


def _ole_names(source: Path) -> set[str]:
    """The streams at the top of an OLE container; in a damaged one, the known names that occur anywhere."""
    import olefile

    known = {stream for stream, _ in _OLE_STREAMS}
    try:
        with olefile.OleFileIO(source) as container:
            found = {str(path[0]) for path in container.listdir(streams=True, storages=True)} & known
    except (OSError, ValueError, IndexError, TypeError, struct.error):
        found = set()
    if found:
        return found
    data = source.read_bytes()
    return {stream for stream in known if stream.encode("utf-16-le") in data}


def _text_format(source: Path, head: bytes, suffix: str) -> str:
    if suffix == "eml" and _is_mail(head.decode("latin-1"), "eml"):
        return "eml"  # whatever its body is: parts of it may be in any encoding, or in none
    marked = head.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"))
    if not marked and b"\x00" in head and not guess_utf16(head):
        raise _unsupported(source, "binary data")
    text, _, _ = decode(head, str(source))
    control = sum(c < " " and c not in "\t\n\r\f\x1b\x0b\x08" for c in text)
    if control > 0.02 * len(text) + 2 or text.count("\ufffd") > 0.1 * len(text) + 4:
        raise _unsupported(source, "binary data")
    named = _TEXT_SUFFIXES.get(suffix)
    if _HTML_START.match(text) and named != "md":
        return "html"
    if (dialect := _xml_format(source, text, named)) is not None:
        return dialect
    if suffix == "rtf" and text.lstrip().startswith("{\\"):
        return "rtf"  # a part of a file, as converters write it
    if _is_mail(text, named):
        return "eml"
    if (
        named in (None, "txt", "csv", "tsv", "html", "json", "ipynb")
        and (value := _json_value(source, text)) is not None
    ):
        return "ipynb" if isinstance(value, dict) and "nbformat" in value else "json"
    if named in _BY_CONTENT:
        return "txt"
    return named if named and (named != "html" or "<" in text) else "txt"


def _json_value(source: Path, start: str) -> dict[str, Any] | list[Any] | None:
    """The JSON object or array that the whole file is, or None (looked at only when it begins and is small like one)."""
    if not start.lstrip("\ufeff \t\r\n").startswith(("{", "[")) or source.stat().st_size > 50_000_000:
        return None
    try:
        value = json.loads(decode(source.read_bytes(), str(source))[0])
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def _xml_format(source: Path, start: str, named: str | None) -> str | None:
    """The dialect of a text in XML, None for another text."""
    root = _XML_ROOT.match(start.lstrip("\ufeff \t\r\n\f"))
    if root is None or not (start.lstrip("\ufeff \t\r\n").startswith("<?xml") or named in (None, *_BY_CONTENT)):
        return None
    name, head = root.group(2), root.group(0)
    if "opendocument" in head and name == "document":
        return "odp" if "opendocument.presentation" in head else "odt"
    if "docbook" in head.lower():
        return "docbook"
    if "NLM" in head or "JATS" in head or (name == "article" and "article-type" in head):
        return "jats"
    if name in ("FictionBook", "TEI", "TEI.2", "teiCorpus"):
        return "fb2" if name == "FictionBook" else "tei"
    if named in ("docbook", "jats", "tei", "fb2"):
        return named
    return "xml" if named == "xml" or root.group(1) or _ends_a_tag(source) else None


def _ends_a_tag(source: Path) -> bool:
    with source.open("rb") as file:
        file.seek(max(0, source.stat().st_size - 200))
        return bool(re.search(rb"(?:</[\w:.-]+|/)\s*>\s*$", file.read()))


def _is_mail(start: str, named: str | None) -> bool:
    """Whether a text begins with the headers of a mail; one that is not named so must have those that only mails have."""
    block = _MAIL_HEADERS.match(start)
    if block is None:
        return False
    found = {name.lower() for name in _MAIL_HEADER.findall(block.group(0))}
    if named == "eml":
        return bool(found & {"from", "to", "subject", "date", "received", "mime-version", "content-type", "message-id"})
    travelled = found & {"received", "message-id", "mime-version", "return-path"}
    return named in (None, "txt", "html") and {"from", "date"} <= found and bool(travelled)


def _unsupported(source: Path, name: str) -> UnsupportedFormatError:
    remedies = {
        "gzip": "unpack it and add its files",
    }
    remedy = remedies.get(name, "convert it to PDF, DOCX, HTML or text first")
    return UnsupportedFormatError(f"{source}: no parser reads {name}; {remedy}")
