"""The first verification: every sentence of an answer against the sources it cites, without a second model.

Called by the writer. Numbers, dates, times, names and negations must agree exactly; the meaning must
agree by the embedder. Citations that the model invented are dropped; a sentence without a citation gets
one where a source supports it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lunheng.answering import bounds, facts
from lunheng.answering.attribution import Ground, beginning, objection
from lunheng.answering.passages import Passage, SentenceReader, overlap
from lunheng.answering.prompts import Reason, phrases
from lunheng.protocols import Vectors
from lunheng.text.language import is_chinese
from lunheng.text.normalise import normalise
from lunheng.text.segmentation import terms
from lunheng.text.sentences import split_sentences
from lunheng.types import Chunk, Citation, SentenceCheck, Source, Verdict

# Cosines of e5-small between a sentence and what it restates, and between unrelated sentences of one topic,
# overlap little around these: set on the reference answers of examples/questions.toml, against their own documents
# and against the others.
SUPPORTED = 0.87
PARTLY = 0.83
_AS_CLOSE = 0.02

_MARKER = re.compile(r"\s*[\[【［](\d+(?:\s*[,，、]\s*\d+)*)[\]】］]")
_ENDED = re.compile(r"([。！？；.!?;]+[”」』\"']?)((?:\s*[\[【［]\d+(?:\s*[,，、]\s*\d+)*[\]】］])+)")
_END = re.compile(r"[。！？；.!?;:：”」』\"')）]*\s*$")


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer after the check."""

    checks: tuple[SentenceCheck, ...]
    citations: tuple[Citation, ...]
    separators: tuple[str, ...]
    """What stood before each sentence (spaces, line breaks, bullets)."""
    invented: tuple[int, ...]
    """Numbers that the text cites and no source has."""
    mended: tuple[str, ...]
    """Citations that were attached or replaced: for the trace."""
    astray: bool
    """A claim stands in a source, but is about something else than the question: the sources may not say."""

    @property
    def verdict(self) -> Verdict:
        return overall([c.verdict for c in self.checks])


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """Supported where all are, unsupported where none is even partly, else partly."""
    if verdicts and all(v == "supported" for v in verdicts):
        return "supported"
    return "unsupported" if all(v == "unsupported" for v in verdicts) else "partly"


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What one source says to one sentence."""

    source: Source
    passage: Passage
    best: int
    """Index of the sentence of the source that it rests on."""
    cosine: float
    cosines: Vectors
    """Of every sentence of the source."""
    closeness: float
    """The cosine of the best sentence, and more for each exact fact and for the words that it shares."""


def verify(
    text: str,
    sources: Sequence[Source],
    question: str,
    reader: SentenceReader,
    known: Sequence[Chunk] = (),
    language: str = "en",
    only: int | None = None,
) -> Checked:
    """Check ``text``, written from ``sources`` (numbered from 1), sentence by sentence.

    Args:
        known: every chunk found for the question, shown to the model or not.
        language: of the reasons given.
        only: the source that ``text`` was written from, where it was one alone: a sentence that cites nothing cites it.
    """
    by_number = {s.n: s for s in sources}
    invented: list[int] = []
    mended: list[str] = []
    sentences = [item for item in _sentences(text) if not _is_label(item[1], sources)]
    passages = dict(zip(by_number, reader.passages([s.hit.chunk for s in sources]), strict=True))
    plain = [sentence for _, sentence, _ in sentences]
    vectors = reader.vectors(plain) if plain else np.empty((0, 0), np.float32)
    words = phrases(language).reasons
    judge = _Judge(question, reader, tuple(passages.values()), tuple(known), words)
    checks: list[SentenceCheck] = []
    citations: dict[tuple[int, int, int], Citation] = {}
    astray = False
    for (_, sentence, cited), vector in zip(sentences, vectors, strict=True):
        invented += [n for n in cited if n not in by_number]
        numbers = [n for n in cited if n in by_number] or [n for n in (only,) if n is not None]
        evidence = [_weigh(by_number[n], passages[n], sentence, vector) for n in numbers]
        judged = judge(sentence, evidence)
        tried: Sequence[str] = ()
        if judged.verdict != "supported":  # also where it cites none: does another source say it?
            others = [_weigh(by_number[n], passages[n], sentence, vector) for n in by_number if n not in numbers]
            for other in sorted(others, key=lambda e: -e.closeness):
                second = judge(sentence, [other])
                if _BETTER[second.verdict] > _BETTER[judged.verdict]:
                    mended.append(_mended(numbers, other.source.n, sentence))
                    judged, evidence = replace(second, astray=judged.astray), [other]
                elif not evidence and not tried:
                    tried = (words["uncited"].format(n=other.source.n, reason=second.reasons[0]),)
                judged = replace(judged, astray=judged.astray or second.astray)
        verdict = judged.verdict
        reasons = () if verdict == "supported" else judged.reasons or tried
        astray |= verdict == "unsupported" and judged.astray
        checks.append(SentenceCheck(sentence, tuple(e.source.n for e in evidence), verdict, tuple(reasons)))
        for item in evidence:
            citation = _citation(item, verdict)
            before = citations.get((citation.n, citation.start, citation.end))
            if before is None or _BETTER[verdict] < _BETTER[before.supported]:
                citations[(citation.n, citation.start, citation.end)] = citation
    ordered = tuple(sorted(citations.values(), key=lambda c: (c.n, c.start)))
    return Checked(
        checks=tuple(checks),
        citations=ordered,
        separators=tuple(s for s, _, _ in sentences),
        invented=tuple(dict.fromkeys(invented)),
        mended=tuple(mended),
        astray=astray,
    )


def _mended(cited: Sequence[int], now: int, sentence: str) -> str:
    start = beginning(sentence, 40)
    if not cited:
        return f"the model cited nothing; [{now}] says it: {start}"
    return f"the model cited {', '.join(f'[{n}]' for n in cited)}; [{now}] says it: {start}"


_BETTER = {"unsupported": 0, "partly": 1, "supported": 2}


def render(checked: Checked, keep: set[Verdict]) -> str:
    """The answer's text from its sentences of the verdicts in ``keep``, each with its citations before its end."""
    parts: list[str] = []
    for check, separator in zip(checked.checks, checked.separators, strict=True):
        if check.verdict not in keep:
            continue
        parts.append((separator if parts else "") + cited(check.text, check.citations))
    return "".join(parts).strip()


def cited_in(text: str) -> tuple[int, ...]:
    """The numbers of the sources that ``text`` cites, in order, each once: [1], [1, 2], 【3】."""
    return tuple(dict.fromkeys(int(n) for m in _MARKER.finditer(text) for n in re.findall(r"\d+", m.group(1))))


def cited(sentence: str, numbers: Sequence[int]) -> str:
    """``sentence`` with its sources before its end, as answers cite them: 年假为 12 天[1]。 It is 12 days [1]."""
    ending = _END.search(sentence)
    at = ending.start() if ending else len(sentence)
    marks = "".join(f"[{n}]" for n in numbers)
    spaced = f" {marks}" if marks and sentence[:at].isascii() else marks
    return sentence[:at] + spaced + sentence[at:]


def _sentences(text: str) -> list[tuple[str, str, tuple[int, ...]]]:
    """(what stood before, the sentence without markers, the numbers it cites)."""
    text = _ENDED.sub(lambda m: m.group(2) + m.group(1), text)  # "年假12天。[1]" cites inside its sentence
    found: list[tuple[str, str, tuple[int, ...]]] = []
    last = 0
    for start, end in split_sentences(text):
        piece = text[start:end]
        cited = cited_in(piece)
        plain = _MARKER.sub("", piece).strip()
        bullet = re.match(r"(?:[-*•]|\d+[.、)])\s+", plain)
        lead = bullet.group() if bullet else ""
        if not re.search(r"\w", plain[len(lead) :]):
            if cited and found:  # a line of markers only belongs to the sentence before it
                before = found[-1]
                found[-1] = (before[0], before[1], tuple(dict.fromkeys(before[2] + cited)))
            last = end
            continue
        found.append((text[last:start] + lead, plain[len(lead) :], cited))
        last = end
    return found


def _is_label(sentence: str, sources: Sequence[Source]) -> bool:
    """Whether a line only copies where a source stands (title › heading), as small models do."""
    parts = {part.strip() for part in sentence.strip("。.").split("›")}
    return len(parts) > 1 and any(
        parts & {s.hit.chunk.metadata.title, *s.hit.chunk.metadata.heading_path} for s in sources
    )


def _weigh(source: Source, passage: Passage, sentence: str, vector: Vectors) -> _Evidence:
    """The sentence of ``source`` closest in meaning, where possible one that holds the same exact facts."""
    cosines = passage.vectors @ vector
    wanted = facts.extract(sentence)
    values = {q.value for q in wanted.quantities}  # without units, which a table keeps in its header
    scores = cosines.copy()
    for index in np.argsort(-cosines)[:8]:
        held = facts.extract(passage.reading(int(index)))
        same = (
            len(values & {q.value for q in held.quantities})
            + len(wanted.dates & held.dates)
            + len(wanted.times & held.times)
        )
        scores[index] += 0.05 * same + 0.05 * overlap(sentence, passage.reading(int(index)))
    best = int(np.argmax(scores))
    return _Evidence(source, passage, best, float(cosines[best]), cosines, float(scores[best]))


@dataclass(frozen=True, slots=True)
class _Judgement:
    """What came of one sentence against some sources."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    astray: bool = False
    """The sources say it, but of something else than was asked."""


@dataclass(frozen=True, slots=True)
class _Judge:
    """Judges sentences of one answer."""

    question: str
    reader: SentenceReader
    shown: tuple[Passage, ...]
    known: tuple[Chunk, ...]
    words: Mapping[Reason, str]

    def __call__(self, sentence: str, evidence: Sequence[_Evidence]) -> _Judgement:
        """The facts and the meaning first; then whether they are said of what was asked."""
        judged = self._agreement(sentence, evidence)
        if judged.verdict == "unsupported" or not self.reader.wordings:
            return judged
        found = [
            objection(sentence, self.question, Ground(e.passage, e.best), self.shown, self.known, self.reader)
            for e in evidence
        ]
        objections = [o for o in dict.fromkeys(found) if o]
        if len(objections) < len(found):  # what one of its sources says of what was asked is enough
            return judged
        said = tuple(self.words[o.reason].format(what=o.what) for o in objections)
        slight = all(o.slight for o in objections)
        return _Judgement("partly" if slight else "unsupported", (*judged.reasons, *said), astray=True)

    def _agreement(self, sentence: str, evidence: Sequence[_Evidence]) -> _Judgement:
        """Whether the sources say it: exact facts, polarity, meaning."""
        if not evidence:
            return _Judgement("unsupported")
        said = facts.extract(sentence)
        near = "\n".join(_near(e) for e in evidence)
        held = facts.extract(near)
        if (said.quantities & held.quantities) or (said.dates & held.dates):
            # With one of them where the claim rests, the others may stand elsewhere in the source.
            held = facts.extract("\n".join(e.passage.chunk.full_text for e in evidence))
        asked = facts.extract(self.question)
        missing = _missing(said, held, asked, sentence, evidence, self.question)
        if (everyone := facts.everyone(sentence)) and not facts.everyone(f"{near}\n{self.question}"):
            missing.append(everyone)
        reasons = [self.words["missing"].format(what=what) for what in missing]
        outside = [bounds.violated(sentence, self.question, e.passage.reading(e.best)) for e in evidence]
        if (limit := outside[0]) and all(outside):
            # What holds within the bound is denied of what lies outside it, and no more than that.
            if any(facts.negated(sentence) == facts.negated(e.passage.reading(e.best)) for e in evidence):
                reasons.append(self.words["outside"].format(what=limit))
        elif not reasons and _opposite(sentence, evidence):
            reasons.append(self.words["denied"])
        if reasons:
            return _Judgement("unsupported", tuple(reasons))
        cosine = max(e.cosine for e in evidence)
        if (alone := _unbacked_clause(sentence, evidence, asked)) is not None:
            return _Judgement("unsupported", (self.words["missing"].format(what=alone),))
        exact = bool(said.quantities - asked.quantities or said.dates or said.times)
        shared = overlap(sentence, near)
        translated = all(is_chinese(sentence) != is_chinese(e.passage.chunk.text) for e in evidence)
        # Exact facts that agree, or words that are nearly all the source's own, make up for a lower cosine (table
        # rows, list items and short answers embed far from the sentence that restates them).
        if cosine >= SUPPORTED and (shared >= 0.2 or translated):
            return _Judgement("supported")
        bridged = translated and cosine >= 0.84
        if cosine >= PARTLY and (shared >= 0.6 or (exact and (shared >= 0.35 or bridged))):
            return _Judgement("supported")
        if shared >= 0.85:
            return _Judgement("supported")
        if cosine >= PARTLY or shared >= 0.5:
            return _Judgement("partly", (self.words["in part"].format(cosine=cosine),))
        return _Judgement("unsupported", (self.words["nowhere"].format(cosine=cosine),))


_PARTS = re.compile(r"[，；;。]|,(?!\d)|\b(?:and|while|whereas)\b", re.I)
_BACKED = 0.2
"""The least share of a part's terms, its numbers aside, that its source holds."""


def _unbacked_clause(sentence: str, evidence: Sequence[_Evidence], asked: facts.Facts) -> str | None:
    """A part of a compound claim, with a number that the question does not hold, whose words the sources hardly hold:
    what is true of one part (each old bicycle: 200 yuan) does not vouch for the other. Within a language only."""
    if any(is_chinese(sentence) != is_chinese(e.passage.chunk.text) for e in evidence):
        return None
    parts = [part.strip() for part in _PARTS.split(sentence)]
    told = [part for part in parts if facts.extract(part).quantities - asked.quantities]
    worded = {part: facts.without_quantities(part) for part in told}
    if len(worded) < 2:
        return None
    whole = "\n".join(e.passage.chunk.full_text for e in evidence)
    telling = ((part, words) for part, words in worded.items() if terms(words, for_query=True))
    return next((part for part, words in telling if overlap(words, whole) < _BACKED), None)


def _near(item: _Evidence) -> str:
    """The part of a source that may vouch for exact facts: headings, the sentence that the claim rests on, those
    beside it and those about as close in meaning; a number elsewhere in the chunk is about something else."""
    indices = range(len(item.passage.statements))
    near = [i for i in indices if abs(i - item.best) <= 1 or item.cosines[i] >= item.cosine - _AS_CLOSE]
    return "\n".join([item.passage.chunk.prefix, *(item.passage.reading(i) for i in near)])


def _missing(
    said: facts.Facts,
    held: facts.Facts,
    asked: facts.Facts,
    sentence: str,
    evidence: Sequence[_Evidence],
    question: str,
) -> list[str]:
    """What the sentence states exactly and neither the source nor the question holds."""
    missing: list[str] = []
    known = held.quantities | asked.quantities
    for quantity in sorted(said.quantities - known, key=lambda q: (q.value, q.unit)):
        same = [q.unit for q in known if q.value == quantity.value]
        if not same or (quantity.unit and all(same) and quantity.unit not in same):
            missing.append(quantity.written)
    for date in said.dates:
        if not any(_agrees(date, other) for other in held.dates | asked.dates):
            missing.append("-".join(str(p) for p in date if p))
    for time in said.times:
        if not any(time == other or (time + 720) % 1440 == other for other in held.times | asked.times):
            missing.append(f"{time // 60:02d}:{time % 60:02d}")
    whole = f"{normalise(question)} " + " ".join(normalise(e.passage.chunk.full_text) for e in evidence)
    readings = [e.passage.reading(e.best) for e in evidence]
    for name in sorted(said.names):
        if any(facts.comparable(name, sentence, reading) for reading in readings) and normalise(name) not in whole:
            missing.append(name)
    return missing


def _agrees(one: tuple[int | None, int, int | None], other: tuple[int | None, int, int | None]) -> bool:
    return all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


_CLAUSES = re.compile(r"[^,，、;；。.!！?？\n|]+")


def _opposite(sentence: str, evidence: Sequence[_Evidence]) -> bool:
    """Whether one side only denies it, compared in the clause that shares most words."""
    denied = facts.negated(sentence)
    for item in evidence:
        span = item.passage.reading(item.best)
        if not denied and item.passage.chunk.kind == "table" and _in_denying_column(sentence, span):
            continue
        if facts.negated(span) == denied:
            return False
        clauses = [c.group() for c in _CLAUSES.finditer(span) if c.group().strip()] or [span]
        nearest = max(clauses, key=lambda c: overlap(c, sentence) * min(1.0, len(c) / 12))
        if facts.negated(nearest) == denied or overlap(nearest, sentence) < 0.5:
            return False  # the clauses do not say the same thing: polarity cannot be compared
    return True


def _in_denying_column(sentence: str, row: str) -> bool:
    """Whether a cell that ``sentence`` holds stands in a column that denies (禁用作物: 黄瓜)."""
    pairs = [part.split(": ", 1) for part in row.split("; ") if ": " in part]
    return any(facts.negated(name) and overlap(cell, sentence) == 1 for name, cell in pairs)


def _citation(item: _Evidence, verdict: Verdict) -> Citation:
    chunk = item.passage.chunk
    statement = item.passage.statements[item.best]
    return Citation(
        n=item.source.n,
        document=chunk.metadata.source,
        document_id=chunk.metadata.document_id,
        chunk_id=chunk.id,
        page=chunk.metadata.page_number,
        heading_path=chunk.metadata.heading_path,
        quote=chunk.text[statement.start : statement.end],
        start=chunk.start + statement.start,
        end=chunk.start + statement.end,
        supported=verdict,
    )
