"""Writes a compound file ([MS-CFB] version 3), the container of Outlook messages, for the samples.

Called by ``samples_open``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

SECTOR, MINI = 512, 64
CUTOFF = 4096
"""Streams smaller than this are kept in the mini stream."""
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD

Tree = Mapping[str, Any]
"""Names to bytes (a stream) or to another tree (a storage)."""


def compound_file(tree: Tree) -> bytes:
    """The bytes of a compound file that holds ``tree``."""
    entries: list[dict[str, Any]] = [{"name": "Root Entry", "type": 5, "data": b""}]
    _collect(tree, entries, 0)
    mini = bytearray()
    mini_fat: list[int] = []
    for entry in entries[1:]:
        if entry["type"] == 2 and 0 < len(entry["data"]) < CUTOFF:
            entry["start"] = len(mini_fat)
            _chain(mini_fat, _count(len(entry["data"]), MINI))
            mini += entry["data"].ljust(_count(len(entry["data"]), MINI) * MINI, b"\0")
    entries[0]["data"] = bytes(mini)
    body = bytearray()
    fat: list[int] = []

    def place(data: bytes) -> int:
        if not data:
            return END
        start = len(fat)
        _chain(fat, _count(len(data), SECTOR))
        body.extend(data.ljust(_count(len(data), SECTOR) * SECTOR, b"\0"))
        return start

    for entry in entries:
        if entry["type"] == 5 or (entry["type"] == 2 and len(entry["data"]) >= CUTOFF):
            entry["start"] = place(entry["data"])
    mini_fat_start = place(struct.pack(f"<{len(mini_fat)}I", *mini_fat).ljust(SECTOR, b"\xff"))
    directory = b"".join(map(_entry, entries))
    directory_start = place(directory + _entry({"name": "", "type": 0}) * (-len(entries) % 4))
    fat_start, sectors = len(fat), 1
    while sectors * SECTOR // 4 < len(fat) + sectors:
        sectors += 1
    fat += [FAT] * sectors
    body += struct.pack(f"<{len(fat)}I", *fat).ljust(sectors * SECTOR, b"\xff")
    header = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6xII", 0x3E, 3, 0xFFFE, 9, 6, 0, sectors)
    )
    header += struct.pack(
        "<IIIIIII", directory_start, 0, CUTOFF, mini_fat_start, _count(len(mini_fat) * 4, SECTOR), END, 0
    )
    header += struct.pack(f"<{sectors}I", *range(fat_start, fat_start + sectors)).ljust(436, b"\xff")
    return header + bytes(body)


def _collect(tree: Tree, entries: list[dict[str, Any]], parent: int) -> None:
    """Add the children of a storage, each the right-hand sibling of the one before."""
    before: dict[str, Any] | None = None
    for name, content in tree.items():
        number = len(entries)
        is_stream = isinstance(content, bytes)
        entry: dict[str, Any] = {"name": name, "type": 2 if is_stream else 1, "data": content if is_stream else b""}
        entries.append(entry)
        (entries[parent] if before is None else before)["child" if before is None else "right"] = number
        before = entry
        if not is_stream:
            _collect(content, entries, number)


def _chain(table: list[int], count: int) -> None:
    start = len(table)
    table.extend(range(start + 1, start + count))
    table.append(END)


def _count(size: int, unit: int) -> int:
    return -(-size // unit)


def _entry(entry: Mapping[str, Any]) -> bytes:
    name = entry["name"].encode("utf-16-le") + b"\0\0" if entry["name"] else b""
    links = (FREE, entry.get("right", FREE), entry.get("child", FREE))
    head = name.ljust(64, b"\0") + struct.pack("<HBB", len(name), entry["type"], 1) + struct.pack("<III", *links)
    return head + bytes(36) + struct.pack("<IQ", entry.get("start", 0), len(entry.get("data", b"")))
