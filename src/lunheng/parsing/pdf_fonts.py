"""A font for Chinese, Japanese and Korean text whose own font is neither in the PDF nor on this machine.

Called by ``pdf`` before its first file. pdfium takes the boxes of such characters from a font of the system. Without
one it has no heights, puts lines in disorder, and drops what is drawn sideways, so that what a file says would depend
on the fonts of the machine. The font made here (TrueType, ISO/IEC 14496-22) has two glyphs without ink, one as wide as
a Chinese character and one for the narrow letters; where characters stand is still what the file's own widths say.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from typing import Any

from lunheng.parsing.pdf_glyphs import FIRST_CJK

UNITS_PER_EM = 1000
ASCENT, DESCENT = 740, -120
WIDE, NARROW = 920, 240
"""The breadth of the two boxes: within the advance of any Chinese character, and of most letters."""
_HANDLE = 0x0B0C
"""What pdfium knows the font by; no pointer has this value."""
_CHARSETS = (128, 129, 134, 136)
"""Shift JIS, Hangul, GB2312, Big5 as Windows numbers them."""


@functools.cache
def install_blank_font() -> tuple[Any, ...]:
    """Have pdfium fall back on the blank font, in this process. Gives the callbacks, which must be kept alive."""
    import pypdfium2.raw as pdfium

    font = blank_font()
    info = pdfium.FPDF_GetDefaultSystemFontInfo()
    types = dict(pdfium.FPDF_SYSFONTINFO._fields_)
    # A field of a ctypes structure is a view: the address itself must be copied before it is replaced.
    own = {
        name: types[name](ctypes.cast(getattr(info.contents, name), ctypes.c_void_p).value)
        for name in ("MapFont", "GetFontData", "GetFaceName", "GetFontCharset", "DeleteFont")
    }

    def map_font(this: Any, weight: int, italic: int, charset: int, pitch: int, face: Any, exact: Any) -> Any:
        found = own["MapFont"](this, weight, italic, charset, pitch, face, exact)
        return _HANDLE if not found and charset in _CHARSETS else found

    def font_data(this: Any, handle: int, table: int, buffer: Any, size: int) -> int:
        if handle != _HANDLE:
            return int(own["GetFontData"](this, handle, table, buffer, size))
        if table:
            return 0  # one table of it, or the header of a collection, which it is not
        if size >= len(font):
            ctypes.memmove(buffer, font, len(font))
        return len(font)

    def face_name(this: Any, handle: int, buffer: Any, size: int) -> int:
        return 0 if handle == _HANDLE else int(own["GetFaceName"](this, handle, buffer, size))

    def font_charset(this: Any, handle: int) -> int:
        return 134 if handle == _HANDLE else int(own["GetFontCharset"](this, handle))

    def delete_font(this: Any, handle: int) -> None:
        if handle != _HANDLE:
            own["DeleteFont"](this, handle)

    made = {
        "MapFont": map_font,
        "GetFontData": font_data,
        "GetFaceName": face_name,
        "GetFontCharset": font_charset,
        "DeleteFont": delete_font,
    }
    kept = {name: types[name](function) for name, function in made.items()}
    for name, callback in kept.items():
        setattr(info.contents, name, callback)
    pdfium.FPDF_SetSystemFontInfo(info)
    return (info, *own.values(), *kept.values())


def blank_font() -> bytes:
    """The TrueType file: some 600 bytes."""
    glyphs = [b"", _glyph(NARROW), _glyph(WIDE)]
    offsets = [0]
    for glyph in glyphs:
        offsets.append(offsets[-1] + len(glyph))
    # Format 13: every character of a range has the same glyph.
    ranges = ((0x20, FIRST_CJK - 1, 1), (FIRST_CJK, 0x10FFFF, 2))
    mapping = struct.pack(">HHLLL", 13, 0, 16 + 12 * len(ranges), 0, len(ranges))
    mapping += b"".join(struct.pack(">LLL", *r) for r in ranges)
    box = (0, DESCENT, WIDE, ASCENT)
    tables = {
        b"OS/2": struct.pack(">HhHHH11h10s4L4s3H3h2H2L", 3, UNITS_PER_EM, 400, 5, 0, *[0] * 11, bytes(10), 0, 0, 0, 0,
                             b"NONE", 0x40, 0x20, 0xFFFF, ASCENT, DESCENT, 0, ASCENT, -DESCENT, 1 << 18, 0),
        b"cmap": struct.pack(">4HL", 0, 1, 3, 10, 12) + mapping,
        b"glyf": b"".join(glyphs),
        b"head": struct.pack(">4L2H2Q4h2H3h", 0x10000, 0x10000, 0, 0x5F0F3CF5, 0, UNITS_PER_EM, 0, 0, *box, 0, 8, 2, 1, 0),
        b"hhea": struct.pack(">L3hH11hH", 0x10000, ASCENT, DESCENT, 0, UNITS_PER_EM, *[0] * 11, len(glyphs)),
        b"hmtx": struct.pack(">6H", UNITS_PER_EM, 0, UNITS_PER_EM // 4, 0, UNITS_PER_EM, 0),
        b"loca": struct.pack(f">{len(offsets)}L", *offsets),
        b"maxp": struct.pack(">L14H", 0x10000, len(glyphs), 2, 1, 0, 0, 1, *[0] * 8),
        b"name": _name("Blank"),
        b"post": struct.pack(">2L2h5L", 0x30000, 0, 0, 0, 0, 0, 0, 0, 0),
    }  # fmt: skip
    header = struct.pack(">L4H", 0x10000, len(tables), 128, 3, 16 * len(tables) - 128)
    start, body = len(header) + 16 * len(tables), b""
    for tag, table in tables.items():
        header += tag + struct.pack(">3L", 0, start + len(body), len(table))
        body += table + bytes(-len(table) % 4)
    return header + body


def _glyph(breadth: int) -> bytes:
    """A line across the box and back: it has the box's bounds and no area to be filled."""
    points = struct.pack(">2H2B4h", 1, 0, 1, 1, 0, breadth, DESCENT, ASCENT - DESCENT)
    glyph = struct.pack(">5h", 1, 0, DESCENT, breadth, ASCENT) + points
    return glyph + bytes(-len(glyph) % 4)


def _name(name: str) -> bytes:
    text = name.encode("utf-16-be")
    records = b"".join(struct.pack(">6H", 3, 1, 0x409, kind, len(text), 0) for kind in (1, 4))
    return struct.pack(">3H", 0, 2, 6 + len(records)) + records + text
