"""Ways to damage a file: bytes, XML inside zip containers, objects and streams of PDFs, tokens of text.

Called by ``lunheng.testing.fuzz``. Each takes a seeded random generator, so that the same seed makes the same file. What
is damaged stays near to what a parser expects (a mutated member in a sound zip, a mutated stream that still unpacks):
most random bytes would only try the checksum.
"""

from __future__ import annotations

import copy
import io
import re
import zipfile
import zlib
from collections.abc import Callable
from random import Random

Mutation = Callable[[bytes, Random], bytes]

ZIPS = frozenset({"docx", "pptx", "xlsx", "xlsb", "ods", "odt", "odp", "epub", "zip"})
MARKUP = frozenset({"html", "xml", "svg", "fb2"})
TEXTS = frozenset({"md", "txt", "csv", "tsv", "json", "jsonl", "ipynb", "eml", "rtf", "py"})
MAX_SIZE = 4_000_000
"""A mutated file never grows beyond this: size alone is what the limits are for."""

_NUMBERS = [b"0", b"-1", b"1", b"255", b"65536", b"2147483647", b"-2147483648", b"4294967296", b"99999999999999999999"]
_NUMBERS += [b"1e308", b"NaN", b"", b"0.0000001", "三".encode(), "٣".encode()]
_BYTES = [b"\x00", b"\xff", b"\xfe\xff", b"\xed\xa0\x80", b"\x1b", b"\x7f", b"\x80", b"\r", b"\n\n\n", b"%s%n"]
_WORDS = ["第一章", "Table 1", "\u202e", "\ufeff", "𠮷", "e\u0301", "|", "\\", "`", "$$", "[^1]", "<!--", "]]>", "&#0;"]
_TAG = re.compile(rb"<[^<>]{1,400}>")
_ATTRIBUTE = re.compile(rb"=(\"[^\"]{0,200}\"|'[^']{0,200}')")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.S)
_OBJECT = re.compile(rb"\d+ \d+ obj\b.*?endobj", re.S)
_REFERENCE = re.compile(rb"\b\d+ 0 R\b")
_CONTENT = re.compile(r"document|sheet\d|slide\d+\.xml$|content\.|notes|styles|numbering|comments|html?$|sharedStrings")
_NAME = re.compile(rb"/[A-Za-z]\w*")


def mutate(data: bytes, format_name: str, random: Random) -> bytes:
    """A damaged ``data``: one to four mutations of the kinds that suit its format."""
    if format_name in ZIPS and random.random() < 0.85:
        return mutate_zip(data, random)[:MAX_SIZE]
    if format_name == "pdf" and random.random() < 0.8:
        return mutate_pdf(data, random)[:MAX_SIZE]
    kinds: list[Mutation] = [mutate_bytes]
    if format_name in MARKUP:
        kinds += [mutate_markup] * 4
    if format_name in TEXTS:
        kinds += [mutate_text] * 3
    for _ in range(random.randint(1, 4)):
        data = random.choice(kinds)(data, random)[:MAX_SIZE]
    return data


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """Flip, overwrite, cut, repeat, move, truncate."""
    if not data:
        return random.choice(_BYTES)
    at = random.randrange(len(data))
    size = min(random.choice([1, 2, 4, 16, 128, 1024]), len(data))
    match random.randrange(8):
        case 0:
            return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]
        case 1:
            return data[:at] + random.randbytes(size) + data[at + size :]
        case 2:
            return data[:at] + data[at + size :]
        case 3:
            return data[:at] + data[at : at + size] * random.choice([2, 10, 200]) + data[at + size :]
        case 4:
            return data[:at] + random.choice(_BYTES) * random.choice([1, 8, 500]) + data[at:]
        case 5:
            return data[:at]
        case 6:
            other = random.randrange(len(data))
            return data[:at] + data[other : other + size] + data[at:]
        case _:
            return _replace(data, _NUMBER, random, random.choice(_NUMBERS))


def mutate_text(data: bytes, random: Random) -> bytes:
    """Change the tokens of a text: numbers, words, brackets, line lengths, encodings."""
    at = random.randrange(len(data) + 1)
    match random.randrange(7):
        case 0:
            return _replace(data, _NUMBER, random, random.choice(_NUMBERS))
        case 1:
            return data[:at] + random.choice(_WORDS).encode() * random.choice([1, 3, 300]) + data[at:]
        case 2:
            opening = random.choice([b"[", b"{", b"(", b"> ", b"- ", b"  ", b'{"a":', b"*", b"<b>", b"{\\b ", b"\\"])
            return data[:at] + opening * random.choice([3, 300, 20_000]) + data[at:]
        case 3:
            lines = data.split(b"\n")
            random.shuffle(lines)
            return b"\n".join(lines)
        case 4:
            return data.replace(b"\n", random.choice([b"", b"\r", b"\r\n", b"\n\n", b"\x0b", b"\x00"]))
        case 5:
            text = data.decode("utf-8", "replace")
            return text.encode(random.choice(["utf-16", "utf-16-le", "gb18030", "big5", "utf-32", "cp1252"]), "replace")
        case _:
            return data[:at] + random.choice([b'"', b",", b"|", b":", b"---\n", b"```\n", b"\t"]) + data[at:]


def mutate_markup(data: bytes, random: Random) -> bytes:
    """Change the tags of XML or HTML: take out, double, nest, move, and other values of attributes."""
    tags = list(_TAG.finditer(data))
    if not tags:
        return mutate_text(data, random)
    tag = random.choice(tags)
    other = random.choice(tags)
    first, second = sorted((tag.start(), other.start()))
    match random.randrange(9):
        case 0:
            return data[: tag.start()] + data[tag.end() :]
        case 1:
            return data[:first] + data[second:]
        case 2:
            return data[:second] + data[first:second] * random.choice([1, 5, 200]) + data[second:]
        case 3:
            name = re.match(rb"</?([\w:.-]+)", tag.group())
            inner = b"<" + (name.group(1) if name else b"a") + b">"
            return data[: tag.start()] + inner * random.choice([3, 250, 5_000]) + data[tag.start() :]
        case 4:
            return data[: tag.start()] + other.group() + data[tag.end() :]
        case 5:
            value = random.choice([b'"' + random.choice(_NUMBERS) + b'"', b'"x"', b'""', b'"rId1"', b'"&e;"'])
            return _replace(data, _ATTRIBUTE, random, b"=" + value)
        case 6:
            bomb = b'<!DOCTYPE x [<!ENTITY e "eeeeeeeeee"><!ENTITY f "' + b"&e;" * 50 + b'">]>'
            start = data.find(b"?>") + 2 if data.startswith(b"<?xml") else 0
            return data[:start] + bomb + data[start:].replace(b">", b">&f;", 3)
        case 7:
            return data[: tag.end()] + random.choice(_WORDS).encode() * random.choice([1, 50]) + data[tag.end() :]
        case _:
            return _replace(data, _NUMBER, random, random.choice(_NUMBERS))


def mutate_tree(data: bytes, random: Random) -> bytes:
    """Change the elements of XML so that it stays well formed, and a strict reader reads on."""
    from lxml import etree

    try:
        root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    except (etree.XMLSyntaxError, ValueError):
        return mutate_markup(data, random)
    nodes = [node for node in root.iter() if isinstance(node.tag, str)]
    for _ in range(random.randint(1, 4)):
        node = random.choice(nodes)
        other = random.choice(nodes)
        parent = node.getparent()
        match random.randrange(9):
            case 0 if parent is not None:
                parent.remove(node)
            case 1 if parent is not None:
                for _ in range(random.choice([1, 3, 100])):
                    parent.append(copy.deepcopy(node))
            case 2 if parent is not None and other.getparent() is not None and node not in other.iterancestors():
                other.addprevious(node) if node is not other else None
            case 3:
                deep = node
                for _ in range(random.choice([2, 60, 600])):
                    deep = etree.SubElement(deep, node.tag)
            case 4:
                node.append(copy.deepcopy(other)) if other is not root else None
            case 5 if node.attrib:
                node.set(random.choice(list(node.attrib)), random.choice(_NUMBERS).decode())
            case 6 if node.attrib:
                del node.attrib[random.choice(list(node.attrib))]
            case 7:
                node.text = (random.choice(_WORDS) * random.choice([1, 40])).replace("\ufeff", "")
            case _:
                node.tag = other.tag
    return bytes(etree.tostring(root, encoding="utf-8", xml_declaration=True))


def mutate_zip(data: bytes, random: Random) -> bytes:
    """Change some members of a zip container and pack it again; seldom the container itself."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, zlib.error):
        return mutate_bytes(data, random)
    if not members:
        return mutate_bytes(data, random)
    # The parts that hold the text are changed more often than themes and settings.
    weights = [8 if _CONTENT.search(name) else 1 for name, _ in members]
    for at in random.choices(range(len(members)), weights, k=random.randint(1, 3)):
        name, content = members[at]
        match random.randrange(12):
            case 0:
                members[at] = (name, b"")
            case 1:
                members[at] = (name + random.choice(["x", "/", "\\..\\up", "/../../up"]), content)
            case 2:
                members[at] = (name, random.choice(members)[1])
            case 3:
                members[at] = (name, mutate_bytes(content, random)[:MAX_SIZE])
            case _:
                change = mutate_markup if random.random() < 0.2 else mutate_tree
                members[at] = (name, change(content, random)[:MAX_SIZE])
    if random.random() < 0.05:
        members.pop(random.randrange(len(members)))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            method = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content, method, 1)
    made = packed.getvalue()
    return mutate_bytes(made, random) if random.random() < 0.05 else made


def mutate_pdf(data: bytes, random: Random) -> bytes:
    """Change the objects of a PDF, or what its streams hold once unpacked. Its table of offsets is then wrong, and the
    reader finds the objects by itself, as it must for many real files."""
    for _ in range(random.randint(1, 4)):
        streams = list(_STREAM.finditer(data))
        objects = list(_OBJECT.finditer(data))
        if streams and random.random() < 0.5:
            stream = random.choice(streams)
            data = data[: stream.start(1)] + _mutate_stream(stream.group(1), random) + data[stream.end(1) :]
        elif objects:
            found = random.choice(objects)
            data = data[: found.start()] + _mutate_object(found.group(), objects, random) + data[found.end() :]
        else:
            data = mutate_bytes(data, random)
    return data


def _mutate_stream(packed: bytes, random: Random) -> bytes:
    # Most writers wrap their streams in ASCII only rarely; where unpacking fails, the bytes are changed as they are.
    try:
        content = zlib.decompress(packed)
    except zlib.error:
        return mutate_bytes(packed, random)
    match random.randrange(5):
        case 0:
            content = mutate_bytes(content, random)
        case 1:
            content = _replace(content, _NUMBER, random, random.choice(_NUMBERS))
        case 2:
            content = content * random.choice([2, 20])
        case 3:
            content = b"q " * random.choice([10, 5_000]) + content
        case _:
            lines = content.split(b"\n")
            random.shuffle(lines)
            content = b"\n".join(lines)
    return zlib.compress(content[:MAX_SIZE])


def _mutate_object(text: bytes, objects: list[re.Match[bytes]], random: Random) -> bytes:
    match random.randrange(6):
        case 0:
            return _replace(text, _NUMBER, random, random.choice(_NUMBERS))
        case 1:  # which may make a ring of pages, fonts or forms
            number = random.choice(objects).group().split(b" ", 1)[0]
            return _replace(text, _REFERENCE, random, number + b" 0 R")
        case 2:
            names = _NAME.findall(text) or [b"/X"]
            return _replace(
                text, _NAME, random, random.choice([*names, b"/Kids", b"/Length", b"/Filter", b"/JBIG2Decode"])
            )
        case 3:
            return b""
        case 4:
            return random.choice(objects).group()
        case _:
            return mutate_bytes(text, random)


def _replace(data: bytes, pattern: re.Pattern[bytes], random: Random, new: bytes) -> bytes:
    """Put ``new`` in place of one match, chosen at random."""
    found = list(pattern.finditer(data[:500_000]))
    if not found:
        return mutate_bytes(data, random) if pattern is not _NUMBER else data + new
    match = random.choice(found)
    return data[: match.start()] + new + data[match.end() :]
