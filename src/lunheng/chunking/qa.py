"""Questions with their answers: one pair is one chunk.

Called through ``make_chunker``, for FAQ pages, help sheets and interviews. Pairs are found by labels (``Q:``,
``问：``), by headings that are questions, by lines that are questions where a document has several, and in tables
by their columns. An answer over the cap is cut, and every later part has the question in its prefix. What
belongs to no pair is cut as running text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lunheng.chunking.assembly import PREFIX_SHARE, Assembler, Draft
from lunheng.chunking.blocks import Block, row_header, special_drafts
from lunheng.chunking.cut import Cut
from lunheng.chunking.lines import Line, read_lines
from lunheng.chunking.splitting import split_span
from lunheng.protocols import Tokenizer
from lunheng.types import Chunk, Document, Element

LONGEST_QUESTION = 150
"""Characters; a longer line that ends in a question mark is text."""
MOST_QUESTIONS = 0.6
"""A column is the questions' when so many of its cells are."""
_MARKS = " \t\u3000*#>_-•·"
_QUESTION_LABEL = re.compile(
    r"(?:Q(?:uestion)?\s*\d{0,3}|问题?\s*[\d一二三四五六七八九十]{0,3}|提问)\s*[.:：、)）]\**\s*(?=\S)", re.I
)
_ANSWER_LABEL = re.compile(r"(?:A(?:nswer)?\s*\d{0,3}|答案?|回答|解答)\s*[.:：、)）]", re.I)
_NUMBER = re.compile(r"(?:\d{1,3}|[一二三四五六七八九十]{1,3})\s*[.、．)）]\s*")
_ENDS = re.compile(r"[?？][”\"'’」)）*_\s]*$")
_ASKS = re.compile(
    r".*(?:如何|怎么|怎样|为什么|为何|什么|哪些|哪里|哪儿|何时|能否|能不能|可否|是否|有没有|多久|多少|吗$)"
    r"|(?:How|What|Why|When|Where|Who|Which|Can|Could|Do|Does|Is|Are|Should|May|Will)\b.{8,}"
)
_QUESTION_COLUMNS = re.compile(r"(?:常见)?问题(?:描述|内容)?|提问|问法|问|questions?|q|query|faq", re.I)
_ANSWER_COLUMNS = re.compile(r"(?:标准|参考)?答案|回答|回复|答复|解答|答|answers?|a|response|reply", re.I)
_CELLS = re.compile(r"(?<!\\)\|")


def is_question(text: str) -> bool:
    """Whether a line asks something: by its mark, or in a heading by its first word."""
    text = text.strip(_MARKS)
    return 0 < len(text) <= LONGEST_QUESTION and bool(_ENDS.search(text))


def is_question_heading(text: str) -> bool:
    """A heading may ask without a question mark: 如何申请退款, How to return a parcel."""
    bare = _NUMBER.sub("", text.strip(_MARKS), count=1)
    return is_question(text) or (len(bare) <= LONGEST_QUESTION and bool(_ASKS.match(bare)))


def starts_label(text: str) -> bool:
    """Whether a line begins with ``Q:`` or one of its kind."""
    return bool(_QUESTION_LABEL.match(text.lstrip(_MARKS)))


def starts_answer(text: str) -> bool:
    """Whether a line begins with ``A:`` or one of its kind."""
    return bool(_ANSWER_LABEL.match(text.lstrip(_MARKS)))


def question_columns(rows: list[list[str]]) -> tuple[int, int] | None:
    """The columns of the questions and of the answers in a table; the first row is its header."""
    header = [cell.strip(" *") for cell in rows[0]]
    asked = [i for i, cell in enumerate(header) if _QUESTION_COLUMNS.fullmatch(cell)]
    answered = [i for i, cell in enumerate(header) if _ANSWER_COLUMNS.fullmatch(cell)]
    if asked and answered:
        return asked[0], answered[0]
    body = [row for row in rows[1:] if len(row) == len(header)]
    if len(body) < 3 or len(header) < 2:
        return None
    shares = [sum(is_question(row[i]) for row in body) / len(body) for i in range(len(header))]
    best = max(range(len(header)), key=shares.__getitem__)
    if shares[best] < MOST_QUESTIONS:
        return None
    lengths = [sum(len(row[i]) for row in body) if i != best else -1 for i in range(len(header))]
    return best, max(range(len(header)), key=lengths.__getitem__)


def table_cells(table: str) -> list[list[str]]:
    """The rows of a Markdown table without the line under its header."""
    lines = table.split("\n")
    return [[cell.strip() for cell in _CELLS.split(line.strip())[1:-1]] for i, line in enumerate(lines) if i != 1]


@dataclass(slots=True)
class _Run:
    """Lines that are one pair, or text between pairs."""

    lines: list[Line]
    asks: bool
    level: int = 0
    """Of the heading that asks; 0 where a line does."""


class QuestionChunker:
    """One pair a chunk, at most ``size`` tokens; ``overlap`` only in text that belongs to no pair."""

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int = 0) -> None:
        self._tokenizer = tokenizer
        self._size = size
        self._overlap = overlap

    def split(self, document: Document) -> list[Chunk]:
        return self.cut(document).chunks

    def cut(self, document: Document) -> Cut:
        """The chunks; a note where the document holds no pairs."""
        assembler = Assembler(document, self._tokenizer, self._size)
        chunks = assembler.chunks(self._drafts(assembler))
        found = any(chunk.kind == "qa" for chunk in chunks)
        return Cut(chunks, () if found else ("no questions with answers were found in it; it was cut as running text",))

    def _drafts(self, assembler: Assembler) -> Iterator[Draft]:
        elements = assembler.document.elements
        headings: list[Line] = []  # alone between pairs: they go with what follows
        for run in _runs(assembler.document):
            first = run.lines[0]
            if first.after_gap or first.is_special:
                yield from self._text(assembler, headings)
                headings = []
            if first.is_special:
                yield from self._special(assembler, first)
            elif (run.asks and len(run.lines) > 1) or _answers_itself(first.text):
                yield from self._pair(assembler, headings, run)
                headings = []
            elif all(elements[line.element].kind == "heading" for line in run.lines):
                headings = [*headings, *run.lines]
            else:
                yield from self._text(assembler, [*headings, *run.lines])
                headings = []
        yield from self._text(assembler, headings)

    def _text(self, assembler: Assembler, lines: list[Line]) -> Iterator[Draft]:
        if lines:
            start = lines[0].start
            for span in split_span(assembler.tokens, start, lines[-1].end, assembler.budget(start), self._overlap):
                yield Draft(*span)

    def _pair(self, assembler: Assembler, headings: list[Line], run: _Run) -> Iterator[Draft]:
        tokens = assembler.tokens
        question, end = run.lines[0], run.lines[-1].end
        start = headings[0].start if headings else question.start
        if tokens.count(start, end) > assembler.budget(start) and start < question.start:
            yield from self._text(assembler, headings)
            start = question.start
        if tokens.count(start, end) <= assembler.budget(start):
            yield Draft(start, end, "qa")
            return
        # A heading stands in the path of its answer already.
        repeated = "" if question.kind == "heading" else self._shortened(question.text.strip())
        budget = min(assembler.budget(start), assembler.budget(question.end, repeated))
        for first, last in split_span(tokens, start, end, budget, keep=question.end + 1):
            yield Draft(first, last, "qa", repeated if first >= question.end else "")

    def _shortened(self, question: str) -> str:
        """The question within its share of the cap, its end cut where it is longer."""
        allowed = self._size // PREFIX_SHARE
        spans = self._tokenizer.spans(question)
        if len(spans) <= allowed:
            return question
        return question[: spans[max(allowed - 2, 0)][0]].rstrip() + "…"

    def _special(self, assembler: Assembler, line: Line) -> Iterator[Draft]:
        element = assembler.document.elements[line.element]
        columns = question_columns(table_cells(element.text)) if line.kind == "table" else None
        if columns is None:
            yield from special_drafts(assembler, Block(line.kind, line.element, line.element + 1))
        else:
            yield from self._rows(assembler, element, columns[0])

    def _rows(self, assembler: Assembler, table: Element, question: int) -> Iterator[Draft]:
        """A pair for each row; the header goes with the first one and is repeated over the others."""
        lines = table.text.split("\n")
        header = "\n".join(lines[:2])
        repeated = row_header(assembler, table)
        position = table.start
        for number, text in enumerate(lines):
            start, end = position, position + len(text)
            position = end + 1
            if number < 2:
                continue
            over = repeated
            if number == 2:
                start, over = table.start, ""
            budget = assembler.budget(start, over)
            if assembler.tokens.count(start, end) <= budget:
                yield Draft(start, end, "qa", over)
                continue
            cells = table_cells(f"{header}\n{text}")[1]
            asked = self._shortened(cells[question]) if question < len(cells) else ""
            fits = 2 * self._tokenizer.count(f"{repeated}\n{asked}") < self._size
            again = "\n".join(part for part in (repeated, asked if fits else "") if part)
            room = min(budget, assembler.budget(start, again))
            for piece, (first, last) in enumerate(split_span(assembler.tokens, start, end, room)):
                yield Draft(first, last, "qa", again if piece else over)
        if len(lines) < 3:
            yield Draft(table.start, table.end, "table")


def _answers_itself(text: str) -> bool:
    """``Q: ... A: ...`` on one line."""
    return starts_label(text) and bool(_ANSWER_LABEL.search(text, 3))


def _runs(document: Document) -> Iterator[_Run]:
    lines = list(read_lines(document))
    texts = [line for line in lines if not line.is_special and line.kind != "heading"]
    labelled = any(starts_label(line.text) for line in texts)
    bare = not labelled and sum(is_question(line.text) for line in texts) > 1
    run: _Run | None = None
    for line in lines:
        level = document.elements[line.element].level if line.kind == "heading" else 0
        if line.kind == "heading":
            asks = is_question_heading(line.text) or starts_label(line.text)
        else:
            asks = not line.is_special and (starts_label(line.text) or (bare and is_question(line.text)))
        # What stands below the heading that asks, subheadings too, answers it.
        ends = bool(level) and not (run is not None and run.asks and run.level and level > run.level)
        if run is None or asks or ends or line.is_special or run.lines[0].is_special or line.after_gap:
            if run is not None:
                yield run
            run = _Run([line], asks, level)
        else:
            run.lines.append(line)
    if run is not None:
        yield run
