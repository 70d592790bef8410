"""Zip archives: each member read by its own parser, under a heading with the member's path.

Called by ``dispatch`` for zip. What is not a document of its own (folders, hidden files, the resource
forks that macOS adds) is left out, as in a scan of a folder. A member that is broken, locked or of no
known format costs a warning.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from lunheng.errors import EncryptedError, LimitError, ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.encoding import chinese_encoding
from lunheng.parsing.members import MAX_MEMBERS, Allowance, add_member, new_allowance, shown_name
from lunheng.parsing.metadata import is_sidecar
from lunheng.parsing.zipscan import RATIO_FLOOR
from lunheng.types import Document, Limits

_UTF8_FLAG = 0x800
_UNICODE_PATH = 0x7075
"""Info-ZIP's extra field with the name in UTF-8 (APPNOTE 4.6.9)."""


class ZipParser:
    """Reads zip archives."""

    def __init__(self, ocr: str = "auto", allowance: Allowance | None = None) -> None:
        self._ocr = ocr
        self._allowance = allowance

    def parse(self, source: Path, limits: Limits) -> Document:
        builder = DocumentBuilder(source, "zip", read_bytes(source, limits))
        builder.title = source.stem
        allowance = self._allowance or new_allowance(limits, self._ocr)
        try:
            archive = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise ParseError(f"{source}: a damaged or truncated zip archive ({error}); fetch it again") from error
        with archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            _check(members, source, limits)
            if members and all(m.flag_bits & 1 for m in members):
                raise EncryptedError(f"{source}: the archive is locked with a password; unpack it and add its files")
            names = member_names(members)
            for member, name in zip(members, names, strict=True):
                if allowance.members_left <= 0:
                    builder.warn(
                        f"over {MAX_MEMBERS:,} files in it and in the archives inside it: the rest is left out"
                    )
                    break
                if _is_document(name):
                    self._add(archive, member, name, builder, limits, allowance)
                elif is_sidecar(name):
                    builder.warn(f"{shown_name(name)}: metadata beside a file inside an archive is not read")
        return builder.build()

    def _add(
        self,
        archive: zipfile.ZipFile,
        member: zipfile.ZipInfo,
        name: str,
        builder: DocumentBuilder,
        limits: Limits,
        allowance: Allowance,
    ) -> None:
        shown = shown_name(name)
        if member.flag_bits & 1:
            builder.warn(f"{shown}: left out, it is locked with a password; save it without one")
            return
        ratio = member.file_size / max(member.compress_size, 1)
        if member.file_size > RATIO_FLOOR and ratio > limits.max_expansion_ratio:
            builder.warn(
                f"{shown}: left out, it unpacks to {ratio:.0f} times its size, over the limit of "
                f"{limits.max_expansion_ratio:.0f} (parsing.max_expansion_ratio)"
            )
            return
        if member.file_size > limits.max_bytes:
            builder.warn(f"{shown}: left out, {member.file_size:,} bytes is over the limit (parsing.max_bytes)")
            return
        try:
            data = archive.read(member)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError) as error:
            builder.warn(f"{shown}: left out, it is damaged ({error})")
            return
        except (NotImplementedError, RuntimeError) as error:
            builder.warn(f"{shown}: left out, it is packed in a way that is not supported ({error})")
            return
        if _leaves(name):
            builder.warn(f"{shown}: its path leads out of the archive; only its content was read")
        add_member(builder, name, data, 1, limits, allowance)


def member_names(members: Iterable[zipfile.ZipInfo]) -> list[str]:
    """The members' names as their author saw them.

    A zip says of each name that it is UTF-8, or nothing; then it may be UTF-8 all the same (macOS), GBK or Big5
    (Windows in Chinese) or code page 437, and the names of one archive are judged together, being short.
    """
    raw = [None if m.flag_bits & _UTF8_FLAG else m.orig_filename.encode("cp437", "replace") for m in members]
    joined = b"\n".join(name for name in raw if name is not None)
    try:
        joined.decode("utf-8")
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = chinese_encoding(joined) or "cp437"
    names = []
    for member, name in zip(members, raw, strict=True):
        if name is None:
            names.append(member.orig_filename)
        else:
            names.append(_unicode_path(member.extra, name) or name.decode(encoding, "replace"))
    return names


def _unicode_path(extra: bytes, name: bytes) -> str | None:
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(field) > 5 and struct.unpack("<I", field[1:5])[0] == zlib.crc32(name):
            return field[5:].decode("utf-8", "replace")
    return None


def _check(members: list[zipfile.ZipInfo], source: Path, limits: Limits) -> None:
    total = sum(m.file_size for m in members)
    if len(members) > MAX_MEMBERS:
        raise LimitError(
            f"{source}: {len(members):,} members, over the limit of {MAX_MEMBERS:,}; unpack it and add its folder"
        )
    if total > limits.max_expanded_bytes:
        raise LimitError(
            f"{source}: unpacks to {total:,} bytes, over the limit of {limits.max_expanded_bytes:,}; "
            "if you trust it, raise parsing.max_expanded_bytes"
        )


def _is_document(name: str) -> bool:
    parts = shown_name(name).split("/")
    hidden = any(part.startswith(".") for part in parts) or parts[0] == "__MACOSX"
    return not hidden and not is_sidecar(name) and parts[-1].lower() not in ("thumbs.db", "desktop.ini")


def _leaves(name: str) -> bool:
    return name.startswith(("/", "\\")) or name[1:3] in (":\\", ":/") or ".." in name.replace("\\", "/").split("/")
