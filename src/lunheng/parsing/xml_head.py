"""What the XML dialects say of a document before it begins: title, authors, dates, abstract.

Called by the XML parser.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.xml_tree import attribute, name_of

_HEADS = frozenset(["article-meta", "front", "info", "bookinfo", "articleinfo", "title-info", "filedesc", "teiheader"])
_TITLES = ("article-title", "book-title", "title")
_AUTHORS = frozenset(["author", "contrib"])
_DATES = frozenset(["pub-date", "pubdate", "date"])
_NAME_ORDER = ("given-names", "firstname", "first-name", "othername", "middle-name", "surname", "last-name")


def read_head(root: Any, builder: DocumentBuilder) -> list[Any]:
    """Set the document's properties, add its title as a heading, and give the abstracts, which are text."""
    head = next((n for n in root.iter() if name_of(n).lower() in _HEADS), None)
    if head is None:
        return []
    titles = {name_of(n).lower(): n for n in reversed(list(head.iter())) if name_of(n).lower() in _TITLES}
    title = next((_words(titles[name]) for name in _TITLES if name in titles), "")
    builder.title = title
    builder.heading(title, 1)
    authors = [_person(n) for n in head.iter() if name_of(n).lower() in _AUTHORS and _is_author(n)]
    builder.author = ", ".join(dict.fromkeys(filter(None, authors))) or None
    builder.created_at = next((m for n in head.iter() if name_of(n).lower() in _DATES and (m := _moment(n))), None)
    keywords = [_words(n) for n in head.iter() if name_of(n).lower() in ("kwd", "keyword")]
    if keywords:
        builder.extra["keywords"] = keywords
    if doi := next((_words(n) for n in head.iter() if attribute(n, "pub-id-type") == "doi"), ""):
        builder.extra["doi"] = doi
    return [n for n in head.iter() if name_of(n).lower() in ("abstract", "trans-abstract", "annotation")]


def _is_author(node: Any) -> bool:
    kind = attribute(node, "contrib-type")
    inside_reference = any(name_of(above).lower() in ("ref", "sourcedesc") for above in node.iterancestors())
    return kind in (None, "author") and not inside_reference


def _person(node: Any) -> str:
    """A name in the order in which it is said; Chinese names, with the surname first and no space."""
    found = {name_of(n).lower(): _words(n) for n in reversed(list(node.iter()))}
    parts = [found[name] for name in _NAME_ORDER if found.get(name)]
    if not parts:
        return next(
            (found[name] for name in ("name", "personname", "collab", "nickname") if found.get(name)), _words(node)
        )
    if all("\u3400" <= c <= "\u9fff" for c in "".join(parts)):
        return "".join([*parts[-1:], *parts[:-1]])
    return " ".join(parts)


def _moment(node: Any) -> datetime | None:
    parts = {name_of(n).lower(): _words(n) for n in node}
    written = attribute(node, "iso-8601-date") or attribute(node, "when") or attribute(node, "value") or ""
    if not written and parts.get("year"):
        written = "-".join([parts["year"], *(parts[k].zfill(2) for k in ("month", "day") if parts.get(k))])
    written = written or _words(node)
    for text in (written, f"{written}-01", f"{written}-01-01"):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            continue
    return None


def _words(node: Any) -> str:
    return " ".join("".join(node.itertext()).split())
