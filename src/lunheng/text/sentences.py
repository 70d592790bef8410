"""Sentence boundaries in Chinese, English and mixed text.

Called by chunkers, extraction of answers and verification. A rule splitter: one pass over the
places where a sentence may end, each decided by what stands around it.
"""

from __future__ import annotations

import re

_CLOSERS = "”’」』）)]】》〉\"'»"
_BREAK = re.compile(rf"(?:[。！？；｡]|…{{2,}}|[.!?…])(?:[。！？!?.…]*)[{re.escape(_CLOSERS)}]*|\n[^\S\n]*(?:\n\s*)?")
_STRONG = "。！？；｡"
_ABBREVIATED = """
    mr mrs ms dr prof sr jr st mt rev gen col lt capt sgt gov sen rep hon pres vs etc eg ie cf al approx dept est inc ltd
    co corp vol ed eds ch sec fig figs eq no nos pp p art para jan feb mar apr jun jul aug sep sept oct nov dec
    mon tue wed thu fri sat sun a.m p.m e.g i.e u.s u.k u.n ph.d m.d b.a m.a u.s.a d.c"""
_ALWAYS_FOLLOWED = "mr mrs ms dr prof st mt rev gen fig figs eq no nos vs eg ie e.g i.e cf pp p vol"
_OPENING = "The A An He She It They We I You In On At This That These Those But However"
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_NEVER_LAST = frozenset(_ALWAYS_FOLLOWED.split())
_STARTERS = frozenset(_OPENING.split())
"""Before one of these an abbreviation such as U.S. or etc. does end its sentence."""
_WORD_BEFORE = re.compile(r"[A-Za-z][A-Za-z.]*$")
_ITEM = re.compile(r"\(?(?:\d{1,3}|[A-Za-z])")
"""What stands before the dot of "1. First item" and "B. Second item"."""
_NEXT_WORD = re.compile(r"[A-Za-z]+")


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Give the (start, end) spans of the sentences of ``text``, in order, without overlap.

    Every character that is not white space lies in exactly one span; spans begin and end on such
    characters. A sentence ends at 。！？； and …… with the quotes and brackets that close on it, at
    ``. ! ?`` where a new sentence follows (not in decimals, versions, URLs, abbreviations, initials),
    and at the end of a line, save where the next line goes on in lower case.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _BREAK.finditer(text):
        if _ends_sentence(text, start, match):
            _append(spans, text, start, match.end())
            start = match.end()
    _append(spans, text, start, len(text))
    return spans


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append((start, end))


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    mark, end = match.group(), match.end()
    following = text[end] if end < len(text) else ""
    if mark[0] == "\n":
        return mark.count("\n") > 1 or not ("a" <= following <= "z" and _is_wrapped(text, match.start()))
    if mark[0] in _STRONG or mark.startswith("……"):
        return True
    if not following:
        return True
    before = text[match.start() - 1] if match.start() else ""
    if not following.isspace():
        # 他来了.然后, "fast.它" and "Really?好" end here; 3.14, a.b.c and e.g.x do not.
        if not _is_east_asian(following):
            return False
        return mark[0] != "." or not (before.isdigit() or _is_abbreviation(text, start, match.start(), ""))
    rest = text[end : end + 80].lstrip(" \t\u3000")
    if rest[:1].islower():
        return False
    return mark[0] != "." or not _is_abbreviation(text, start, match.start(), rest)


def _is_wrapped(text: str, line_end: int) -> bool:
    """A line that goes on in the next one: long enough to have been broken for width."""
    line = text[text.rfind("\n", 0, line_end) + 1 : line_end].rstrip()
    return len(line) >= 30 and line[-1:] not in ".!?:;"


def _is_abbreviation(text: str, start: int, dot: int, rest: str) -> bool:
    if dot - start < 40 and _ITEM.fullmatch(text[start:dot].lstrip()):
        return True
    found = _WORD_BEFORE.search(text, max(start, dot - 20), dot)
    if not found:
        return False
    word = found.group()
    following = _NEXT_WORD.match(rest)
    opens = following is not None and following.group() in _STARTERS
    if word.lower() in _NEVER_LAST:
        return True
    if len(word) == 1 and word.isupper():
        return word != "I" and not opens  # the initial of a name
    return word.lower() in _ABBREVIATIONS and not opens


def _is_east_asian(char: str) -> bool:
    return "\u3040" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7a3"
