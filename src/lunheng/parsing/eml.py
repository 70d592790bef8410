"""Mails as they travel (RFC 5322 and MIME): headers, body, attachments.

Called by ``dispatch`` for eml. Headers and bodies of Chinese mailers are read as they are, not as they should
be: GB 2312 declared and GBK meant, raw bytes where encoded words belong.
"""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Iterator
from datetime import datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from pathlib import Path

from lunheng.errors import ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.encoding import decode_leniently
from lunheng.parsing.mail import Mail, add_mail, set_properties
from lunheng.parsing.members import Allowance, new_allowance
from lunheng.types import Document, Limits

_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "gb_2312-80": "gb18030", "big5": "big5hkscs", "us-ascii": "utf-8"}
_SIGNATURES = frozenset({"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"})
MAX_HEADER = 100_000
"""Characters of a header that are read: decoding takes the square of their number."""
_SOFT_BREAK = re.compile(r"(?<! ) \n(?!>|-- \n)")


class EmlParser:
    """Reads eml."""

    def __init__(self, ocr: str = "auto", allowance: Allowance | None = None) -> None:
        self._ocr = ocr
        self._allowance = allowance

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        message: Message = message_from_bytes(data.lstrip(b"\xef\xbb\xbf \t\r\n"))
        if not message.keys():
            raise ParseError(f"{source}: no mail headers were found in it; save it again from its mail program")
        builder = DocumentBuilder(source, "eml", data)
        mail = read_message(message)
        set_properties(mail, builder)
        add_mail(mail, builder, 1, limits, self._allowance or new_allowance(limits, self._ocr))
        return builder.build()


def read_message(message: Message) -> Mail:
    """Everything that the document shows of a message."""
    bodies: list[tuple[str, str]] = []
    attachments: list[tuple[str, bytes | Mail]] = []
    for part in _leaves(message):
        kind = part.get_content_type()
        if kind in ("text/html", "text/plain") and not _is_attachment(part):
            text = _text(part)
            if kind == "text/plain" and str(part.get_param("format", "")).lower() == "flowed":
                text = _SOFT_BREAK.sub(" ", text.replace("\r\n", "\n"))
            bodies.append((kind[5:], text))
        elif kind not in _SIGNATURES:
            attachments.append((_name(part, len(attachments) + 1), _content(part)))
    return Mail(
        subject=_header(message, "subject"),
        sender=next(iter(_addresses(message, "from")), ""),
        to=_addresses(message, "to"),
        cc=_addresses(message, "cc"),
        date=_date(_header(message, "date")),
        message_id=_header(message, "message-id").strip("<>"),
        bodies=tuple(bodies),
        attachments=tuple(attachments),
    )


def _leaves(part: Message) -> Iterator[Message]:
    """The parts that hold something; of alternatives the richest that can be read."""
    if part.get_content_maintype() != "multipart" or not part.is_multipart():
        yield part
        return
    inner = [p for p in _inner(part) if isinstance(p, Message)]
    if part.get_content_type() == "multipart/alternative":
        kinds = [{leaf.get_content_type() for leaf in _leaves(p)} for p in inner]
        for wanted in ("text/html", "text/plain"):
            for candidate, held in zip(reversed(inner), reversed(kinds), strict=True):
                if wanted in held:
                    yield from _leaves(candidate)
                    return
    for p in inner:
        yield from _leaves(p)


def _inner(part: Message) -> list[object]:
    payload = part.get_payload()
    return list(payload) if isinstance(payload, list) else []


def _is_attachment(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(_file_name(part))


def _content(part: Message) -> bytes:
    if part.get_content_type() == "message/rfc822" and (inner := _inner(part)) and isinstance(inner[0], Message):
        return inner[0].as_bytes()
    if str(part.get("content-transfer-encoding", "")).strip().lower() == "base64":
        # The library gives a broken coding back as it stands; what comes before the break can be read.
        letters = re.sub(r"[^A-Za-z0-9+/]", "", str(part.get_payload()))
        return base64.b64decode(letters[: len(letters) - (len(letters) % 4 == 1)] + "==")
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: Message) -> str:
    data = _content(part)
    return _decoded(data, part.get_content_charset()) if data else ""


def _decoded(data: bytes, charset: str | None) -> str:
    charset = (charset or "utf-8").lower()
    try:
        return data.decode(_SUPERSETS.get(charset, charset))
    except (UnicodeDecodeError, LookupError):
        return decode_leniently(data)  # declared wrongly or not at all: the bytes decide


def _name(part: Message, number: int) -> str:
    if name := _file_name(part):
        return name
    if part.get_content_type() == "message/rfc822" and (inner := _inner(part)) and isinstance(inner[0], Message):
        return f"{_header(inner[0], 'subject') or f'attachment-{number}'}.eml"
    return f"attachment-{number}{mimetypes.guess_extension(part.get_content_type()) or ''}"


def _file_name(part: Message) -> str:
    """The file name of RFC 2231, of encoded words, or of raw bytes, in this order of virtue."""
    clean = Message()
    for name in ("content-type", "content-disposition"):
        if value := _raw(part, name):
            clean[name] = value
    return " ".join(_words(clean.get_filename() or "").split())


def _header(message: Message, name: str) -> str:
    return " ".join(_words(_raw(message, name)).split())


def _raw(message: Message, name: str) -> str:
    """A header as written; bytes beyond ASCII, which have no place there, are decoded as they look."""
    value = next((str(v)[:MAX_HEADER] for k, v in message.raw_items() if k.lower() == name), "")
    data = value.encode("utf-8", "surrogateescape")
    return value if data.isascii() else decode_leniently(data)


def _words(value: str) -> str:
    """Decode the encoded words of RFC 2047."""
    try:
        parts = decode_header(value)
    except (HeaderParseError, ValueError):
        return value
    return "".join(part if isinstance(part, str) else _decoded(part, charset) for part, charset in parts)


def _addresses(message: Message, name: str) -> tuple[str, ...]:
    found = []
    for words, address in getaddresses([_raw(message, name)]):
        shown = " ".join(_words(words).split())
        found.append(f"{shown} <{address}>" if shown and address and shown != address else shown or address)
    return tuple(entry for entry in found if entry)


def _date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value) if value else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
