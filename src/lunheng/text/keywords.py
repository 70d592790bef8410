"""The few terms that tell what a passage is about: the ``tags`` of a chunk.

Called by chunking. Nouns and names by rjieba's part of speech for Chinese, words for the rest;
weight = frequency x length (longer words say more), first seen first where equal. No corpus is
needed, so the same text always gets the same tags.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache

from lunheng.text.normalise import simplify
from lunheng.text.stopwords import STOP_WORDS

_CONTENT_TAGS = ("n", "vn", "j", "l", "eng", "i")
_WORD = re.compile(r"[^\W\d_][\w.+#-]*[\w+#]|[^\W\d_]")
_HAN_WORD = re.compile(r"[\u3400-\u9fff]{2,}")


def extract_keywords(text: str, k: int = 5) -> list[str]:
    """Give up to ``k`` keywords of ``text``, weightiest first, simplified; English in lower case."""
    import rjieba

    words: list[str] = []
    for word, tag in rjieba.tag(simplify(text)):
        if len(word) < 2:
            continue
        if _HAN_WORD.fullmatch(word):
            if tag.startswith(_CONTENT_TAGS):
                words.append(word)
        elif len(word) > 2 and _WORD.fullmatch(word):
            words.append(word.casefold())
    counts = Counter(w for w in words if w not in STOP_WORDS)
    # Counter keeps the order of first sight and sorted() is stable, so ties fall to the earlier word.
    weights = {word: count * _length_weight(word) for word, count in counts.items()}
    return sorted(weights, key=weights.__getitem__, reverse=True)[:k]


@lru_cache(maxsize=50_000)
def _length_weight(word: str) -> float:
    return math.sqrt(min(len(word), 5)) if _HAN_WORD.fullmatch(word) else math.sqrt(min(len(word), 10) / 2)
