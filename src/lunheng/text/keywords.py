"""The few terms that tell what a passage is about: the ``tags`` of a chunk.

Called by chunking. Nouns and names by rjieba's part of speech for Chinese, words for the rest, ranked by TextRank
(Mihalcea and Tarau 2004): a word counts for much that stands near others that do, and longer words say more. No corpus
is needed, so the same text always gets the same tags.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from functools import lru_cache

from lunheng.text.normalise import simplify
from lunheng.text.segmentation import terms
from lunheng.text.stopwords import KEYWORD_STOP_WORDS, STOP_WORDS

_CONTENT_TAGS = ("n", "vn", "j", "l", "eng", "i")
_WORD = re.compile(r"[^\W\d_][\w.+#-]*[\w+#]|[^\W\d_]")
_HAN_WORD = re.compile(r"[\u3400-\u9fff]{2,}")
_POINTING = re.compile(r"[本各该此每某](?=..)")
"""本手册 is a 手册."""
_CUT_ACROSS = re.compile(r"[本各该此每某].$|.[及与和向于内外]$|^[及与和向于内].$")
"""Two characters that a segmenter without a clue put together: 日及, 内向."""
WINDOW = 3
DAMPING = 0.85
ROUNDS = 8
MAX_WORDS = 400
"""Candidates looked at: a passage is shorter, and a longer text shows its subject by then."""


def extract_keywords(text: str, k: int = 5) -> list[str]:
    """Give up to ``k`` keywords of ``text``, weightiest first, simplified; English in lower case."""
    words = _candidates(text)[:MAX_WORDS]
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for word, form in words:
        forms[word][form] += 1
    ranks = _text_rank([word for word, _ in words])
    # Counters keep the order of first sight and sorted() is stable, so ties fall to the earlier word.
    weights = {word: ranks[word] * _length_weight(word) for word in forms}
    best = sorted(weights, key=weights.__getitem__, reverse=True)[:k]
    return [forms[word].most_common(1)[0][0] for word in best]


def _candidates(text: str) -> list[tuple[str, str]]:
    """(what the word counts as, its form here) of each word that can be a keyword; days and day count as one."""
    import rjieba

    found: list[tuple[str, str]] = []
    for word, tag in rjieba.tag(simplify(text)):
        if len(word) < 2:
            continue
        if _HAN_WORD.fullmatch(word):
            word = _POINTING.sub("", word, count=1)
            if tag.startswith(_CONTENT_TAGS) and word not in KEYWORD_STOP_WORDS and not _is_cut_across(word):
                found.append((word, word))
        elif len(word) > 2 and _WORD.fullmatch(word):
            form = word.casefold()
            if (stem := _stem(form)) and form not in STOP_WORDS:
                found.append((stem, form))
    return found


def _is_cut_across(word: str) -> bool:
    return len(word) == 2 and bool(_CUT_ACROSS.search(word))


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    """What a word counts as; "" for one that names no subject."""
    stem = (terms(word) or [""])[0]
    return "" if stem in STOP_WORDS or stem in KEYWORD_STOP_WORDS else stem


def _text_rank(words: list[str]) -> dict[str, float]:
    """The rank of each word in the graph of those that stand within ``WINDOW`` of one another; it sums to their count."""
    near: dict[str, dict[str, float]] = {word: {} for word in words}
    for at, word in enumerate(words):
        for other in words[at + 1 : at + 1 + WINDOW]:
            if other != word:
                near[word][other] = near[word].get(other, 0.0) + 1.0
                near[other][word] = near[other].get(word, 0.0) + 1.0
    totals = {word: sum(others.values()) for word, others in near.items()}
    counts = Counter(words)
    # The random reader starts at a word as often as it occurs (a word alone in its passage has no neighbours at all).
    start = {word: count / len(words) for word, count in counts.items()}
    ranks = dict(start)
    for _ in range(ROUNDS):
        shares = {word: ranks[word] / totals[word] if totals[word] else 0.0 for word in near}
        ranks = {
            word: (1 - DAMPING) * start[word] + DAMPING * sum(weight * shares[o] for o, weight in others.items())
            for word, others in near.items()
        }
    return ranks


@lru_cache(maxsize=50_000)
def _length_weight(word: str) -> float:
    return math.sqrt(min(len(word), 5)) if _HAN_WORD.fullmatch(word) else math.sqrt(min(len(word), 10) / 2)
