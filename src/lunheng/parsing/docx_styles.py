"""What the style of a Word paragraph says: heading level, list, caption, code, table of contents.

Called by the docx parser. Styles are known by their names, in English and Chinese, by the outline level that they or a
style that they are based on carry, and by the list that they are tied to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lunheng.parsing.docx_numbering import W

_HEADING = re.compile(r"(?:heading|标题|標題|überschrift|titre|título)\s*(\d)(?:\s|$)", re.I)
_CHINESE_HEADING = re.compile(r"^([一二三四五六])级标题|^标题([一二三四五六])$|^(章|节)标题|^(条)标题")
_CHINESE_LEVEL = {character: level for level, character in enumerate("一二三四五六", 1)}
_CAPTION = re.compile(r"caption|题注|題注|图题|表题|图名|表名", re.I)
_CODE = re.compile(r"code|source|preformatted|代码|macro", re.I)
_LIST = re.compile(r"list\s*(bullet|number)\s*(\d)?|列表(?:项目符号|编号)\s*(\d)?", re.I)
_CONTENTS = re.compile(r"(?:toc|目录|table of figures|图表目录)\s*(?:\d|$|heading|标题)", re.I)


@dataclass(frozen=True, slots=True)
class ParagraphStyle:
    """What is known of a paragraph before its text is read."""

    heading: int = 0
    """Level from 1; 0 for what is no heading."""
    style_id: str = ""
    list_id: str | None = None
    list_depth: int | None = None
    """Level from 0 in its list; None where only the list knows."""
    named_list: bool = False
    named_depth: int = 0
    caption: bool = False
    code: bool = False
    contents: bool = False


class Styles:
    """The styles of one document."""

    def __init__(self, word: Any) -> None:
        self._styles: dict[str, Any] = {}
        for style in word.styles.element.iterchildren(f"{W}style"):
            name = style.get(f"{W}styleId")
            if name:
                self._styles[name] = style
        self._known: dict[str, ParagraphStyle] = {}

    def of(self, paragraph: Any) -> ParagraphStyle:
        """What the style of a ``w:p`` says, and what it says itself."""
        properties = paragraph.find(f"{W}pPr")
        if properties is None:
            return _PLAIN
        style_id = _value(properties, "pStyle")
        style = self._style(style_id) if style_id else _PLAIN
        outline = _outline(properties)
        list_id, depth = _list(properties)
        if outline is None and list_id is None:
            return style
        heading = style.heading if outline is None else outline
        if list_id is None:
            list_id, depth = style.list_id, style.list_depth
        return ParagraphStyle(
            heading,
            style.style_id,
            list_id,
            depth,
            style.named_list,
            style.named_depth,
            style.caption,
            style.code,
            style.contents,
        )

    def _style(self, style_id: str) -> ParagraphStyle:
        if style_id not in self._known:
            self._known[style_id] = self._read(style_id)
        return self._known[style_id]

    def _read(self, style_id: str) -> ParagraphStyle:
        chain: list[tuple[str, Any]] = []
        at: str | None = style_id
        while at and at in self._styles and len(chain) < 10:  # a damaged file could make a ring of them
            style = self._styles[at]
            chain.append((_value(style, "name") or "", style))
            at = _value(style, "basedOn")
        own = chain[0][0] if chain else ""
        heading, list_id, depth = 0, None, None
        for name, style in chain:
            properties = style.find(f"{W}pPr")
            outline = _outline(properties) if properties is not None else None
            heading = heading or _level_by_name(name) or outline or 0
            if list_id is None and properties is not None:
                list_id, depth = _list(properties)
        named = next((m for name, _ in chain[:2] if (m := _LIST.match(name))), None)
        contents = bool(_CONTENTS.match(own))
        return ParagraphStyle(
            0 if contents else heading,
            style_id,
            list_id,
            depth,
            named is not None,
            max(int(named.group(2) or named.group(3) or 1) - 1, 0) if named else 0,
            any(_CAPTION.search(name) for name, _ in chain[:2]),
            bool(_CODE.search(own)),
            contents,
        )


_PLAIN = ParagraphStyle()


def _level_by_name(name: str) -> int:
    if name.lower() in ("title", "标题", "文档标题"):
        return 1
    if match := _HEADING.match(name):
        return max(int(match.group(1)), 1)
    if match := _CHINESE_HEADING.match(name):
        first, second, chapter, _ = match.groups()
        return _CHINESE_LEVEL[first or second] if first or second else {"章": 1, "节": 2}.get(chapter or "", 3)
    return 0


def _outline(properties: Any) -> int | None:
    """The heading level of ``w:outlineLvl``, 0 for body text, None where it does not say."""
    value = _value(properties, "outlineLvl")
    if value is None or not value.isdecimal():
        return None
    return int(value) + 1 if int(value) < 9 else 0


def _list(properties: Any) -> tuple[str | None, int | None]:
    numbering = properties.find(f"{W}numPr")
    if numbering is None:
        return None, None
    depth = _value(numbering, "ilvl")
    return _value(numbering, "numId"), int(depth) if depth and depth.isdecimal() and len(depth) < 3 else None


def _value(node: Any, name: str) -> str | None:
    child = node.find(f"{W}{name}")
    value: str | None = child.get(f"{W}val") if child is not None else None
    return value
