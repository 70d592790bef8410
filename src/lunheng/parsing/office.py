"""What Word, PowerPoint and Excel files share: core properties, links, parts of XML.

Called by the docx, pptx and spreadsheet parsers.
"""

from __future__ import annotations

import re
from typing import Any

from lunheng.parsing.builder import DocumentBuilder

# Titles that programs write by themselves, and that say nothing.
_EMPTY_TITLE = re.compile(
    r"(?:powerpoint presentation|presentation|word document|document\d*|untitled.*|无标题.*|演示文稿\d*|(?:microsoft (?:word|powerpoint) - ).*)$",
    re.I,
)
UNTOLD_PICTURE = re.compile(
    r"(?:(?:picture|图片|image|图像|graphic|图形|object|对象|内容占位符|content placeholder)\s*\d*"
    r"|[\w\-. ]+\.(?:png|jpe?g|gif|bmp|tiff?|webp|svg|emf|wmf))$",
    re.I,
)
"""Alternative text that programs give by themselves: a number, or the name of a file."""
_EMPTY_AUTHORS = frozenset({"python-docx", "openpyxl", "administrator", "user", "microsoft office user"})


def meaningful_title(title: str | None) -> str:
    """The title, or "" for one that a program made up."""
    title = (title or "").strip()
    return "" if _EMPTY_TITLE.match(title) else title


def safe_xml(data: bytes) -> Any | None:
    """The root of a part's XML, or None where it is none: without entities, network or unbounded depth."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
    try:
        return etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def external_targets(part: Any) -> dict[str, str]:
    """The addresses that a part links to, by relationship id; they are kept, never fetched."""
    found: dict[str, str] = {}
    for name, relationship in getattr(part, "rels", {}).items():
        if relationship.is_external and relationship.reltype.endswith("/hyperlink"):
            found[name] = relationship.target_ref
    return found


def read_core_properties(properties: Any, builder: DocumentBuilder) -> None:
    """Take title, author and times from a python-docx, python-pptx or openpyxl properties object."""
    builder.title = meaningful_title(properties.title)
    author = getattr(properties, "author", None) or getattr(properties, "creator", None)
    # The templates of these libraries carry the date of their own making, under their own name.
    template = bool(author and author.strip().lower() in _EMPTY_AUTHORS)
    builder.author = None if template else author
    builder.created_at = None if template else properties.created
    builder.last_modified = None if template else properties.modified
