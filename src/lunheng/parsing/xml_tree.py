"""XML to a tree without anything that XML can do beside holding text: no entities, no DTD, no network.

Called by the parsers of epub, OpenDocument and the XML dialects.
"""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

from lunheng.errors import ParseError

_ENTITY = re.compile(r"&\w{2,31};")
_PREDEFINED = frozenset({"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"})
_DECLARATION = re.compile(rb"<\?xml[^>]*encoding=[\"']([\w.-]+)[\"']", re.I)


def parse_xml(data: bytes, source: Path, *, recover: bool = False) -> Any:
    """The root element of ``data`` (an lxml element).

    Entities that a DTD in the file declares are never expanded, so that a billion laughs stay a handful of names.

    Raises:
        ParseError: if it is not well formed, or nested over 256 deep; with ``recover`` only if nothing can be read.
    """
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
        recover=recover,
        huge_tree=False,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise ParseError(f"{source}: damaged XML ({error}); save it again from its program") from error
    if root is None:
        raise ParseError(f"{source}: damaged XML in which nothing can be read; save it again from its program")
    return root


def name_of(node: Any) -> str:
    """The local name of an element, "" for what is none (an entity that was not expanded)."""
    tag = node.tag
    return tag.rpartition("}")[2].rpartition(":")[2] if isinstance(tag, str) else ""


def attribute(node: Any, name: str) -> str | None:
    """An attribute by its local name, whatever its namespace."""
    for key, value in node.attrib.items():
        if key.rpartition("}")[2].rpartition(":")[2] == name:
            return str(value)
    return None


def without_html_entities(text: str) -> str:
    """Spell out ``&nbsp;`` and its kin, which HTML and DocBook declare in DTDs that are not read."""

    def spelled(match: re.Match[str]) -> str:
        return match.group(0) if match.group(0) in _PREDEFINED else unescape(match.group(0))

    return _ENTITY.sub(spelled, text)


def declared_encoding(data: bytes) -> str | None:
    """The encoding that the XML declaration names."""
    match = _DECLARATION.match(data.lstrip()[:200])
    return match.group(1).decode("ascii").lower() if match else None
