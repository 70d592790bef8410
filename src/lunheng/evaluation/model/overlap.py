"""Exact match and F1 between an answer and its references, as in SQuAD (Rajpurkar et al. 2016) and CMRC 2018.

Called by ``answering`` and ``bbh``. Case, width, punctuation, traditional characters and English articles do not
count; Chinese is compared by characters, since its words have no agreed bounds, and all else by words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from lunheng.text import normalise

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_CHARACTERS = r"\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_UNIT = re.compile(rf"[{_CHARACTERS}]|[^\W{_CHARACTERS}]+")


def units(text: str) -> list[str]:
    """What is compared: characters of Chinese and Japanese, words of all else."""
    plain = "".join(_without_punctuation(normalise(text)))
    return _UNIT.findall(_ARTICLES.sub(" ", plain))


def exact_match(answer: str, references: Sequence[str]) -> bool:
    """Whether the answer is one of the references."""
    return any(units(answer) == units(reference) for reference in references)


def f1(answer: str, references: Sequence[str]) -> float:
    """The harmonic mean of precision and recall of shared units, with the reference that is nearest; in [0, 1]."""
    return max(_f1(units(answer), units(reference)) for reference in references)


def _f1(answer: list[str], reference: list[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    shared = sum((Counter(answer) & Counter(reference)).values())
    return 2 * shared / (len(answer) + len(reference))


def _without_punctuation(text: str) -> list[str]:
    """A point or comma between digits stays: 3.5 is not 35. A hyphen or slash parts words."""
    kept: list[str] = []
    for at, character in enumerate(text):
        if not unicodedata.category(character).startswith("P") or character == "%":
            kept.append(character)
        elif character == "." and text[at - 1 : at].isdigit() and text[at + 1 : at + 2].isdigit():
            kept.append("_")
        elif not (character in ",'’" and kept and kept[-1].isalnum() and text[at + 1 : at + 2].isalnum()):
            kept.append(" ")
    return kept
