"""What kind of document this is, from its format, its structure and the words that its lines begin with.

Called by ``auto``. Each kind asks for several independent signs, since a wrong guess costs more than general
cutting does: a law has articles in order, an FAQ has answers below its questions, a case note has several of the
known sections and speaks of patients. The reason names the signs that were counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice, pairwise

from lunheng.chunking.code_tree import LANGUAGE_OF
from lunheng.chunking.legal_clauses import NUMBERED, NUMBERED_ZH, UNIT_LEVEL, Mark, is_law_title, marker_of
from lunheng.chunking.lines import Line, read_lines
from lunheng.chunking.medical import GUIDE_LABELS, NOTE_LABELS, PAPER_LABELS, section_label
from lunheng.chunking.presets import CODE, GENERAL, LAW, MEDICINE, PAPER, QA, Preset
from lunheng.chunking.qa import (
    is_question,
    is_question_heading,
    question_columns,
    starts_answer,
    starts_label,
    table_cells,
)
from lunheng.types import Document

SHORT = 40
"""Characters; a shorter text has no room for the signs of a kind."""
MOST_LINES = 3000
"""Lines that are looked at."""
LEAST_ARTICLES = 3
LEAST_QUESTIONS = 3
LEAST_SECTIONS = 4
_LAW_WORDS = re.compile(r"\b(?:shall|hereby|pursuant|herein|thereof|parties|liable|penalt(?:y|ies)|regulation)\b", re.I)
_MEDICAL_WORDS = re.compile(
    r"患者|病人|临床|治疗|诊断|药物|剂量|症状|疾病|血压|感染|手术|\d\s*(?:mg|mmHg|ml|μg)\b"
    r"|\b(?:patients?|clinical|diagnos\w+|treatment|symptoms?|disease|dose|dosage|therapy|surgery|infection)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy, the preset that gives its size, and the evidence."""

    strategy: str
    preset: Preset
    reason: str


def choose(document: Document) -> Choice:
    """The strategy for ``document``."""
    if document.source_type in LANGUAGE_OF:
        kind = "a notebook" if document.source_type == "ipynb" else f"{document.source_type} source code"
        return Choice("code", CODE, kind)
    if len(document.text) >= SHORT:
        lines = list(islice(read_lines(document), MOST_LINES))
        found = _law(document, lines) or _questions(document, lines) or _medicine(document, lines)
        if found is not None:
            return found
        if paper := _paper(lines):
            return paper
    headings = sum(e.kind == "heading" and not e.hidden for e in document.elements)
    if headings:
        return Choice("structure", GENERAL, f"general text with {headings} heading{'s' * (headings > 1)}")
    return Choice("recursive", GENERAL, "general text without headings")


def _law(document: Document, lines: Iterable[Line]) -> Choice | None:
    """Articles that follow one another; in English, where reports have sections too, the words of law as well."""
    marks: dict[str, list[Mark]] = {}
    texts = [line.text for line in lines if not line.is_special]
    for mark in map(marker_of(texts), texts):
        if mark is not None and mark.level == UNIT_LEVEL:
            marks.setdefault(mark.name, []).append(mark)
    if not marks:
        return None
    name, found = max(marks.items(), key=lambda item: len(item[1]))
    in_order = 1 + sum(b.number - a.number in (0, 1) for a, b in pairwise(found))
    if in_order < LEAST_ARTICLES or 2 * in_order < len(found):
        return None
    said = name in ("条", NUMBERED, NUMBERED_ZH) or is_law_title(texts[0])
    if not said and len(_LAW_WORDS.findall(document.text)) < max(LEAST_ARTICLES, len(found) // 3):
        return None
    return Choice(
        "legal", LAW, f"a law, contract or regulation: {in_order} of {name} in order, {found[0].id} to {found[-1].id}"
    )


def _questions(document: Document, lines: list[Line]) -> Choice | None:
    """Questions by label, by heading, by line, or in a table's column."""
    tables = [line for line in lines if line.kind == "table"]
    size = sum(line.end - line.start for line in lines)
    if tables and 2 * sum(t.end - t.start for t in tables) > size:
        largest = max(tables, key=lambda t: t.end - t.start)
        columns = question_columns(table_cells(largest.text))
        if columns is not None:
            header = table_cells(largest.text)[0]
            return Choice(
                "qa", QA, f"questions and answers in the columns {header[columns[0]]!r}, {header[columns[1]]!r}"
            )
    labels = sum(not line.is_special and starts_label(line.text) for line in lines)
    if labels >= LEAST_QUESTIONS or _is_all_pairs(lines):
        return Choice("qa", QA, f"questions and answers: {labels} labelled questions")
    headings = [line for line in lines if line.kind == "heading"]
    asking = sum(is_question_heading(line.text) for line in headings)
    if asking >= LEAST_QUESTIONS and 2 * asking > len(headings):
        return Choice("qa", QA, f"questions and answers: {asking} of {len(headings)} headings ask")
    texts = [line for line in lines if not line.is_special and line.kind != "heading"]
    asked = [number for number, line in enumerate(texts) if is_question(line.text)]
    answered = sum(number + 1 < len(texts) and number + 1 not in asked for number in asked)
    if answered >= LEAST_QUESTIONS and 4 * answered >= len(texts):
        return Choice("qa", QA, f"questions and answers: {answered} of {len(texts)} lines ask and the next one answers")
    return None


def _is_all_pairs(lines: list[Line]) -> bool:
    """Whether a short document is nothing but labelled questions, two or more, each with its answer (below a title)."""
    texts = [line.text for line in lines if not line.is_special and line.kind != "heading"]
    labels = [(starts_label(text), starts_answer(text)) for text in texts]
    if labels and not any(labels[0]):
        del labels[0]
    asked = sum(question for question, _ in labels)
    answered = sum(answer for _, answer in labels)
    return 2 <= asked <= answered and all(map(any, labels))


def _medicine(document: Document, lines: list[Line]) -> Choice | None:
    words = len(_MEDICAL_WORDS.findall(document.text))
    if 300 * words < len(document.text):  # under one in 300 characters: another subject
        return None
    for kind, labels in (
        ("a case note", NOTE_LABELS),
        ("a guideline", GUIDE_LABELS),
        ("a medical paper", PAPER_LABELS),
    ):
        found = _distinct(section_label(line.text, (labels,)) for line in lines if not line.is_special)
        if len(found) >= LEAST_SECTIONS:
            preset = PAPER if labels is PAPER_LABELS else MEDICINE
            return Choice("medical", preset, f"{kind}: sections {', '.join(found[:LEAST_SECTIONS])} …")
    return None


def _paper(lines: list[Line]) -> Choice | None:
    found = _distinct(section_label(line.text, (PAPER_LABELS,)) for line in lines if not line.is_special)
    whole = {"abstract", "摘要", "references", "参考文献"} & {label.casefold() for label in found}
    if len(found) >= LEAST_SECTIONS and whole:
        return Choice("structure", PAPER, f"a paper: sections {', '.join(found[:LEAST_SECTIONS])} …")
    return None


def _distinct(labels: Iterable[str]) -> list[str]:
    return list({label.casefold(): label for label in labels if label}.values())
