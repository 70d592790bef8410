"""Text to index terms: what BM25 counts, in the index and in the query alike.

Called by the lexical index, keywords, fusion and verification. Chinese is cut into words by rjieba
and each word also gives its parts, so that 数据库 finds 向量数据库 and the other way round; English
is stemmed (Snowball); identifiers, versions and model codes stay whole and give their parts too.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from lunheng.text.normalise import simplify
from lunheng.text.stopwords import STOP_WORDS

if TYPE_CHECKING:
    from Stemmer import Stemmer

_HAN = r"\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_UNSPACED = r"\u0e00-\u0e7f\u3041-\u30fa\u30fc\uac00-\ud7a3"
_TOKEN = re.compile(
    rf"(?P<han>[{_HAN}]+)"
    rf"|(?P<unspaced>[{_UNSPACED}]+)"
    rf"|(?P<number>\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?(?![\w,.]*\w)|v?\d+(?:\.\d+)+(?![^\W{_HAN}{_UNSPACED}]))"
    rf"|(?P<word>[^\W{_HAN}{_UNSPACED}]+(?:[-.'’+#&/][^\W{_HAN}{_UNSPACED}]+)*(?:\+\+|\#)?)"
)
_PIECE = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_POSSESSIVE = re.compile(r"['’]s?$|['’]s(?=[-.])", re.IGNORECASE)


@cache
def _stemmer() -> Stemmer:
    from Stemmer import Stemmer

    return Stemmer("english")


def terms(text: str, for_query: bool = False) -> list[str]:
    """Give the terms of ``text`` in order, repeats kept.

    A query drops its stop words unless it has nothing else; the index keeps them, so that a query
    made of stop words alone (The Who) still finds its passages.
    """
    found = [term for match in _TOKEN.finditer(simplify(text)) for term in _expand(match)]
    if for_query:
        return [term for term in found if term not in STOP_WORDS] or found
    return found


def _expand(match: re.Match[str]) -> list[str]:
    token, kind = match.group(), match.lastgroup
    if kind == "han":
        return _han_terms(token)
    if kind == "unspaced":
        return [token[i : i + 2] for i in range(max(1, len(token) - 1))]
    if kind == "number":
        return _number_terms(token)
    return _word_terms(token)


def _han_terms(run: str) -> list[str]:
    import rjieba

    cut: list[str] = rjieba.cut_for_search(run)
    return cut


def _number_terms(token: str) -> list[str]:
    """1,234 counts as 1234; 3.11.7 as itself and its prefix 3.11."""
    if "," in token:
        return [token.replace(",", "")]
    parts = token.lower().removeprefix("v").split(".")
    return [".".join(parts[:n]) for n in range(2, len(parts) + 1)]


def _word_terms(token: str) -> list[str]:
    """An English word to its stem; a compound to its whole (separators dropped) and its parts."""
    token = _POSSESSIVE.sub("", token)
    pieces = [p for piece in _PIECE.findall(token) for p in _CAMEL.split(piece)]
    stem = _stemmer().stemWord
    if len(pieces) <= 1:
        return [token.casefold() if token[-1:] in "+#" else stem(token.casefold().strip("_"))]
    stems = [stem(piece.casefold()) for piece in pieces]
    if all(piece.isalpha() for piece in pieces) and "_" not in token and not _CAMEL.search(token):
        return stems  # well-known, and/or: words that stand side by side
    return ["".join(pieces).casefold(), *stems]
