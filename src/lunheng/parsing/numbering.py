"""Headings by their numbers alone: 第三章, 第十二条, 一、, 1.2, Chapter 4, Article 5, Appendix B.

Called by the PDF and plain text parsers, where no style says what a heading is, and by recognition.
"""

from __future__ import annotations

import re

MAX_HEADING = 80
"""A heading longer than this (in characters, a Chinese one counting as two) is a sentence with a number."""

_NUMERAL = r"[0-9０-９一二三四五六七八九十百千零〇两]+"
_CHINESE = (
    (re.compile(rf"第\s*{_NUMERAL}\s*[编卷部篇](?!分)"), 1),
    (re.compile(rf"第\s*{_NUMERAL}\s*章"), 2),
    (re.compile(rf"第\s*{_NUMERAL}\s*节"), 3),
)
_ENGLISH = (
    (re.compile(r"(?:PART|Part)\s+(?:[IVXLC]+|\d+|[A-Z])\b"), 1),
    (re.compile(r"(?:CHAPTER|Chapter)\s+(?:[IVXLC]+|\d+|[A-Z][a-z]+)\b"), 2),
    (re.compile(r"(?:APPENDIX|Appendix|ANNEX|Annex)\s+(?:[IVXLC]+|\d+|[A-Z])\b"), 2),
    (re.compile(r"(?:ARTICLE|Article|SECTION|Section)\s+(?:[IVXLC]+|\d+(?:\.\d+)*)\b"), 3),
)
_DECIMAL = re.compile(
    r"(\d{1,2}(?:\.\d{1,2}){0,4})(\.|、)?[\s\u3000]+(?=[^\W\d_])|(\d{1,2}(?:\.\d{1,2}){1,4})(?=[\u3400-\u9fff])"
)
_ARTICLE = re.compile(rf"第\s*{_NUMERAL}\s*条(?:之[一二三四五六七八九十]+)?")
_RANKS = (
    re.compile(rf"第\s*{_NUMERAL}\s*[编卷部篇]|(?:PART|Part)\s+(?:[IVXLC]+|\d+|[A-Z])\b"),
    re.compile(rf"第\s*{_NUMERAL}\s*章|附录|(?:CHAPTER|Chapter|APPENDIX|Appendix|ANNEX|Annex)\s+\w+\b"),
    re.compile(rf"第\s*{_NUMERAL}\s*节|(?:SECTION|Section)\s+\w+\b"),
    re.compile(rf"第\s*{_NUMERAL}\s*条|(?:ARTICLE|Article)\s+\w+\b"),
    re.compile(r"[一二三四五六七八九十]{1,3}[、．]"),
    re.compile(r"[（(][一二三四五六七八九十]{1,3}[）)]"),
)
_NUMBER = re.compile(rf"第\s*{_NUMERAL}\s*[编卷部篇章节条](?:之[一二三四五六七八九十]+)?")
_LIST_CHINESE = re.compile(r"[一二三四五六七八九十]{1,3}[、．]")
_START = frozenset("0123456789第一二三四五六七八九十PCAS")
"""What a numbered heading can begin with: most lines are told by their first character."""
_SENTENCE_END = re.compile(r"[。！？；，、：:;,!?]$|[a-z)]\.$")


def heading_level(line: str) -> int | None:
    """The level of a numbered heading, from 1, or None if ``line`` does not read as one.

    Levels are relative: 编 1, 章 2, 节 3; ``1`` 2, ``1.2`` 3, ``1.2.3`` 4; 一、 2.
    """
    line = line.strip()
    if not line or line[0] not in _START or len(line) > MAX_HEADING or _SENTENCE_END.search(line):
        return None
    width = sum(2 if "\u2e80" <= c <= "\uffef" else 1 for c in line)
    if width > MAX_HEADING:
        return None
    for pattern, level in (*_CHINESE, *_ENGLISH):
        if match := pattern.match(line):
            rest = line[match.end() :]
            if rest[:1] == "," or rest.lstrip()[:1].islower():
                return None  # "Section 106, describes", "Article 5 of the law"
            # "第三章规定了……" is a sentence about a chapter: a title follows a gap, or nothing does.
            return level if not rest or rest[0] in " \u3000:：.．-—" or width <= 40 else None
    if match := _DECIMAL.match(line):
        return (match.group(1) or match.group(3)).count(".") + 2
    return 2 if _LIST_CHINESE.match(line) and width <= 50 else None


def is_strong_heading(line: str) -> bool:
    """Numbered so plainly (第三章, Chapter 4) that it is a heading without any typographic sign."""
    line = line.strip()
    return heading_level(line) is not None and any(p.match(line) for p, _ in (*_CHINESE, *_ENGLISH))


def is_article(line: str) -> bool:
    """Whether a line is the number of an article, alone or with a short title: 第十二条 保管期限."""
    line = line.strip()
    match = _ARTICLE.match(line)
    if not match or _SENTENCE_END.search(line):
        return False
    rest = line[match.end() :]
    return not rest or (rest[0] in " \u3000:：" and sum(2 if "\u2e80" <= c <= "\uffef" else 1 for c in line) <= 40)


def number_length(line: str) -> int:
    """How many characters of a line are its number, of the kinds 第三章 and 第十二条; 0 without one."""
    match = _NUMBER.match(line)
    return match.end() if match else 0


def heading_rank(line: str) -> int | None:
    """The place of a heading's number among the kinds of numbers in one document, the uppermost first; None without one.

    编, 章 (Chapter), 节 (Section), 条, 一、, （一）, 1, 1.2, 1.2.3; an appendix ranks with chapters.
    """
    line = line.strip()
    for rank, pattern in enumerate(_RANKS):
        if pattern.match(line):
            return rank
    if match := _DECIMAL.match(line):
        return len(_RANKS) + (match.group(1) or match.group(3)).count(".")
    return None
