"""Whether a number that the question brings along lies within the bound that a source sets.

Called by verification. "Can a grade 5 employee ...?" is not answered with yes by a source that speaks of grade 6 and
above; its number stands in no source, so that only the comparison can tell.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from lunheng.answering import facts
from lunheng.answering.facts import Quantity

Sign = Literal[">=", ">", "<=", "<"]

_BEFORE: tuple[tuple[re.Pattern[str], Sign], ...] = (
    (
        re.compile(
            r"(?:不(?:得|应|可|能)?(?:低于|少于|小于)|不下于|至少|最少|(?:no|not) (?:less|fewer|lower|below)(?: than)?"
            r"|at least|minimum of)\W*$",
            re.I,
        ),
        ">=",
    ),
    (
        re.compile(
            r"(?:不(?:得|应|可|能)?(?:高于|超过|多于|大于)|至多|最多|(?:no|not) (?:more|higher|later|above)(?: than)?"
            r"|not exceed\w*|at most|up to|maximum of)\W*$",
            re.I,
        ),
        "<=",
    ),
    (re.compile(r"\bwithin\W*$", re.I), "<="),
    (
        re.compile(
            r"(?:高于|超过|大于|多于|超出|\b(?:above|over|(?:more|higher|greater|older) than|exceed\w*))\W*$", re.I
        ),
        ">",
    ),
    (
        re.compile(r"(?:低于|少于|小于|未满|不满|不足|\b(?:below|under|(?:less|fewer|lower|younger) than))\W*$", re.I),
        "<",
    ),
)
_AFTER: tuple[tuple[re.Pattern[str], Sign], ...] = (
    (re.compile(r"\s*[^\W\d]?(?:及|或)?以上|\s*(?:and|or) (?:above|over|more|higher|up|older)\b", re.I), ">="),
    (re.compile(r"\s*[^\W\d]?(?:及|或)?以下|\s*(?:and|or) (?:below|less|fewer|lower|under|younger)\b", re.I), "<="),
    (re.compile(r"\s*(?:以内|之内|内)"), "<="),
)
_DEADLINE = re.compile(r"\bwithin\W*$|\s*(?:以内|之内|内)", re.I)
"""These bounds turn round where the clause denies: what is not collected within 45 minutes takes longer."""
_CLAUSE_END = re.compile(r"[;；，。!！?？\n|]|[.,](?!\d)")
_NO_NAME = frozenset(
    [
        "at",
        "to",
        "of",
        "than",
        "least",
        "most",
        "within",
        "over",
        "above",
        "below",
        "under",
        "is",
        "are",
        "and",
        "or",
        "for",
        "in",
        "by",
        "about",
    ]
)


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound that a text sets: its number and what lies within."""

    quantity: Quantity
    sign: Sign
    text: str
    """The bound as written."""
    kind: frozenset[str]
    """What the number counts, by its unit and the words beside it."""

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies within."""
        limit = self.quantity.value
        if self.sign == ">=":
            return value >= limit
        if self.sign == ">":
            return value > limit
        return value <= limit if self.sign == "<=" else value < limit


def violated(sentence: str, question: str, statement: str) -> str | None:
    """The bound of ``statement``, as written, that a number of ``question`` lies outside of; None where none does.

    Only numbers that the statement does not hold itself count, and that ``sentence`` repeats (or, as a bare yes or
    no, leaves out with every other number).
    """
    said, held = facts.extract(sentence).quantities, {q.value for q in facts.extract(statement).quantities}
    repeated = {q.value for q in said}
    asked = [q for q in facts.extract(question).quantities if q.value not in held]
    asked = [q for q in asked if q.value in repeated or not repeated]
    for bound in bounds(statement) if asked else ():
        for quantity in asked:
            if _kind(question, quantity) & bound.kind and not bound.holds(quantity.value):
                return bound.text
    return None


def bounds(text: str) -> list[Bound]:
    """Every number of ``text`` that bounds something (6 级以上, "at least 40 percent", 不得低于 15 度)."""
    text = unicodedata.normalize("NFKC", text)
    found: list[Bound] = []
    for quantity in sorted(facts.extract(text).quantities, key=lambda q: q.at):
        start, end = quantity.at
        opening = max((m.end() for m in _CLAUSE_END.finditer(text, 0, start)), default=0)
        closing = next((m.start() for m in _CLAUSE_END.finditer(text, end)), len(text))
        for before, sign in _BEFORE:
            if match := before.search(text, opening, start):
                found.append(_bound(text, quantity, sign, match.start(), end, (opening, closing)))
                break
        else:
            for after, sign in _AFTER:
                if match := after.match(text, end):
                    found.append(_bound(text, quantity, sign, start, match.end(), (opening, closing)))
                    break
    return found


def _bound(text: str, quantity: Quantity, sign: Sign, start: int, end: int, clause: tuple[int, int]) -> Bound:
    first, last = quantity.at
    deadline = _DEADLINE.search(text[start:first]) or _DEADLINE.match(text[last:end])
    if deadline and facts.denies(text[clause[0] : start] + " " + text[end : clause[1]]):
        sign = ">" if sign == "<=" else sign
    return Bound(quantity, sign, text[start:end].strip(), _kind(text, quantity))


def _kind(text: str, quantity: Quantity) -> frozenset[str]:
    """The unit, the word before ("grade 5") and the character after (5 级): one of them in common is enough."""
    text = unicodedata.normalize("NFKC", text)
    start, end = quantity.at
    kinds = {quantity.unit} if quantity.unit else set()
    if (word := re.search(r"([A-Za-z]+)\s*$", text[:start])) and word.group(1).lower() not in _NO_NAME:
        kinds.add(word.group(1).lower())
    if not quantity.unit and (character := re.match(r"\s*([\u4e00-\u9fff])", text[end:])) is not None:
        kinds.add(character.group(1))
    return frozenset(kinds - set("以及或内的"))
