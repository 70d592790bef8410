"""Personal data in texts: what a model should not learn by heart.

Called by ``check``. Numbers count only where their check digits agree (Chinese identity numbers: GB 11643; cards:
Luhn, ISO/IEC 7812), so that a long number is not taken for a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b", re.A)
_MOBILE = re.compile(r"(?<![\d.])(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?![\d.])")
_PHONE = re.compile(r"(?<![\w.])(?:\+\d{1,3}[ -])?\(?\d{3}\)?[ -]\d{3}[ -]\d{4}(?![\w.])")
_IDENTITY = re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)")
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.])")
_EXAMPLE_MAIL = re.compile(r"@(?:[\w-]+\.)*example(?:\.\w+)?$|\.(?:test|invalid|example)$", re.I)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def personal_data(text: str) -> Iterator[tuple[str, str]]:
    """(kind, the text with all but its ends hidden) for each finding: email, phone, identity number, card number."""
    for match in _EMAIL.finditer(text):
        if not _EXAMPLE_MAIL.search(match.group()):
            yield "email", _masked(match.group())
    for pattern in (_MOBILE, _PHONE):
        for match in pattern.finditer(text):
            yield "phone", _masked(match.group())
    for match in _IDENTITY.finditer(text):
        if _is_identity(match.group().upper()):
            yield "identity number", _masked(match.group())
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        if _luhn(digits) and not (len(digits) == 18 and _is_identity(digits)):
            yield "card number", _masked(match.group())


def _masked(text: str) -> str:
    return f"{text[:3]}…{text[-2:]}"


def _is_identity(number: str) -> bool:
    total = sum(int(c) * w for c, w in zip(number, _WEIGHTS, strict=False))
    return "10X98765432"[total % 11] == number[17] and "1900" <= number[6:10] <= "2099"


def _luhn(digits: str) -> bool:
    if digits[0] not in "3456" or len(set(digits)) < 2:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0
