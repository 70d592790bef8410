"""Text to index terms: what BM25 counts, in the index and in the query alike.

Called by the lexical index, fusion and verification. Measured on six sets (benchmarks/lexical.py):

- Chinese in the index gives its dictionary words (rjieba, without the HMM, which would cut the same
  unknown name differently in passage and question), the words inside them, every character, and the
  pair where two lone characters meet (王芳: an unknown word). The query gives words, inner words,
  lone characters and pairs, but not the characters of known words. So 数据库 finds 向量数据库 and the
  other way round, a lone character finds itself inside a word, and an unknown name is found however
  its neighbours are cut. Plain words lose up to .03 nDCG@10 to this, bigrams up to .07.
- English is stemmed (Snowball). Identifiers, model codes and versions give their whole and their
  parts: XG-2000 and XG2000 both give xg2000, xg, 2000; 3.11.7 also gives 3.11.
"""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from itertools import pairwise

from lunheng.text.normalise import simplify
from lunheng.text.stopwords import STOP_WORDS

_HAN = r"\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_UNSPACED = r"\u0e00-\u0e7f\u3041-\u30fa\u30fc\uac00-\ud7a3"
_OTHER = rf"[^\W{_HAN}{_UNSPACED}]"
_TOKEN = re.compile(
    rf"(?P<han>[{_HAN}]+)"
    rf"|(?P<unspaced>[{_UNSPACED}]+)"
    rf"|(?P<number>\d{{1,3}}(?:,\d{{3}}){{1,6}}(?:\.\d+)?(?!{_OTHER})|[vV]?\d+(?:\.\d+)+(?!{_OTHER}))"
    r"|(?P<acronym>\b(?:[A-Za-z]\.){2,}(?:[A-Za-z]\b)?)"
    rf"|(?P<word>{_OTHER}+(?:[-.'’+#&/]{_OTHER}+)*(?:\+\+|\#)?)"
)
_PIECE = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_POSSESSIVE = re.compile(r"['’]s?$|['’]s(?=[-.])", re.IGNORECASE)


_local = threading.local()
"""One stemmer a thread: PyStemmer's are not safe to share."""


def _stem(word: str) -> str:
    if not hasattr(_local, "stemmer"):
        from Stemmer import Stemmer

        _local.stemmer = Stemmer("english")
    stemmed: str = _local.stemmer.stemWord(word)
    return stemmed


def terms(text: str, for_query: bool = False) -> list[str]:
    """Give the terms of ``text`` in order, repeats kept.

    A query drops its stop words unless it has nothing else; the index keeps them, so that a query
    made of stop words alone (The Who) still finds its passages.
    """
    found: list[str] = []
    for match in _TOKEN.finditer(simplify(text)):
        kind, token = match.lastgroup, match.group()
        found += _word_terms(token) if kind == "word" else _expand(kind, token, for_query)
    if for_query:
        return [term for term in found if term not in STOP_WORDS] or found
    return found


def words(text: str) -> list[str]:
    """The words of ``text`` in order, each once where it stands: what ROUGE compares. Case and width do not count.

    Chinese gives its dictionary words; other words, numbers and codes stay whole and are not stemmed.
    """
    import rjieba

    found: list[str] = []
    for match in _TOKEN.finditer(simplify(text)):
        token = match.group()
        if match.lastgroup == "han":
            found += rjieba.cut(token, False)
        elif match.lastgroup == "unspaced":
            found += list(token)
        else:
            found.append(token.casefold())
    return found


def _expand(kind: str | None, token: str, for_query: bool) -> list[str]:
    if kind == "han":
        return _han_terms(token, for_query)
    if kind == "unspaced":
        return [token[i : i + 2] for i in range(max(1, len(token) - 1))]
    if kind == "number":
        return _number_terms(token)
    return [token.replace(".", "").casefold()]


def _han_terms(run: str, for_query: bool) -> list[str]:
    import rjieba

    words: list[str] = rjieba.cut_for_search(run, False)
    # Inner words precede their word and are at least two long, so neighbours here are neighbours there.
    pairs = [a + b for a, b in pairwise(words) if len(a) == 1 == len(b)]
    if for_query:
        return words + pairs
    return [*(word for word in words if len(word) > 1), *run, *pairs]


def _number_terms(token: str) -> list[str]:
    """1,234 counts as 1234; 3.11.7 as itself and its prefix 3.11."""
    if "," in token:
        return [token.replace(",", "")]
    parts = token.lower().removeprefix("v").split(".")
    return [".".join(parts[:n]) for n in range(2, len(parts) + 1)]


@lru_cache(maxsize=50_000)
def _word_terms(token: str) -> tuple[str, ...]:
    """An English word to its stem; a compound to its whole (separators dropped) and its parts. Remembered."""
    if token.isalpha() and token[1:].islower():  # nearly all words
        return (_stem(token.casefold()),)
    token = _POSSESSIVE.sub("", token).replace("'", "").replace("’", "")
    pieces = [p for piece in _PIECE.findall(token) for p in _CAMEL.split(piece)]
    if len(pieces) <= 1:
        whole = token.casefold() if token[-1:] in "+#" else _stem(token.casefold().strip("_"))
        return (whole,) if whole else ()
    stems = tuple(_stem(piece.casefold()) for piece in pieces)
    plain = all(piece.isalpha() and len(piece) > 1 for piece in pieces)
    if plain and "_" not in token and not _CAMEL.search(token):
        return stems  # well-known, and/or: words that stand side by side; but e-mail is also email
    return ("".join(pieces).casefold(), *stems)
