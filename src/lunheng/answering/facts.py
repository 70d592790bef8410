"""The exact parts of a sentence: numbers with their units, dates, times, names and negations.

Called by verification. Both languages come out in one form, so that ``35天`` agrees with ``35 days``,
``凌晨2点30分`` with ``02:30`` and ``2026年3月1日`` with ``March 1, 2026``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache

from lunheng.text.language import is_chinese

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
_ORDINAL = r"(?:st|nd|rd|th)?"
_DATES = [
    re.compile(
        r"(?<!\d)(?P<y>(?:19|20)\d\d)\s*[-/.年]\s*(?P<m>1[0-2]|0?[1-9])\s*[-/.月]\s*(?P<d>3[01]|[12]\d|0?[1-9])(?!\d)\s*[日号]?"
    ),
    re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)\s*年\s*(?P<m>1[0-2]|0?[1-9])\s*月"),
    re.compile(r"(?<!\d)(?P<m>1[0-2]|0?[1-9])\s*月\s*(?P<d>3[01]|[12]\d|0?[1-9])\s*[日号]"),
    re.compile(
        rf"\b(?P<mn>{_MONTH})\s+(?P<d>3[01]|[12]\d|0?[1-9]){_ORDINAL}(?:\s*,?\s*(?P<y>(?:19|20)\d\d))?\b", re.I | re.A
    ),
    re.compile(
        rf"\b(?P<d>3[01]|[12]\d|0?[1-9]){_ORDINAL}\s+(?:of\s+)?(?P<mn>{_MONTH})(?:\s*,?\s*(?P<y>(?:19|20)\d\d))?\b",
        re.I,
    ),
    re.compile(rf"\b(?P<mn>{_MONTH})\s+(?P<y>(?:19|20)\d\d)\b", re.I | re.A),
]
_TIMES = [
    re.compile(
        r"(?P<half>凌晨|早上|上午|中午|下午|傍晚|晚上|夜里)?\s*(?<![\d.:])(?P<h>[01]?\d|2[0-4])\s*[::]\s*(?P<mi>[0-5]\d)(?!\d)\s*(?P<ap>[ap]\.?m\.?)?",
        re.I,
    ),
    re.compile(
        r"(?P<half>凌晨|早上|上午|中午|下午|傍晚|晚上|夜里)?\s*(?<![\d.])(?P<h>[01]?\d|2[0-4])\s*[点时](?!间|候|效)\s*(?:(?P<mi>[0-5]?\d)\s*分?|(?P<ban>半))?"
    ),
    re.compile(r"(?<![\d.:])(?P<h>1[0-2]|[1-9])\s*(?P<ap>[ap]\.?m\.?)(?![a-z])", re.I | re.A),
]
_AFTERNOON = {"下午", "傍晚", "晚上", "夜里"}

_HAN_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_HAN_UNITS = {"十": 10, "百": 100, "千": 1000}
_HAN_NUMBER = re.compile(r"[零〇一二两三四五六七八九十百千万亿]+")
_WORDS = {
    w: i
    for i, w in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100}
_WORD_NUMBER = re.compile(
    r"\b("
    + "|".join(sorted(_WORDS, key=len, reverse=True))
    + r")(?:-(one|two|three|four|five|six|seven|eight|nine))?\b",
    re.I | re.A,
)
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ORDINAL_UNIT = re.compile(rf"\b({'|'.join(_ORDINALS)})(?=\s(?:day|week|month|year)\b)", re.I | re.A)
_NUMBER = re.compile(
    r"(?<![\w.])[-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?P<scale>\s*(?:万亿|万|亿|千(?!米|克|瓦)|百万|million\b|billion\b|thousand\b|k\b))?",
    re.I | re.A,
)
_SCALES = {
    "万亿": 1e12,
    "万": 1e4,
    "亿": 1e8,
    "千": 1e3,
    "百万": 1e6,
    "million": 1e6,
    "billion": 1e9,
    "thousand": 1e3,
    "k": 1e3,
}
_CURRENCY = re.compile(r"(¥|￥|\$|€|£|rmb|cny|usd|eur|人民币)\s*$", re.I | re.A)

_UNIT_NAMES = {
    "day": "天 日 个工作日 工作日 个自然日 day days",
    "hour": "小时 个小时 hour hours hr hrs h",
    "minute": "分钟 minute minutes min mins",
    "second": "秒 秒钟 second seconds sec",
    "week": "周 星期 个星期 week weeks",
    "month": "个月 month months",
    "year": "年 year years",
    "percent": "% 个百分点 percent per",
    "yuan": "元 块 人民币 yuan rmb cny",
    "dollar": "美元 dollar dollars usd",
    "euro": "欧元 euro euros eur",
    "person": "人 名 位 people persons employees",
    "time": "次 times",
    "kb": "kb",
    "mb": "mb",
    "gb": "gb",
    "tb": "tb",
    "km": "公里 千米 km kilometers kilometres",
    "metre": "米 m metre metres meter meters",
    "kg": "公斤 千克 kg",
    "degree": "度 摄氏度 ℃ °c degree degrees",
}
_UNITS = {name: unit for unit, names in _UNIT_NAMES.items() for name in names.split()}
_UNIT = re.compile(
    r"[\s-]*(?:(?:working|business|calendar)\s+)?("
    + "|".join(re.escape(u) for u in sorted((u for u in _UNITS if not u.isascii() or u == "%"), key=len, reverse=True))
    + r"|[a-z]+)",
    re.I | re.A,
)
_SYMBOLS = {
    "¥": "yuan",
    "￥": "yuan",
    "rmb": "yuan",
    "cny": "yuan",
    "人民币": "yuan",
    "$": "dollar",
    "usd": "dollar",
    "€": "euro",
    "eur": "euro",
    "£": "pound",
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and, where one stands by it, its unit (``day``, ``yuan`` ...)."""

    value: float
    unit: str = ""
    written: str = field(default="", compare=False)
    """As the text has it, unit included."""
    at: tuple[int, int] = field(default=(0, 0), compare=False)
    """Where it stands in the text (after NFKC), unit included."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What must agree exactly."""

    quantities: frozenset[Quantity]
    dates: frozenset[tuple[int | None, int, int | None]]
    """(year, month, day), None where not said."""
    times: frozenset[int]
    """Minutes since midnight."""
    names: frozenset[str]
    """Proper nouns, acronyms and codes, case-folded."""


@lru_cache(maxsize=1_000)
def extract(text: str) -> Facts:
    """The exact parts of ``text``, Chinese, English or mixed. Remembered: each claim asks for every statement's."""
    text = unicodedata.normalize("NFKC", text).replace("−", "-")
    rest, dates = _take_dates(text)
    rest, times = _take_times(rest)
    return Facts(frozenset(_quantities(rest)), frozenset(dates), frozenset(times), frozenset(names(text)))


def _take_dates(text: str) -> tuple[str, set[tuple[int | None, int, int | None]]]:
    found: set[tuple[int | None, int, int | None]] = set()
    for pattern in _DATES:
        for match in pattern.finditer(text):
            groups = match.groupdict()
            named = groups.get("mn")
            month = _MONTHS.index(named[:3].lower()) + 1 if named else int(groups["m"])
            year, day = groups.get("y"), groups.get("d")
            found.add((int(year) if year else None, month, int(day) if day else None))
        text = pattern.sub(lambda m: " " * len(m.group()), text)
    return text, found


def _take_times(text: str) -> tuple[str, set[int]]:
    found: set[int] = set()
    for pattern in _TIMES:
        for match in pattern.finditer(text):
            groups = match.groupdict()
            hour = int(groups["h"])
            minute = 30 if groups.get("ban") else int(groups.get("mi") or 0)
            half, meridiem = groups.get("half"), (groups.get("ap") or "").lower()
            if hour < 12 and (half in _AFTERNOON or meridiem.startswith("p")):
                hour += 12
            elif hour == 12 and (half == "凌晨" or meridiem.startswith("a")):
                hour = 0
            found.add(hour % 24 * 60 + minute)
        text = pattern.sub(lambda m: " " * len(m.group()), text)
    return text, found


def _han_value(text: str) -> float | None:
    """三百五十 -> 350; 一万二千 -> 12000; 二〇二六 -> 2026."""
    if not any(c in "十百千万亿" for c in text):
        return float("".join(str(_HAN_DIGITS[c]) for c in text))
    total, section, digit = 0, 0, 0
    for c in text:
        if c in _HAN_DIGITS:
            digit = _HAN_DIGITS[c]
        elif c in _HAN_UNITS:
            section += (digit or 1) * _HAN_UNITS[c]
            digit = 0
        else:
            total = (total + section + digit) * (10_000 if c == "万" else 100_000_000)
            section, digit = 0, 0
    return float(total + section + digit) or None


def _quantity(text: str, value: float, start: int, end: int, unit: str = "") -> Quantity:
    """The number between ``start`` and ``end``, with ``unit`` or else the one that follows it."""
    after = _UNIT.match(text, end)
    found = _UNITS.get(after.group(1).lower(), "") if after else ""
    end = after.end() if after and found else end
    return Quantity(value, unit or found, text[start:end].strip(), (start, end))


def _quantities(text: str) -> list[Quantity]:
    found = []
    for match in _NUMBER.finditer(text):
        scale = (match.group("scale") or "").strip().lower()
        digits = match.group().removesuffix(match.group("scale") or "").replace(",", "").strip()
        value = float(digits) * _SCALES.get(scale, 1)
        before = _CURRENCY.search(text[: match.start()])
        unit = _SYMBOLS.get(before.group(1).lower(), "") if before else ""
        found.append(_quantity(text, value, before.start() if before else match.start(), match.end(), unit))
    for match in _WORD_NUMBER.finditer(text):
        value = _WORDS[match.group(1).lower()] + (_WORDS[match.group(2).lower()] if match.group(2) else 0)
        found.append(_quantity(text, float(value), match.start(), match.end()))
    for match in _ORDINAL_UNIT.finditer(text):
        found.append(_quantity(text, float(_ORDINALS.index(match.group(1).lower()) + 1), *match.span(1)))
    for match in _HAN_NUMBER.finditer(text):
        han_value = _han_value(match.group())
        share = text[max(0, match.start() - 3) : match.start()] == "百分之"
        start = match.start() - 3 if share else match.start()
        # A lone numeral without a unit is usually part of a word (统一, 第一, 万一).
        made = _quantity(text, han_value or 0.0, start, match.end(), "percent" if share else "")
        if han_value is not None and (made.unit or len(match.group()) > 1):
            found.append(made)
    return found


_CODE = re.compile(r"\b(?=[A-Za-z0-9._/-]*[A-Za-z])(?=[A-Za-z0-9._/-]*\d)[A-Za-z0-9]+(?:[-._/][A-Za-z0-9]+)*\b", re.A)
_IDENTIFIER = re.compile(
    r"(?<![\w@./-])[a-z]+(?:_[a-z]+)+\b|(?<![\w@./-])[a-z]+(?:-[a-z]+){2,}\b|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.A
)
_CAPITALISED = re.compile(r"\b[A-Z][a-z]+(?:[A-Z][a-z]*)*\b|\b[A-Z]{2,}\b", re.A)
_SENTENCE_START = re.compile(r"(?:^|[.!?。!?::;\n]\s*|[\"“「]\s*)$")


def names(text: str) -> set[str]:
    """Names in Latin script (codes, identifiers, addresses, acronyms, capitalised words that do not open a sentence) and Chinese
    names of persons, places and organisations as the segmenter tags them; case-folded."""
    found = {m.group().casefold() for m in _CODE.finditer(text) if not _UNIT_LIKE.fullmatch(m.group())}
    found |= {m.group().casefold() for m in _IDENTIFIER.finditer(text)}
    for match in _CAPITALISED.finditer(text):
        word = match.group()
        opens = bool(_SENTENCE_START.search(text[: match.start()]))
        month = word[:3].lower() in _MONTHS and re.fullmatch(_MONTH, word, re.I | re.A)
        if (word.isupper() or not opens) and not month and word.lower() not in _COMMON:
            found.add(word.casefold())
    return found | _han_names(text)


def is_code(name: str) -> bool:
    """Whether a name stays as it is in every language: a code, an identifier, an address."""
    return any(c.isdigit() or c in "_@" for c in name) or name.count("-") > 1


def comparable(name: str, text: str, other: str) -> bool:
    """Whether ``other`` would hold ``name``, which stands in ``text``, as it is: where the languages differ it may be
    translated, but for codes, and for Chinese names where the other is in both."""
    if is_code(name) or is_chinese(text) == is_chinese(other):
        return True
    return not name.isascii() and len(_HAN.findall(other)) >= 2


_HAN = re.compile(r"[\u4e00-\u9fff]")
_UNIT_LIKE = re.compile(r"\d+(?:\.\d+)?(?:st|nd|rd|th|k|kb|mb|gb|tb|am|pm|h|m|s|d|x|km|kg|ms|min)", re.I | re.A)
_COMMON = frozenset(
    [
        "the",
        "a",
        "an",
        "i",
        "it",
        "its",
        "in",
        "on",
        "at",
        "of",
        "for",
        "and",
        "or",
        "but",
        "if",
        "no",
        "not",
        "yes",
        "this",
        "that",
        "these",
        "those",
        "there",
        "they",
        "he",
        "she",
        "we",
        "you",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "source",
        "sources",
        "according",
        "cny",
        "rmb",
        "usd",
        "eur",
        "gbp",
        "am",
        "pm",
        "utc",
    ]
)


def _han_names(text: str) -> set[str]:
    import rjieba

    return {
        word
        for word, tag in rjieba.tag(text)
        if tag in ("nr", "ns", "nt") and len(word) > 1 and "一" <= word[0] <= "鿿"
    }


_NEGATION = re.compile(
    r"不(?!仅|但|断|同|少于|超过|低于|得不|管|论|过[,,]|久|妨|止)|没有|没(?!收)|无(?!论|线|人机|锡|忧)|未(?!来|婚)|禁(?!不住|得住)|切勿|拒[绝收付]|非(?!常|洲)"
    r"|\b(?:not|no|never|none|neither|nor|without|cannot|prohibited|forbidden|banned|disallowed|refused|rejected)\b|n['’]t\b",
    re.I | re.A,
)
_EVERYONE = re.compile(
    r"任何人|任何员工|所有人|所有员工|每个人|人人|谁都|\b(?:any|every)(?:one|body)\b|\ball (?:employees|staff)\b"
    r"|\b(?:any|every) employee\b",
    re.I | re.A,
)
_BOUNDS = re.compile(
    r"不(?:少于|超过|低于|高于|得(?:少于|超过|低于|高于|多于))|no (?:more|less|fewer|later|earlier) than|not (?:more|less|exceed)",
    re.I | re.A,
)


# "a discount that is not on this slide", 没有被录用的应聘者: these say which one is meant, and deny nothing of it.
_RESTRICTION = re.compile(
    r"\b(?:that|which|who)\s+(?:is|are|was|were|has|have|had|do|does|did|can|will)\s+not\b"
    r"|(?:没有被|未被?|不在|不属于|不满|不足)[^，。；,;\s的]{1,12}的(?=[^\s，。；、,;.!！?？])",
    re.I | re.A,
)


def negated(text: str) -> bool:
    """Whether ``text`` denies something; bounds such as 不超过 and "no more than" are no denial, nor are clauses that
    say which thing is meant."""
    return bool(_NEGATION.search(_RESTRICTION.sub(" ", _BOUNDS.sub(" ", text))))


def without_quantities(text: str) -> str:
    """``text`` with a space for each number and its unit."""
    text = unicodedata.normalize("NFKC", text)
    for quantity in extract(text).quantities:
        start, end = quantity.at
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def denies(text: str) -> bool:
    """Whether any word of ``text`` denies, in whatever role."""
    return bool(_NEGATION.search(text))


def everyone(text: str) -> str:
    """The words in ``text`` that say it of everybody (任何人, "anyone"); empty where there are none."""
    found = _EVERYONE.search(text)
    return found.group() if found else ""
