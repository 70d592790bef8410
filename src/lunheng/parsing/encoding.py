"""Bytes of a text file to characters, whatever their encoding.

Called by the parsers of text formats and by ``detect``. The order is: byte order mark, UTF-16
without a mark, strict UTF-8, then GB18030 and Big5 judged by how many characters are common
ones (both decode nearly anything), and charset-normalizer last, since it takes short GBK texts
for Korean.
"""

from __future__ import annotations

import codecs

from lunheng.errors import ParseError

SAMPLE = 65_536
COMMON_SHARE = 0.7
"""At least so many of the double-byte characters must be of the common plane to believe in Chinese."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, name: str = "text") -> tuple[str, str, list[str]]:
    """Give (text, encoding, warnings).

    Raises:
        ParseError: if no encoding reads ``data``.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _forgiving(data, encoding)
    if b"\x00" in data[:SAMPLE] and (wide := guess_utf16(data)):
        # Before UTF-8, which takes NUL for a character.
        return _forgiving(data, wide)
    try:
        return data.decode("utf-8"), "utf-8", []
    except UnicodeDecodeError as error:
        # One bad byte in a long UTF-8 file (often a cut at its end) is damage, not another encoding.
        if _utf8_share(data) > 0.9 and error.start > 0:
            return _forgiving(data, "utf-8")
    if chinese := chinese_encoding(data):
        return _forgiving(data, chinese)
    from charset_normalizer import from_bytes

    matches = from_bytes(data[: 4 * SAMPLE])
    match = matches.best()
    if match is None:
        raise ParseError(f"{name}: its text encoding is not known; save it as UTF-8")
    # Among code pages that read the bytes equally well, the Western one is by far the most common.
    match = next((m for m in matches if m.encoding == "cp1252" and m.chaos <= match.chaos), match)
    text, encoding, warnings = _forgiving(data, match.encoding)
    return text, encoding, [*warnings, f"text encoding guessed as {match.encoding}"]


def decode_leniently(data: bytes) -> str:
    """The text of a small part, of which not knowing its encoding must not cost the whole file."""
    try:
        return decode(data)[0]
    except ParseError:
        return data.decode("cp1252", "replace")


def chinese_encoding(data: bytes) -> str | None:
    """Name the Chinese encoding that ``data``, which is not UTF-8, reads well in, or None."""
    if wide := guess_utf16(data):
        return wide
    shares = {"gb18030": _common_share_gb(data[:SAMPLE]), "big5hkscs": _common_share_big5(data[:SAMPLE])}
    best = max(shares, key=lambda encoding: shares[encoding])
    return best if shares[best] >= COMMON_SHARE else None


def guess_utf16(data: bytes) -> str | None:
    """Name the byte order of UTF-16 text without a mark, or None: every other byte of its ASCII is NUL, or it is Chinese."""
    sample = data[:4096]
    half = len(sample) // 2
    if half < 2:
        return None
    even, odd = sample[0::2].count(0) / half, sample[1::2].count(0) / half
    if odd > 0.3 and even < 0.05:
        return "utf-16-le"
    if even > 0.3 and odd < 0.05:
        return "utf-16-be"
    return next((order for order in ("utf-16-le", "utf-16-be") if _is_wide_chinese(sample, order)), None)


def _is_wide_chinese(sample: bytes, order: str) -> bool:
    """Whether UTF-16 text without a mark is Chinese: common characters and their punctuation, nearly all of it.

    Pairs of Latin letters give Chinese characters too, but rare ones.
    """
    text = sample[: len(sample) // 2 * 2].decode(order, "replace")
    han = [c for c in text if "\u4e00" <= c <= "\u9fff"]
    plausible = len(han) + sum(
        c in "\n\r\t" or " " <= c <= "~" or "\u2010" <= c <= "\u303f" or c >= "\uff00" for c in text
    )
    if len(han) < 0.3 * len(text) or plausible < 0.97 * len(text):
        return False
    # GB 2312's level 1, and Big5's for traditional characters.
    common = sum(0xB0 <= c.encode("gb2312", "replace")[0] <= 0xD7 for c in han)
    traditional = sum(0xA4 <= c.encode("big5", "replace")[0] <= 0xC6 for c in han)
    return max(common, traditional) >= COMMON_SHARE * len(han)


def _forgiving(data: bytes, encoding: str) -> tuple[str, str, list[str]]:
    try:
        return data.decode(encoding), encoding, []
    except UnicodeDecodeError:
        text = data.decode(encoding, errors="replace")
        return text, encoding, [f"{text.count(chr(0xFFFD))} places were not valid {encoding} and were replaced"]


def _utf8_share(data: bytes) -> float:
    """How many of the non-ASCII bytes stand in valid UTF-8 sequences."""
    sample = data[:SAMPLE]
    high = sum(b > 127 for b in sample)
    valid = len(sample.decode("utf-8", errors="ignore").encode()) - (len(sample) - high)
    return valid / high if high else 0.0


def _pairs(data: bytes) -> list[tuple[int, int]]:
    """The double-byte characters of ``data`` as (lead, trail)."""
    found = []
    i = 0
    while i < len(data) - 1:
        if data[i] > 0x80:
            found.append((data[i], data[i + 1]))
            i += 2
        else:
            i += 1
    return found


def _common_share_gb(data: bytes) -> float:
    """The share of level 1 characters (the 3,755 most common) and punctuation of GB 2312."""
    pairs = _pairs(data)
    hits = sum(trail >= 0xA1 and (0xB0 <= lead <= 0xD7 or lead in (0xA1, 0xA3)) for lead, trail in pairs)
    return hits / len(pairs) if pairs else 0.0


def _common_share_big5(data: bytes) -> float:
    """The share of level 1 characters (the 5,401 common ones) and punctuation of Big5."""
    pairs = _pairs(data)
    hits = sum(
        (0xA4 <= lead <= 0xC6 or lead == 0xA1) and (0x40 <= trail <= 0x7E or trail >= 0xA1) for lead, trail in pairs
    )
    # Level 1 of Big5 takes in half of GB 2312's range: without one low trail byte it is hardly Big5.
    low = sum(trail <= 0x7E for _, trail in pairs)
    return hits / len(pairs) if pairs and low > 0.1 * len(pairs) else 0.0
