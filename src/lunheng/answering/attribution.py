"""Whether what a claim rests on speaks of what was asked: the right case, the right row, the right name.

Called by verification on claims whose facts all stand in their source. A number is easily right and yet another's:
the leave of another grade, the price of another plan, the opening hours of another office.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lunheng.answering import facts
from lunheng.answering.passages import Passage, SentenceReader, overlap
from lunheng.answering.prompts import Reason
from lunheng.text.language import is_chinese
from lunheng.text.normalise import normalise
from lunheng.text.segmentation import terms
from lunheng.types import Chunk

_RIVAL_MARGIN = 2.5
"""How much more a rival statement says to the question, in the units of ``Relevance.scores``."""
_RIVAL_WORDS = 0.1
"""How many more of the question's terms it holds, as a share."""
_ABOUT = 0.66
"""MaxSim of a claim with what it rests on, plus 0.3 of the share of its terms there: true claims of the examples have
.70 and more in one language, and those about something else .63 and less."""
_ASKED = 0.55
"""The same of a translated question: .63 and more with what answers it, .45 and less with what is about something
else."""
_MENTIONED = {True: 0.35, False: 0.22}
"""MaxSim of a property with what speaks of it in other words, within a language and across: password with a network's
name has .20, salary with allowance .55."""
_PROPERTY_EN = re.compile(
    r"\bwhat\s+(?:is|are|was|were)\s+(?:the|an?)\s+([\w-]+(?:\s[\w-]+){0,3}?)\s+(?:of|for|in|on|at|that|to|from|per)\b",
    re.I,
)
_PROPERTY_ZH = re.compile(r"([\u4e00-\u9fff]{2,8})(?:是|为)(?:多少|什么|哪)")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_MEASURES = re.compile(
    r"上限|下限|限额|金额|数量|数额|总额|(?:.*\s)?(?:maximum|minimum|limit|cap|number|amount|total)", re.I
)
"""Properties that a value states by itself: 不超过 200 元 is an upper limit, whatever it is called."""


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a claim may be about something else than the question."""

    reason: Reason
    what: str = ""
    """The name, or the statement, that speaks against it."""
    slight: bool = False
    """The claim may still hold: what is missing stands elsewhere in the documents found."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The statement that a claim rests on."""

    passage: Passage
    index: int

    @property
    def text(self) -> str:
        return self.passage.reading(self.index)

    @property
    def near(self) -> slice:
        """It and the statements beside it."""
        return slice(max(0, self.index - 1), self.index + 2)


def objection(
    sentence: str,
    question: str,
    ground: Ground,
    shown: Sequence[Passage],
    known: Sequence[Chunk],
    reader: SentenceReader,
) -> Objection | None:
    """Why ``sentence`` may be about something else than ``question`` asks; None where nothing speaks against it.

    Args:
        ground: the statement that the sentence rests on.
        shown: the passages that the answer was written from.
        known: every chunk found for the question.
    """
    return (
        _other_year(question, ground)
        or _stranger(sentence, question, ground, known, reader)
        or _rival(sentence, question, ground, shown, reader)
        or _elsewhere(sentence, question, ground, reader)
        or _unmentioned(question, ground, reader)
    )


def _other_year(question: str, ground: Ground) -> Objection | None:
    """The question names a year; the document bears another one, and the statement does not say that it means this."""
    asked = set(_YEAR.findall(question))
    metadata = ground.passage.chunk.metadata
    borne = set(_YEAR.findall(f"{metadata.source} {metadata.title}"))
    if not asked or not borne or asked & borne:
        return None
    near = " ".join([*metadata.heading_path, *(s.reading for s in ground.passage.statements[ground.near])])
    return None if asked & set(_YEAR.findall(near)) else Objection("stranger", min(asked))


def _stranger(
    sentence: str, question: str, ground: Ground, known: Sequence[Chunk], reader: SentenceReader
) -> Objection | None:
    """A name, code or year of the question that the claim is about, and its source (or its document) never holds."""
    chunk = ground.passage.chunk
    asked = facts.names(question) | set(_YEAR.findall(question))
    if not asked:
        return None
    home = normalise(f"{_whole(chunk)} {reader.document(chunk)}")
    everywhere = " ".join(normalise(_whole(c)) for c in known)
    about = normalise(_subject(sentence, question))
    for name in sorted(asked):
        if facts.comparable(name, question, ground.text) and normalise(name) in about and normalise(name) not in home:
            # "The office" may be meant by its city; a grade, a version or a year is that one or another.
            slight = normalise(name) in everywhere and not facts.is_code(name)
            return Objection("stranger", name, slight=slight)
    return None


def _rival(
    sentence: str, question: str, ground: Ground, shown: Sequence[Passage], reader: SentenceReader
) -> Objection | None:
    """Another statement that fits the question better and gives another value of the same kind."""
    told = {q.value for q in facts.extract(question).quantities}
    new = {q for q in facts.extract(sentence).quantities if q.value not in told}
    if not new:
        return None
    values = {q.value for q in new}
    units = {q.unit for q in new if q.unit}
    own = _fit(ground, reader)
    for passage in shown:
        if is_chinese(passage.chunk.text) != is_chinese(ground.passage.chunk.text):
            continue
        for index in range(len(passage.statements)):
            rival = Ground(passage, index)
            held = {q for q in facts.extract(rival.text).quantities if q.value not in told}
            same_kind = any(q.unit in units for q in held) or (held and _same_columns(rival, ground))
            if not same_kind or values & {q.value for q in held}:
                continue
            fit = _fit(rival, reader)
            if fit[0] >= own[0] + _RIVAL_MARGIN and fit[1] >= own[1] + _RIVAL_WORDS:
                return Objection("rival", beginning(rival.text, 80))
    return None


def _fit(ground: Ground, reader: SentenceReader) -> tuple[float, float]:
    """What a statement says to the question, and its share of the question's terms in the better wording."""
    relevance = reader.relevance([ground.passage.chunk])[0]
    return float(relevance.scores[ground.index]), max(overlap(w, ground.text) for w in reader.wordings)


def _elsewhere(sentence: str, question: str, ground: Ground, reader: SentenceReader) -> Objection | None:
    """The claim and what it rests on share numbers, but not their subject.

    Across languages the question's translation stands for the claim, where there is one.
    """
    chunk = ground.passage.chunk
    claim, least = _subject(sentence, question), _ABOUT
    if is_chinese(sentence) != is_chinese(ground.text):
        translated = [w for w in reader.wordings[1:] if is_chinese(w) == is_chinese(ground.text)]
        if not translated:
            return None
        claim, least = translated[0], _ASKED
    interaction = _interaction(claim, ground, reader)
    if interaction is None:
        return None
    words = "\n".join([chunk.prefix, *(s.reading for s in ground.passage.statements[ground.near])])
    return Objection("elsewhere") if interaction + 0.3 * overlap(claim, words) < least else None


def _unmentioned(question: str, ground: Ground, reader: SentenceReader) -> Objection | None:
    """The question asks for a property ("the password of ...") that neither the statement nor its source speaks of."""
    asked = _property(question)
    chunk = ground.passage.chunk
    if not asked or _MEASURES.fullmatch(asked) or overlap(asked, chunk.full_text):
        return None
    interaction = _interaction(asked, ground, reader)
    if interaction is None:
        return None
    same_language = is_chinese(question) == is_chinese(ground.text)
    return Objection("stranger", asked) if interaction < _MENTIONED[same_language] else None


def _interaction(text: str, ground: Ground, reader: SentenceReader) -> float | None:
    """MaxSim of ``text`` with the statement or one beside it, the nearest; None where there are no token vectors."""
    codes = reader.relevance([ground.passage.chunk])[0].codes[ground.near]
    interactions = reader.interaction(text, codes)
    return None if interactions is None else float(interactions.max())


def _property(question: str) -> str:
    """The noun whose value is asked for: "base salary" of "What is the base salary of ...?", 限额 of 限额是多少."""
    if match := _PROPERTY_EN.search(question):
        return match.group(1)
    if match := _PROPERTY_ZH.search(question):
        import rjieba

        return str(rjieba.cut(match.group(1), False)[-1])
    return ""


def _subject(sentence: str, question: str) -> str:
    """The claim with what it is about: a bare answer ("12 days") is about whatever the question asks."""
    asked = set(terms(question, for_query=True))
    if asked and len(asked & set(terms(sentence))) / len(asked) >= 0.25:
        return sentence
    return f"{question} {sentence}"


def _same_columns(one: Ground, other: Ground) -> bool:
    """Both are rows of tables with the same columns."""
    mine, theirs = _columns(one), _columns(other)
    return len(mine) > 1 and mine == theirs


def _columns(ground: Ground) -> tuple[str, ...]:
    if ground.passage.chunk.kind != "table":
        return ()
    return tuple(part.split(": ", 1)[0] for part in ground.text.split("; ") if ": " in part)


def _whole(chunk: Chunk) -> str:
    return f"{chunk.metadata.source} {chunk.metadata.title} {chunk.full_text}"


def beginning(text: str, most: int) -> str:
    """The first ``most`` characters."""
    return text if len(text) <= most else text[:most] + "…"
