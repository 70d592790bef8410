"""Which language a text is in: by script first, by function words among Latin scripts.

Called by parsers (document language), query understanding, fusion and answering. No model file:
what matters here is to tell Chinese, English, Japanese and Korean apart, also in mixed text, at a
few microseconds a query.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SAMPLE = 20_000
"""Characters looked at: a book's language shows on its first pages."""

_HAN = r"\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_SCRIPTS: dict[str, re.Pattern[str]] = {
    "han": re.compile(f"[{_HAN}]"),
    "kana": re.compile(r"[\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d]"),
    "ko": re.compile(r"[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]"),
    "ru": re.compile(r"[\u0400-\u04ff]+"),
    "el": re.compile(r"[\u0370-\u03ff]+"),
    "ar": re.compile(r"[\u0600-\u06ff]+"),
    "he": re.compile(r"[\u0590-\u05ff]+"),
    "hi": re.compile(r"[\u0900-\u097f]+"),
    "th": re.compile(r"[\u0e00-\u0e7f]{1,4}"),
    "latin": re.compile(r"[A-Za-z\u00c0-\u024f]{2,}"),
}
_OTHER_SCRIPT = re.compile(
    "[\u0370-\u06ff\u0900-\u097f\u0e00-\u0e7f\u1100-\u11ff\u3041-\u30fa\u3131-\u318e\uac00-\ud7a3\uff66-\uff9d]"
)
"""Some character of a script that is neither Chinese nor Latin (and a few that are of none)."""
_WORDS = {
    "en": "the of and to in is was for that with on as are by what which who how it this from at be",
    "fr": "le la les des et du une est dans que qui pour sur avec pas au ce sont par il",
    "de": "der die das und ist von mit den dem ein eine nicht auf für zu im sich wird als auch",
    "es": "el los las de y que en es del por con una para se su al como más está un",
    "it": "il di che e la per un è del non con una sono della le nel gli da alla si",
    "pt": "o os as de e que em do da um uma não para com é dos no na se por",
    "nl": "de het een van en in is dat op te zijn voor met niet aan er die ook wordt bij",
}
_FUNCTION_WORDS = {code: frozenset(words.split()) for code, words in _WORDS.items()}
_ANY_FUNCTION_WORD = frozenset().union(*_FUNCTION_WORDS.values())
_MIN_EVIDENCE = 2
"""Function words of another language than English that a text must hold to be called that language."""


def _counts(text: str) -> dict[str, int]:
    # Nearly every text is Chinese or Latin or both: one look tells that eight counts are zero.
    looked_for = _SCRIPTS if not text.isascii() and _OTHER_SCRIPT.search(text) else ("han", "latin")
    return {name: len(p.findall(text)) if name in looked_for else 0 for name, p in _SCRIPTS.items()}


def han_share(text: str) -> float:
    """The share of Chinese characters among the letters of ``text`` (0 where it has no letters)."""
    letters = sum(1 for c in text if c.isalpha())
    return len(_SCRIPTS["han"].findall(text)) / letters if letters else 0.0


def detect_language(text: str) -> str:
    """Give the ISO 639-1 code of the main language of ``text``: zh, en, ja, ko ..., or ``und``.

    One Chinese character weighs as one Latin word, so 如何配置 GPU server 的 cache is Chinese and an
    English sentence that quotes 北京 is English. ``und`` where there is nothing to tell by.
    """
    return _detect(text[:_SAMPLE])


def is_chinese(text: str) -> bool:
    """Whether ``detect_language`` takes ``text`` for Chinese."""
    return detect_language(text) == "zh"


@lru_cache(maxsize=16)
def _detect(sample: str) -> str:
    """Remembered, since a short document is asked for itself and again for its one chunk."""
    counts = _counts(sample)
    east_asian = counts["han"] + counts["kana"]
    units = {k: n for k, n in counts.items() if k not in ("han", "kana")} | {"cjk": east_asian}
    script = max(units, key=lambda k: units[k])
    if not units[script]:
        return "und"
    if script == "cjk":
        return "ja" if counts["kana"] * 10 > east_asian else "zh"
    return _latin_language(sample) if script == "latin" else script


def _latin_language(text: str) -> str:
    words = [w for w in re.findall(r"[a-z\u00df-\u024f]+", text.lower()) if w in _ANY_FUNCTION_WORD]
    scores = {code: sum(map(known.__contains__, words)) for code, known in _FUNCTION_WORDS.items()}
    best = max(scores, key=lambda code: scores[code])
    return best if scores[best] >= _MIN_EVIDENCE and scores[best] > scores["en"] else "en"
