"""A number as a spreadsheet shows it: 12.5%, ¥1,234.00, 2026年3月1日.

Called by the spreadsheet parser with a cell's value and its format code (ECMA-376 part 1, 18.8.30-31). What a screen
would show in another way from country to country (the short date) is given in ISO form; a code that is not understood
leaves the plain value.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache

BUILTIN = {
    **{1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 48: "##0.0E+0"},
    **{5: "¥#,##0;¥-#,##0", 6: "¥#,##0;¥-#,##0", 7: "¥#,##0.00;¥-#,##0.00", 8: "¥#,##0.00;¥-#,##0.00"},
    **{14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM"},
    **{20: "h:mm", 21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0"},
    **{37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;(#,##0.00)"},
    **dict.fromkeys((27, 36, 50, 52, 57), 'yyyy"年"m"月"'),
    **dict.fromkeys((28, 29, 51, 53, 54, 58), 'm"月"d"日"'),
    **{30: "m-d-yy", 31: 'yyyy"年"m"月"d"日"', 32: 'h"时"mm"分"', 33: 'h"时"mm"分"ss"秒"'},
    **dict.fromkeys((34, 55), '上午/下午h"时"mm"分"'),
    **dict.fromkeys((35, 56), '上午/下午h"时"mm"分"ss"秒"'),
}
"""Formats that a file names by number alone; 5 to 8 and 27 to 58 are those of a Chinese Excel."""
_EPOCH = dt.datetime(1899, 12, 30)
MAX_SERIAL = 2_958_465.99999
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_(?P<pad>.)|\*(?P<fill>.)|\[(?P<bracket>[^\]]*)\]'
    r"|(?P<ampm>AM/PM|A/P|上午/下午)|(?P<seconds>s+\.0+)|(?P<date>y+|m+|d+|h+|s+|a{3,4}|b{2,4}|e+)"
    r"|(?P<number>[0#?][0#?,.]*(?:E[+-][0#?]+)?|\.[0#?]+)|(?P<percent>%)|(?P<general>General)|(?P<text>@)|(?P<other>.)",
    re.I | re.S,
)
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_ELAPSED = re.compile(r"h+|m+|s+", re.I)

Token = tuple[str, str]
Value = float | int | str | bool | dt.datetime | dt.date | dt.time | dt.timedelta


@lru_cache(maxsize=2_000)
def _sections(code: str) -> tuple[tuple[Token, ...], ...]:
    sections: list[list[Token]] = [[]]
    for match in _TOKEN.finditer(code):
        kind, text = match.lastgroup or "other", match.group(match.lastgroup or 0)
        if kind == "other" and text == ";":
            sections.append([])
        else:
            sections[-1].append((kind, text))
    return tuple(tuple(section) for section in sections)


def is_date_format(code: str) -> bool:
    """Whether a code shows a number as a date, a time or a duration."""
    first = _sections(code)[0]
    return any(k in ("date", "seconds") or (k == "bracket" and _ELAPSED.fullmatch(t)) for k, t in first)


def format_value(value: Value, code: str, epoch_1904: bool = False) -> str | None:
    """The text that a cell shows, or None where the code says nothing of it (and the plain value stands).

    Dates may come as such or as serial numbers, counted from 1900 or 1904.
    """
    if isinstance(value, (bool, str)) or not code or code.lower() in ("general", "@"):
        return None
    if is_date_format(code):
        moment = _moment(value, epoch_1904)
        return _show_date(moment, _sections(code)[0]) if moment is not None else None
    if isinstance(value, (int, float)):
        return _show_number(value, _sections(code))
    return None


def _moment(value: Value, epoch_1904: bool) -> dt.datetime | dt.timedelta | None:
    if isinstance(value, (dt.datetime, dt.timedelta)):
        return value
    if isinstance(value, dt.date):
        return dt.datetime.combine(value, dt.time())
    if isinstance(value, dt.time):
        return dt.datetime.combine(_EPOCH.date(), value)
    if isinstance(value, (int, float)) and 0 <= value <= MAX_SERIAL:
        # Rounded to a millisecond: a serial number holds no more.
        return _EPOCH + dt.timedelta(milliseconds=round((value + (1462 if epoch_1904 else 0)) * 86_400_000))
    return None


def _show_date(moment: dt.datetime | dt.timedelta, tokens: tuple[Token, ...]) -> str:
    elapsed = moment if isinstance(moment, dt.timedelta) else moment - _EPOCH
    when = moment if isinstance(moment, dt.datetime) else _EPOCH + moment
    half = any(kind == "ampm" for kind, _ in tokens)
    parts: list[str] = []
    for at, (kind, text) in enumerate(tokens):
        if kind == "date":
            parts.append(_date_part(when, text.lower(), _is_minute(tokens, at), half))
        elif kind == "seconds":
            parts.append(f"{when.second:02d}.{when.microsecond // 1000:03d}"[: 3 + len(text.split(".")[1])])
        elif kind == "ampm":
            parts.append(("上午" if when.hour < 12 else "下午") if text.startswith("上") else f"{when:%p}")
        elif kind == "bracket" and _ELAPSED.fullmatch(text):
            unit = {"h": 3600, "m": 60, "s": 1}[text[0].lower()]
            parts.append(str(int(elapsed.total_seconds() // unit)).zfill(len(text)))
        elif kind in ("quoted", "escaped", "other"):
            parts.append(text)
    return "".join(parts).strip()


def _is_minute(tokens: tuple[Token, ...], at: int) -> bool:
    """``m`` after an hour or before seconds is a minute."""
    marks = [(k, t.lower()) for k, t in tokens[:at] if k in ("date", "seconds", "bracket")]
    before = marks[-1][1] if marks else ""
    after = next((t.lower() for k, t in tokens[at + 1 :] if k in ("date", "seconds")), "")
    return before.startswith("h") or after.startswith("s")


def _date_part(when: dt.datetime, text: str, minute: bool, half: bool) -> str:
    unit, width = text[0], len(text)
    if unit in "ye":
        return f"{when.year % 100:02d}" if unit == "y" and width <= 2 else str(when.year)
    if unit == "m" and minute and width <= 2:
        return f"{when.minute:0{width}d}"
    if unit == "m":
        name = _MONTHS[when.month - 1]
        return f"{when.month:0{width}d}" if width <= 2 else name[:3] if width == 3 else name[0] if width == 5 else name
    if unit == "d":
        name = _DAYS[when.weekday()]
        return f"{when.day:0{width}d}" if width <= 2 else name[:3] if width == 3 else name
    if unit == "a":
        return ("星期" if width == 4 else "") + "一二三四五六日"[when.weekday()]
    if unit == "h":
        hour = (when.hour % 12 or 12) if half else when.hour
        return f"{hour:0{min(width, 2)}d}"
    return f"{when.second:0{min(width, 2)}d}" if unit == "s" else ""


def _show_number(value: float, sections: tuple[tuple[Token, ...], ...]) -> str | None:
    conditional = any(k == "bracket" and t[:1] in "<>=" for s in sections for k, t in s)
    if conditional or value != value or value in (float("inf"), float("-inf")):
        return None
    chosen = sections[1] if value < 0 and len(sections) > 1 else sections[0]
    if value == 0 and len(sections) > 2:
        chosen = sections[2]
    own_sign = value < 0 and len(sections) > 1
    places = [text for kind, text in chosen if kind == "number"]
    if any("/" in text for kind, text in chosen if kind == "other") and len(places) > 1:
        return None  # fractions: ``# ?/?``
    shown = abs(value) * 100 ** sum(kind == "percent" for kind, _ in chosen)
    parts: list[str] = []
    done = False
    for kind, text in chosen:
        if kind == "number":
            parts.append("" if done else _digits(shown, text))
            done = True
        elif kind == "general":
            parts.append(f"{shown:.10g}")
            done = True
        elif kind == "bracket" and text.startswith("$"):
            parts.append(text[1:].split("-")[0])
        elif kind in ("quoted", "escaped", "other", "percent"):
            parts.append(text)
    text = "".join(parts).strip()
    if not done and not text:
        return ""
    return f"-{text}" if value < 0 and not own_sign and any(c in "123456789" for c in text) else text


def _digits(value: float, pattern: str) -> str:
    """Digits by a pattern such as ``#,##0.00``; each comma after the last place divides by a thousand."""
    mantissa, exponent, _ = pattern.partition("E")
    if exponent:
        return f"{value:.{len(mantissa.partition('.')[2])}E}"
    scaled = value / 1000 ** (len(pattern) - len(pattern.rstrip(",")))
    whole, _, fraction = pattern.rstrip(",").partition(".")
    try:
        rounded = Decimal(repr(scaled)).quantize(Decimal(1).scaleb(-min(len(fraction), 30)), ROUND_HALF_UP)
    except InvalidOperation:
        return f"{scaled:.12g}"
    digits, _, decimals = f"{rounded:f}".partition(".")
    needed = sum(c == "0" for c in whole)
    digits = "" if digits == "0" and not needed else digits.zfill(needed)
    if "," in whole and digits:
        digits = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", ",", digits)
    kept = fraction.rstrip("#?")
    while len(decimals) > len(kept) and decimals.endswith("0"):
        decimals = decimals[:-1]
    return f"{digits}.{decimals}" if decimals else digits
