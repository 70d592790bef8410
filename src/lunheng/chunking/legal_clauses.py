"""How laws and contracts are numbered, and how they refer to themselves.

Called by the legal chunker and by ``domains``. Chinese: 编、分编、章、节、条（之一）、款、项, where a 款 is a
paragraph of its 条 and has no number of its own; English: Part, Title, Chapter, Section, Article, §, with
(1), (a), (i) below.

**The id of a clause** is its divisions and itself from the outside in, joined by ``/``, with numerals in one
form: Chinese ones for Chinese (``第三章/第十二条/第二款/第一项``, also where the text has 第12条), Arabic ones
for English (``Chapter 3/Article 12(2)(a)``, also where the text has Chapter III). The clauses of a contract that are
numbered alone (1., 一、) are its 条, or its Clauses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

NUMERAL = r"[0-9０-９一二三四五六七八九十百千零〇两]+"
_DIVISION = {"编": 1, "分编": 2, "篇": 1, "部": 1, "章": 3, "节": 4}
_ZH_DIVISION = re.compile(rf"第\s*({NUMERAL})\s*(分编|编|章|节|篇)(?=[\s\u3000:：]|$|[\u4e00-\u9fff])")
_ZH_ARTICLE = re.compile(rf"第\s*({NUMERAL})\s*条(?:\s*之\s*({NUMERAL}))?")
_ZH_REFERS = re.compile(r"\s*(?:规定|的|所|、|和|或|至|中|，|。|；|第|及|与|以外|之外)")
"""What follows a 条 that is referred to, where a 条 that begins would have its text."""
_EN_DIVISION = re.compile(
    r"(PART|Part|TITLE|Title|CHAPTER|Chapter|DIVISION|Division|SUBPART|Subpart)\s+([IVXLCDM]+|\d+[A-Z]?|[A-Z])\b"
)
_EN_LEVELS = {"title": 1, "part": 1, "division": 2, "subpart": 2, "chapter": 3}
_EN_UNIT = re.compile(
    r"(ARTICLE|Article|Art\.|SECTION|Section|Sec\.|§+|CLAUSE|Clause)\s*([IVXLCDM]+\b|\d+[A-Za-z]?(?:\.\d+)*)"
)
_EN_REFERS = re.compile(r"\s*(?:\(|of\b|and\b|or\b|to\b|shall\b|applies\b|does\b|is\b|are\b|,|;)")
_NAMES = {"art": "Article", "sec": "Section", "§": "Section", "§§": "Section"}
_ITEM_ZH = re.compile(r"[（(]\s*([一二三四五六七八九十]+)\s*[）)]")
_POINT_ZH = re.compile(r"(\d{1,2})\s*[.．、](?!\d)")
_POINT_EN = re.compile(r"\(\s*(\d{1,3}|[a-z]{1,4})\s*\)|(\d{1,2})\.(?=\s)")
_ROMAN = re.compile(r"m{0,3}(?:c[md]|d?c{0,3})(?:x[cl]|l?x{0,3})(?:i[xv]|v?i{0,3})")
_DIGITS = "零一二三四五六七八九"
_VALUES = {"〇": 0, "零": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def number_of(numeral: str) -> int:
    """The value of a Chinese (一百二十三, 一二三), full-width, Arabic or Roman numeral; 0 for none."""
    if numeral.isdecimal():
        return int(numeral)
    if set(numeral.upper()) <= _ROMAN_VALUES.keys():
        values = [_ROMAN_VALUES[c] for c in numeral.upper()]
        return sum(-v if any(later > v for later in values[i + 1 : i + 2]) else v for i, v in enumerate(values))
    if not set(numeral) & _UNITS.keys():
        digits = [_VALUES.get(c, int(c) if c.isdecimal() else 0) for c in numeral]
        return int("".join(map(str, digits)) or 0)
    total, digit = 0, 0
    for char in numeral:
        if char in _UNITS:
            total += (digit or 1) * _UNITS[char]
            digit = 0
        else:
            digit = _VALUES.get(char, int(char) if char.isdecimal() else 0)
    return total + digit


def chinese(number: int) -> str:
    """A number below 10,000 as statutes write it: 12 is 十二, 103 is 一百零三."""
    if number > 9999 or number < 0:
        return str(number)
    text, gap = "", False
    for value, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, value)
        if digit:
            text += ("零" if gap else "") + _DIGITS[digit] + unit
            gap = False
        elif text:
            gap = True
    return (text[1:] if text.startswith("一十") else text) or "零"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a line begins with: a division (``level`` 1 to 4) or an article, section or clause (``level`` 5)."""

    level: int
    id: str
    """This part of the clause's id."""
    label: str
    """As it is written."""
    number: int
    name: str = ""
    """Article, Section or Clause; 条."""


UNIT_LEVEL = 5
NUMBERED, NUMBERED_ZH = "numbered clauses", "编号条款"
"""The names of clauses that have none."""
_NUMBER = re.compile(r"(\d{1,2})\s*[.．、](?![\d.])\s*(?=\S)")
_NUMBER_ZH = re.compile(r"([一二三四五六七八九十]{1,3})\s*、\s*(?=\S)")
_LEAST_NUMBERED = 2
"""Times that one number follows the one before."""
_AGREEMENT = re.compile(r"\b(?:agreement|contract)\b", re.I)
_PARTIES = re.compile(
    r"\b(?:here(?:inafter|to|by|of|in|under)|party [ab]|(?:the|either|each|both) part(?:y|ies))\b", re.I
)
_LEAST_PARTIES = 3
LONGEST_TITLE = 80
"""Characters of the title of a contract or law."""
_LAW_TITLE = re.compile(
    r"(?:(?:协议|合同|契约)书?|条例|章程)(?:[（(][^（()）]*[）)])?$"
    r"|\b(?:agreement|contract|lease|deed|by-?laws|regulations?|act)(?:,?\s*\(?\d{4}\)?)?$",
    re.I,
)


def mark_of(line: str) -> Mark | None:
    """The division or article that ``line`` begins, if it begins one."""
    line = line.lstrip(" \t\u3000#*")
    if match := _ZH_DIVISION.match(line):
        number, name = number_of(match[1]), match[2]
        return Mark(_DIVISION[name], f"第{chinese(number)}{name}", match[0], number, name)
    if match := _ZH_ARTICLE.match(line):
        if _ZH_REFERS.match(line, match.end()):
            return None
        number = number_of(match[1])
        return Mark(UNIT_LEVEL, _article_id(match[1], match[2]), match[0], number, "条")
    if match := _EN_DIVISION.match(line):
        name = match[1].capitalize()
        value = _arabic(match[2])
        number = int(value) if value.isdecimal() else 0
        return Mark(_EN_LEVELS[name.lower()], f"{name} {value}", match[0], number)
    if match := _EN_UNIT.match(line):
        rest = line[match.end() :]
        if _EN_REFERS.match(rest) and not rest.startswith(" ("):
            return None
        name, value = _unit(match[1]), _arabic(match[2])
        return Mark(UNIT_LEVEL, f"{name} {value}", match[0], int(value) if value.isdecimal() else 0, name)
    return None


def is_law_title(line: str) -> bool:
    """Whether a line is the title of a contract or law: 合作协议（2026 年）, LEASE AGREEMENT, Harbour Act 2019."""
    line = line.strip(" \t\u3000#*")
    return len(line) <= LONGEST_TITLE and _LAW_TITLE.search(line) is not None


def marker_of(lines: Iterable[str]) -> Callable[[str], Mark | None]:
    """``mark_of``; for a contract that numbers its clauses without a name for them, what finds those."""
    texts = list(lines)
    if sum(mark is not None and mark.level == UNIT_LEVEL for mark in map(mark_of, texts)) > 1:
        return mark_of
    whole = "\n".join(texts)
    # One mention of each party is enough where the first line says that it is a contract.
    mentions = min(whole.count("甲方"), whole.count("乙方"))
    chinese_contract = mentions > 1 or (mentions > 0 and is_law_title(texts[0]))
    if not chinese_contract and not (_AGREEMENT.search(whole) and len(_PARTIES.findall(whole)) >= _LEAST_PARTIES):
        return mark_of
    for pattern in (_NUMBER_ZH, _NUMBER):

        def numbered(line: str, pattern: re.Pattern[str] = pattern) -> Mark | None:
            match = pattern.match(line.lstrip(" \t\u3000#*"))
            if match is None:
                return mark_of(line)
            number = number_of(match[1])
            if chinese_contract:
                return Mark(UNIT_LEVEL, f"第{chinese(number)}条", match[0].rstrip(), number, NUMBERED_ZH)
            return Mark(UNIT_LEVEL, f"Clause {number}", match[0].rstrip(), number, NUMBERED)

        found = [mark.number for mark in map(numbered, texts) if mark and mark.name in (NUMBERED, NUMBERED_ZH)]
        if sum(after - before == 1 for before, after in pairwise(found)) >= _LEAST_NUMBERED:
            return numbered
    return mark_of


def _unit(name: str) -> str:
    """Article, Section or Clause, of any of their forms."""
    return _NAMES.get(name.lower().rstrip("s.") or "§", name.capitalize().rstrip("s"))


def _arabic(number: str) -> str:
    return str(number_of(number)) if set(number) <= _ROMAN_VALUES.keys() else number


def _article_id(number: str, extra: str | None) -> str:
    return f"第{chinese(number_of(number))}条" + (f"之{chinese(number_of(extra))}" if extra else "")


def point_of(line: str, path: tuple[str, ...], english: bool) -> tuple[str, ...] | None:
    """The numbered point that ``line`` begins, as the ids below its article; ``path`` is that of the line before.

    None where the line has no number: text that goes on, or in Chinese a new 款.
    """
    line = line.lstrip(" \t\u3000")
    if not english:
        if match := _ITEM_ZH.match(line):
            return (*path[:1], f"第{chinese(number_of(match[1]))}项")
        if len(path) > 1 and (match := _POINT_ZH.match(line)):
            return (*path[:2], f"第{match[1]}目")
        return None
    match = _POINT_EN.match(line)
    if match is None:
        return None
    label = match[1] or match[2]
    letters = [p for p in path if p[1:-1].isalpha()]
    if label.isdigit():
        depth = 0
    elif _ROMAN.fullmatch(label) and letters and not _follows(letters[0][1:-1], label):
        depth = path.index(letters[0]) + 1
    elif label.isalpha() and len(label) == 1:
        depth = path.index(letters[0]) if letters else len(path)
    else:
        return None
    return (*path[:depth], f"({label})")


def _follows(letter: str, label: str) -> bool:
    return len(letter) == len(label) == 1 and ord(label) == ord(letter) + 1


def join_id(divisions: tuple[str, ...], article: str, points: tuple[str, ...]) -> str:
    """A clause's id."""
    base = "/".join((*divisions, article))
    if points and points[0].startswith("("):
        return base + "".join(points)
    return "/".join((base, *points))


_REFERENCE_ZH = re.compile(
    rf"(?P<law>《[^》]{{2,60}}》)?(?P<own>本[法条例规办章程合同约协议定]{{1,4}})?"
    rf"第\s*(?P<article>{NUMERAL})\s*条(?:\s*之\s*(?P<extra>{NUMERAL}))?"
    rf"(?:\s*第\s*(?P<paragraph>{NUMERAL})\s*款)?(?:\s*第\s*[（(]?(?P<item>{NUMERAL})[）)]?\s*项)?"
    rf"(?:\s*至\s*第\s*(?P<last>{NUMERAL})\s*条)?"
)
_WITHIN_ZH = re.compile(rf"本条第\s*(?P<paragraph>{NUMERAL})\s*款|(?P<before>前款)|(?P<two>前两款)|(?P<article>前条)")
_REFERENCE_EN = re.compile(
    r"\b(?P<name>Articles?|Arts?\.|Sections?|Secs?\.|Clauses?)\s+(?P<list>\d+[A-Za-z]?(?:\.\d+)*(?:\s*\([0-9a-z]{1,4}\))*"
    r"(?:\s*(?:,|and|or|to|–|-)\s*\d+[A-Za-z]?(?:\.\d+)*(?:\s*\([0-9a-z]{1,4}\))*)*)|§+\s*(?P<sign>\d+[\w.]*(?:\([0-9a-z]+\))*)"
)
_WITHIN_EN = re.compile(
    r"\bparagraph\s+\(?(?P<paragraph>\d{1,2})\)?(?:\s+of\s+this\s+(?:Article|Section))?(?!\s+of\s+(?:Art|Sec))"
)
_OTHER_EN = re.compile(
    r"\s+of\s+(?:the\s+)?(?:(?:Regulation|Directive|Treaty|Convention|Constitution|Code)\b|[A-Z]\w+ (?:Act|Code|Treaty|Law)\b)"
)
_EACH_EN = re.compile(r"(\d+[A-Za-z]?(?:\.\d+)*)((?:\s*\([0-9a-z]{1,4}\))*)")
MOST_IN_RANGE = 50


@dataclass(frozen=True, slots=True)
class Here:
    """Where a text stands: what 本条, 前条 and 前款 mean."""

    article: str
    previous: str
    """The id of the article before it, or ""."""
    paragraph: int


def references_in(text: str, here: Here, ids: dict[str, str]) -> Iterator[str]:
    """The ids of the clauses that ``text`` refers to; ``ids`` gives an article's whole id by its own part.

    An article of another law keeps that law's name in front; one that the document does not have is given
    by its own part alone.
    """
    for match in _REFERENCE_ZH.finditer(text):
        if match.start() == 0 and not match["own"] and not match["law"] and text[:1] == "第":
            continue  # the article's own label
        number = number_of(match["article"])
        last = number_of(match["last"]) if match["last"] else number
        for each in range(number, min(last, number + MOST_IN_RANGE) + 1):
            article = f"第{chinese(each)}条" + (f"之{chinese(number_of(match['extra']))}" if match["extra"] else "")
            # A point without its paragraph stands in the only one that the article has.
            paragraph = match["paragraph"] or ("一" if match["item"] else "")
            points = [f"第{chinese(number_of(n))}{k}" for n, k in ((paragraph, "款"), (match["item"], "项")) if n]
            found = match["law"] + article if match["law"] else ids.get(article, article)
            yield "/".join((found, *points))
    for match in _WITHIN_ZH.finditer(text):
        if match["article"]:
            yield from (here.previous,) if here.previous else ()
        elif match["paragraph"]:
            yield f"{here.article}/第{chinese(number_of(match['paragraph']))}款"
        else:
            first = max(here.paragraph - (2 if match["two"] else 1), 1)
            for each in range(first, here.paragraph):
                yield f"{here.article}/第{chinese(each)}款"
    for match in _REFERENCE_EN.finditer(text):
        if match.start() == 0 or _OTHER_EN.match(text, match.end()):
            continue
        name = _unit(match["name"] or "§")
        for one in _EACH_EN.finditer(match["list"] or match["sign"]):
            article = f"{name} {one[1]}"
            yield ids.get(article, article) + re.sub(r"\s", "", one[2])
    for match in _WITHIN_EN.finditer(text):
        if here.article:
            yield f"{here.article}({match['paragraph']})"
