"""The numbers that Word shows before paragraphs: 1., (a), 一、, 第三条.

Called by the docx parser, in the order of the document, since each paragraph counts on from the one before. The rules
are those of ECMA-376 part 1, 17.9: a level counts on until a higher one is counted; lists that share a definition
count together unless one begins anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
MAX_LEVEL = 8
_PLACE = re.compile(r"%([1-9])")
_DIGITS = "零一二三四五六七八九"
_FORMAL = str.maketrans("零一二三四五六七八九十百千万", "零壹贰叁肆伍陆柒捌玖拾佰仟万")
_STEMS = "甲乙丙丁戊己庚辛壬癸"
_BRANCHES = "子丑寅卯辰巳午未申酉戌亥"
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"))
_ROMAN_ONES = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")


@dataclass(frozen=True, slots=True)
class _Level:
    form: str = "decimal"
    text: str = "%1."
    start: int = 1
    legal: bool = False
    """Higher levels are shown in Arabic numerals here, whatever their own form (isLgl)."""


@dataclass(slots=True)
class _Definition:
    levels: dict[int, _Level]
    styles: dict[str, int]
    """Levels by the paragraph style that is tied to them."""
    counts: dict[int, int] = field(default_factory=dict)


class Numbering:
    """The lists of one document, and how far each has counted."""

    def __init__(self, root: Any | None) -> None:
        self._definitions: dict[str, _Definition] = {}
        self._lists: dict[str, tuple[str, dict[int, _Level], dict[int, int]]] = {}
        self._begun: set[str] = set()
        if root is not None:
            self._read(root)

    def _read(self, root: Any) -> None:
        by_style: dict[str, str] = {}
        links: dict[str, str] = {}
        for node in root.iterchildren(f"{W}abstractNum"):
            name = node.get(f"{W}abstractNumId") or ""
            levels, styles = {}, {}
            for level in node.iterchildren(f"{W}lvl"):
                depth = _number(level.get(f"{W}ilvl"), 0)
                levels[depth] = _read_level(level)
                if tied := _value(level, "pStyle"):
                    styles[tied] = depth
            self._definitions[name] = _Definition(levels, styles)
            if style := _value(node, "styleLink"):
                by_style[style] = name
            if style := _value(node, "numStyleLink"):
                links[name] = style
        for name, style in links.items():
            if (target := by_style.get(style)) in self._definitions:
                self._definitions[name] = self._definitions[target or ""]
        for node in root.iterchildren(f"{W}num"):
            levels, starts = {}, {}
            for override in node.iterchildren(f"{W}lvlOverride"):
                depth = _number(override.get(f"{W}ilvl"), 0)
                if (level := override.find(f"{W}lvl")) is not None:
                    levels[depth] = _read_level(level)
                if (start := _value(override, "startOverride")) is not None:
                    starts[depth] = _number(start, 1)
            self._lists[node.get(f"{W}numId") or ""] = (_value(node, "abstractNumId") or "", levels, starts)

    def depth_of_style(self, list_id: str, style_id: str) -> int:
        """The level of a list that a paragraph style is tied to; 0 where it is to none."""
        definition = self._definitions.get(self._lists.get(list_id, ("", {}, {}))[0])
        return definition.styles.get(style_id, 0) if definition else 0

    def mark(self, list_id: str, depth: int) -> str:
        """Count the next paragraph of a list and give what stands before it: "-" for a bullet, "" for nothing."""
        name, own_levels, starts = self._lists.get(list_id, ("", {}, {}))
        definition = self._definitions.get(name)
        if definition is None:
            return "-"
        depth = max(0, min(depth, MAX_LEVEL))
        levels = {**definition.levels, **own_levels}
        if starts and list_id not in self._begun:
            for place, start in starts.items():
                definition.counts[place] = start - 1
        self._begun.add(list_id)
        counts = definition.counts
        level = levels.get(depth, _Level())
        counts[depth] = counts.get(depth, level.start - 1) + 1
        for deeper in [d for d in counts if d > depth]:
            del counts[deeper]
        if level.form == "bullet":
            return "-"

        def shown(match: re.Match[str]) -> str:
            place = int(match.group(1)) - 1
            at = levels.get(place, _Level())
            return spell(counts.get(place, at.start), "decimal" if level.legal and place != depth else at.form)

        return _PLACE.sub(shown, level.text).strip()


def _read_level(node: Any) -> _Level:
    legal = node.find(f"{W}isLgl")
    return _Level(
        _value(node, "numFmt") or "decimal",
        _value(node, "lvlText") or "",
        _number(_value(node, "start"), 1),
        legal is not None and legal.get(f"{W}val") not in ("0", "false"),
    )


def _value(node: Any, name: str) -> str | None:
    child = node.find(f"{W}{name}")
    value: str | None = child.get(f"{W}val") if child is not None else None
    return value


def _number(text: str | None, default: int) -> int:
    text = (text or "").strip()
    return int(text) if text.lstrip("-").isdecimal() and len(text) < 9 else default


def spell(number: int, form: str) -> str:
    """A number in one of Word's forms (ST_NumberFormat); Arabic numerals for those that are not known."""
    if form == "none":
        return ""
    if number < 1:
        return str(number)
    if form in ("lowerLetter", "upperLetter"):
        letter = chr(ord("a") + (number - 1) % 26) * min((number - 1) // 26 + 1, 20)
        return letter.upper() if form == "upperLetter" else letter
    if form in ("lowerRoman", "upperRoman"):
        roman = _roman(number)
        return roman.upper() if form == "upperRoman" else roman
    if form == "decimalZero":
        return f"{number:02d}"
    if form in ("decimalEnclosedCircle", "decimalEnclosedCircleChinese") and number <= 20:
        return chr(0x2460 + number - 1)
    if form in ("decimalFullWidth", "decimalFullWidth2"):
        return str(number).translate({ord(d): chr(0xFF10 + int(d)) for d in "0123456789"})
    if form == "ideographTraditional" and number <= 10:
        return _STEMS[number - 1]
    if form == "ideographZodiac" and number <= 12:
        return _BRANCHES[number - 1]
    if form in ("ideographDigital", "taiwaneseDigital"):
        return "".join(_DIGITS[int(d)] for d in str(number)).replace("零", "〇")
    if form in ("chineseLegalSimplified", "ideographLegalTraditional", "japaneseLegal"):
        return chinese_numeral(number).translate(_FORMAL)
    if form.startswith(("chineseCounting", "taiwaneseCounting", "japaneseCounting", "ideograph")):
        return chinese_numeral(number)
    return str(number)


def _roman(number: int) -> str:
    number %= 4000
    parts = []
    for value, letters in _ROMAN:
        parts.append(letters * (number // value))
        number %= value
    return "".join(parts) + _ROMAN_ONES[number]


def chinese_numeral(number: int) -> str:
    """一, 十二, 二十, 一百零五; Arabic numerals from 10,000."""
    if not 0 < number < 10_000:
        return str(number)
    text = ""
    for power, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // power % 10
        if digit:
            text += _DIGITS[digit] + unit
        elif text and not text.endswith("零"):
            text += "零"
    text = text.rstrip("零")
    return text[1:] if text.startswith("一十") else text
