"""Outlook messages: the same as a mail in MIME, kept as properties in an OLE container.

Called by ``dispatch`` for msg. Property numbers are those of [MS-OXPROPS], their places those of [MS-OXMSG].
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_string
from pathlib import Path
from typing import Any

from lunheng.errors import ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.eml import read_message
from lunheng.parsing.encoding import decode_leniently
from lunheng.parsing.mail import Mail, add_mail, set_properties
from lunheng.parsing.members import MAX_DEPTH, Allowance, new_allowance
from lunheng.types import Document, Limits

_SUBJECT, _HEADERS, _MESSAGE_ID = 0x0037, 0x007D, 0x1035
_SENDER_NAME, _SENDER_SMTP, _SENDER_ADDRESS = 0x0C1A, 0x5D01, 0x0C1F
_SUBMITTED, _DELIVERED = 0x0039, 0x0E06
_BODY, _RTF, _HTML = 0x1000, 0x1009, 0x1013
_CODE_PAGE, _INTERNET_CODE_PAGE = 0x3FFD, 0x3FDE
_NAME, _ADDRESS, _SMTP, _RECIPIENT_TYPE = 0x3001, 0x3003, 0x39FE, 0x0C15
_DATA, _LONG_FILE_NAME, _FILE_NAME = 0x3701, 0x3707, 0x3704
_CODE_PAGES = {936: "gb18030", 950: "big5hkscs", 65001: "utf-8", 20127: "utf-8", 28591: "cp1252", 54936: "gb18030"}


class MsgParser:
    """Reads msg."""

    def __init__(self, ocr: str = "auto", allowance: Allowance | None = None) -> None:
        self._ocr = ocr
        self._allowance = allowance

    def parse(self, source: Path, limits: Limits) -> Document:
        import olefile

        data = read_bytes(source, limits)
        builder = DocumentBuilder(source, "msg", data)
        try:
            with olefile.OleFileIO(data) as container:
                mail = _read_mail(_Storage(container, ()), 0)
        except (OSError, struct.error, IndexError, ValueError, TypeError) as error:
            raise ParseError(f"{source}: a damaged Outlook message ({error}); save it again in Outlook") from error
        set_properties(mail, builder)
        add_mail(mail, builder, 1, limits, self._allowance or new_allowance(limits, self._ocr))
        return builder.build()


class _Storage:
    """One object of the container: a message, a recipient or an attachment, and its properties."""

    def __init__(self, container: Any, path: tuple[str, ...]) -> None:
        self._container = container
        self._path = path
        self._streams: dict[str, str] = {}
        self.children: list[str] = []
        for entry in container.listdir(streams=True, storages=True):
            if tuple(entry[: len(path)]) == path and len(entry) == len(path) + 1:
                name = str(entry[-1])
                self._streams[name.lower()] = name
                self.children.append(name)
        header = 32 if not path else 24 if path[-1].lower().endswith("000d") else 8
        self._fixed: dict[int, bytes] = {}
        table = self._stream("__properties_version1.0") or b""
        for at in range(header, len(table) - 15, 16):
            self._fixed[struct.unpack_from("<H", table, at + 2)[0]] = table[at + 8 : at + 16]

    def inner(self, name: str) -> _Storage:
        return _Storage(self._container, (*self._path, name))

    def text(self, number: int) -> str:
        """A text property, "" where there is none."""
        wide = self._stream(f"__substg1.0_{number:04x}001f")
        if wide is not None:
            return wide.decode("utf-16-le", "replace").strip("\0")
        narrow = self._stream(f"__substg1.0_{number:04x}001e")
        if narrow is not None:
            page = self.number(_CODE_PAGE) or self.number(_INTERNET_CODE_PAGE)
            return _narrow_text(narrow.rstrip(b"\0"), page)
        return ""

    def binary(self, number: int) -> bytes | None:
        return self._stream(f"__substg1.0_{number:04x}0102")

    def number(self, number: int) -> int | None:
        value = self._fixed.get(number)
        return int(struct.unpack("<i", value[:4])[0]) if value is not None else None

    def moment(self, number: int) -> datetime | None:
        """A time, kept as tenths of microseconds since 1601."""
        value = self._fixed.get(number)
        if value is None or not any(value):
            return None
        try:
            return datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=struct.unpack("<Q", value)[0] // 10)
        except OverflowError:
            return None

    def _stream(self, name: str) -> bytes | None:
        found = self._streams.get(name)
        if found is None or self._container.get_type([*self._path, found]) != 2:  # 2: a stream
            return None
        data: bytes = self._container.openstream([*self._path, found]).read()
        return data


def _narrow_text(data: bytes, page: int | None) -> str:
    if page:
        try:
            return data.decode(_CODE_PAGES.get(page, f"cp{page}"))
        except (UnicodeDecodeError, LookupError):
            pass  # declared wrongly: the bytes decide
    return decode_leniently(data)


def _read_mail(storage: _Storage, depth: int) -> Mail:
    recipients = [storage.inner(n) for n in storage.children if n.lower().startswith("__recip_version1.0_")]
    people = [
        (r.number(_RECIPIENT_TYPE), _person(r.text(_NAME), r.text(_SMTP) or r.text(_ADDRESS))) for r in recipients
    ]
    sender = _person(storage.text(_SENDER_NAME), storage.text(_SENDER_SMTP) or storage.text(_SENDER_ADDRESS))
    date = storage.moment(_SUBMITTED) or storage.moment(_DELIVERED)
    if headers := storage.text(_HEADERS):
        travelled = read_message(message_from_string(headers))
        sender, date = sender or travelled.sender, date or travelled.date
        if not people:
            people = [*((1, p) for p in travelled.to), *((2, p) for p in travelled.cc)]
    return Mail(
        subject=" ".join(storage.text(_SUBJECT).split()),
        sender=sender,
        to=tuple(p for kind, p in people if kind in (1, None) and p),
        cc=tuple(p for kind, p in people if kind == 2 and p),
        date=date,
        message_id=storage.text(_MESSAGE_ID).strip("<>"),
        bodies=tuple(_bodies(storage)),
        attachments=tuple(_attachments(storage, depth)),
    )


def _person(name: str, address: str) -> str:
    """Name and address; one of an Exchange server (``/O=...``) says nothing to a reader."""
    address = address if "@" in address else ""
    return f"{name} <{address}>" if name and address and name != address else name or address


def _bodies(storage: _Storage) -> Iterator[tuple[str, str]]:
    """The body once, in its richest form that can be read."""
    page = storage.binary(_HTML)
    text = storage.text(_BODY)
    if page:
        known = _CODE_PAGES.get(storage.number(_INTERNET_CODE_PAGE) or 0)
        try:
            yield "html", page.decode(known or "utf-8")
        except UnicodeDecodeError:
            yield "html", decode_leniently(page)
    elif html := storage.text(_HTML):
        yield "html", html
    elif text.strip():
        yield "plain", text
    elif packed := storage.binary(_RTF):
        from compressed_rtf import decompress

        yield "rtf", decompress(packed).decode("latin-1")


def _attachments(storage: _Storage, depth: int) -> Iterator[tuple[str, bytes | Mail]]:
    for number, child in enumerate(n for n in storage.children if n.lower().startswith("__attach_version1.0_")):
        attachment = storage.inner(child)
        name = (
            attachment.text(_LONG_FILE_NAME)
            or attachment.text(_FILE_NAME)
            or attachment.text(_NAME)
            or f"attachment-{number + 1}"
        )
        inner = next((n for n in attachment.children if n.lower() == f"__substg1.0_{_DATA:04x}000d"), None)
        data = attachment.binary(_DATA)
        if data is not None:
            yield name, data
        elif inner is not None and depth < MAX_DEPTH:
            yield name, _read_mail(attachment.inner(inner), depth + 1)
        else:
            yield name, b""  # kept elsewhere, and named here only
