"""What OpenDocument styles say of structure: headings, numbered lists, hidden slides.

Called by the OpenDocument parser. A paragraph's own style is mostly an automatic one (``P1``), which
inherits from the named one that says what the paragraph is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from lunheng.parsing.xml_tree import attribute, name_of

_HEADING = re.compile(r"(?:heading|标题)[ _]*(\d{1,2})$", re.I)
MAX_PARENTS = 20
"""A damaged file can make a ring of styles."""


class Styles:
    """The styles of one document, from all its parts."""

    def __init__(self, roots: Iterable[Any]) -> None:
        self._names: dict[str, str] = {}
        self._parents: dict[str, str] = {}
        self._outline: dict[str, int] = {}
        self._numbered: dict[str, dict[int, bool]] = {}
        self._hidden: set[str] = set()
        for root in roots:
            for node in root.iter():
                self._read(node)

    def _read(self, node: Any) -> None:
        tag, name = name_of(node), attribute(node, "name") or ""
        if tag == "style":
            self._names[name] = attribute(node, "display-name") or name.replace("_20_", " ")
            if parent := attribute(node, "parent-style-name"):
                self._parents[name] = parent
            if (level := attribute(node, "default-outline-level") or "").isdecimal():
                self._outline[name] = int(level)
            if any(attribute(child, "visibility") == "hidden" for child in node):
                self._hidden.add(name)
        elif tag == "list-style":
            levels = ((attribute(n, "level") or "", name_of(n)) for n in node)
            self._numbered[name] = {
                int(level): kind == "list-level-style-number" for level, kind in levels if level.isdecimal()
            }

    def name(self, style: str | None) -> str:
        """The names of a style and of those it inherits from, the nearest named one first."""
        return next((self._names.get(s, s) for s in self._chain(style) if not re.fullmatch(r"P\d+|", s)), "")

    def heading_level(self, node: Any, is_heading: bool) -> int | None:
        """The level of a ``text:h``, or of a paragraph whose style is a title's or a heading's."""
        if is_heading:
            level = attribute(node, "outline-level") or "1"
            return max(1, min(int(level), 20)) if level.isdecimal() else 1
        for style in self._chain(attribute(node, "style-name")):
            name = self._names.get(style, style).replace("_20_", " ")
            if name.lower() in ("title", "标题"):
                return 1
            if match := _HEADING.match(name):
                return max(1, int(match.group(1)))
            if self._outline.get(style):
                return self._outline[style]
        return None

    def is_numbered(self, style: str | None, level: int) -> bool:
        return self._numbered.get(style or "", {}).get(level, False)

    def is_hidden_slide(self, style: str | None) -> bool:
        return style in self._hidden

    def _chain(self, style: str | None) -> list[str]:
        chain: list[str] = []
        while style and style not in chain and len(chain) < MAX_PARENTS:
            chain.append(style)
            style = self._parents.get(style)
        return chain
