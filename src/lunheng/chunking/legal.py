"""Laws, regulations and contracts by article: one article is one chunk, with its id and what it refers to.

Called through ``make_chunker``. An article is never joined with another, however short; one over the cap is
cut between its paragraphs (款) and points (项), and every later part repeats the article's label and the words
that introduce its points. What stands above an article (编, 章, 节, Part, Chapter) is its heading path, found in
the lines themselves, so that flat text is as good as a document with headings. For ids see ``legal_clauses``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lunheng.chunking.assembly import PREFIX_SHARE, Assembler, Draft
from lunheng.chunking.blocks import Block, special_drafts
from lunheng.chunking.legal_clauses import (
    NUMBERED,
    NUMBERED_ZH,
    UNIT_LEVEL,
    Here,
    Mark,
    chinese,
    join_id,
    marker_of,
    number_of,
    point_of,
    references_in,
)
from lunheng.chunking.splitting import split_span
from lunheng.protocols import Tokenizer
from lunheng.types import Chunk, Document

Marker = Callable[[str], Mark | None]
LONGEST_TITLE = 60
"""Characters; a longer line below "Article 5" is its text and no title."""
_ENDS = ("。", "；", "：", ".", ";", ":", "！", "？")
_ANNEX = ("附件", "附录", "附表", "Annex", "ANNEX", "Appendix", "APPENDIX", "Schedule", "SCHEDULE")


@dataclass(slots=True)
class _Line:
    start: int
    end: int
    points: tuple[str, ...] = ()
    """Which paragraph and point of its article it is in."""
    begins: bool = True
    """Whether it begins one."""
    special: int | None = None
    """The element that it stands for: a table, code, a figure."""
    after_gap: bool = False
    """Whether hidden text stands before it."""


@dataclass(slots=True)
class _Clause:
    """An article with its lines; the text before the first one has no mark."""

    mark: Mark | None
    path: tuple[str, ...]
    divisions: tuple[str, ...]
    lines: list[_Line] = field(default_factory=list)
    label: str = ""

    @property
    def id(self) -> str:
        return join_id(self.divisions, self.mark.id, ()) if self.mark else ""


class LegalChunker:
    """One article a chunk, at most ``size`` tokens; ``overlap`` only where a single sentence has to be cut."""

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int = 0) -> None:
        self._tokenizer = tokenizer
        self._size = size
        self._overlap = overlap

    def split(self, document: Document) -> list[Chunk]:
        assembler = Assembler(document, self._tokenizer, self._size)
        clauses = _clauses(document)
        ids = {c.mark.id: c.id for c in reversed(clauses) if c.mark}
        drafts: list[Draft] = []
        previous = ""
        for clause in clauses:
            drafts.extend(self._drafts(assembler, clause, ids, previous))
            previous = clause.id or previous
        return assembler.chunks(drafts)

    def _drafts(self, assembler: Assembler, clause: _Clause, ids: dict[str, str], previous: str) -> Iterator[Draft]:
        for run in _runs(clause.lines):
            if run[0].special is not None:
                block = Block(assembler.document.elements[run[0].special].kind, run[0].special, run[0].special + 1)
                for draft in special_drafts(assembler, block):
                    yield Draft(draft.start, draft.end, draft.kind, draft.header, None, clause.id or None)
                continue
            yield from self._text_drafts(assembler, clause, run, ids, previous)

    def _text_drafts(
        self, assembler: Assembler, clause: _Clause, run: list[_Line], ids: dict[str, str], previous: str
    ) -> Iterator[Draft]:
        tokens = assembler.tokens
        if clause.mark is None:
            start, end = run[0].start, run[-1].end
            budget = assembler.budget(start, "", clause.path or None)
            for span in split_span(tokens, start, end, budget, self._overlap):
                yield Draft(*span, path=clause.path or None)
            return
        path = (*clause.path, clause.label)
        budget = assembler.budget(run[0].start, "", path)
        whole = tokens.count(run[0].start, run[-1].end) <= budget
        parts = [run] if whole else list(self._parts(assembler, run, path))
        for part in parts:
            start, end = part[0].start, part[-1].end
            opening = start == clause.lines[0].start
            points = () if whole or opening else part[0].points
            header = "" if whole or opening else self._introduction(assembler, clause, part[0])
            found: dict[str, None] = {}
            for line in part:
                here = Here(clause.id, previous, _paragraph_number(line.points))
                found.update(dict.fromkeys(references_in(assembler.document.text[line.start : line.end], here, ids)))
            found.pop(clause.id, None)
            draft = Draft(
                start, end, "text", header, path, join_id(clause.divisions, clause.mark.id, points), tuple(found)
            )
            room = assembler.budget(start, header, path)
            if tokens.count(start, end) <= room:
                yield draft
                continue
            for first, last in split_span(tokens, start, end, room, self._overlap):
                yield Draft(first, last, "text", header, path, draft.clause, draft.references)

    def _parts(self, assembler: Assembler, run: list[_Line], path: tuple[str, ...]) -> Iterator[list[_Line]]:
        """Lines packed up to the budget, cut where a paragraph or point begins, at a paragraph where one is near."""
        room = max(assembler.budget(run[0].start, "", path) - self._size // PREFIX_SHARE, 1)
        pieces: list[list[_Line]] = []
        for line in run:
            if line.begins or not pieces:
                pieces.append([line])
            else:
                pieces[-1].append(line)
        part: list[_Line] = []
        for piece in pieces:
            if part and assembler.tokens.count(part[0].start, piece[-1].end) > room:
                yield part
                part = []
            part = [*part, *piece]
        if part:
            yield part

    def _introduction(self, assembler: Assembler, clause: _Clause, line: _Line) -> str:
        """The sentence of the article that a point belongs to, where it fits its share of the cap."""
        if len(line.points) < 2 and not (line.points and line.points[0].startswith("(")):
            return ""
        text = assembler.document.text
        leads = [
            text[held.start : held.end].strip()
            for held in clause.lines
            if held.start < line.start and held.points == line.points[:-1]
        ]
        lead = leads[-1] if leads else ""
        left = self._size // PREFIX_SHARE - self._tokenizer.count(" > ".join((*clause.path, clause.label)))
        return lead if lead.endswith(("：", ":", "—", "-")) and self._tokenizer.count(lead) <= left else ""


def _paragraph_number(points: tuple[str, ...]) -> int:
    return number_of(points[0].strip("第款()")) if points and points[0].strip("第款()") else 1


def _runs(lines: list[_Line]) -> Iterator[list[_Line]]:
    """Lines of text without a table or hidden text between them; a table by itself."""
    run: list[_Line] = []
    for line in lines:
        if run and (line.special is not None or run[0].special is not None or line.after_gap):
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _clauses(document: Document) -> list[_Clause]:
    """The articles of ``document`` in order, with the text around them."""
    mark_of = marker_of(_texts(document))
    unit = _unit_name(document, mark_of)
    base: tuple[str, ...] = ()
    divisions: list[tuple[int, str, str]] = []
    clauses = [_Clause(None, (), ())]
    headings: list[_Line] = []  # divisions that wait for their first article
    last_number = 0
    gap = False
    for index, element in enumerate(document.elements):
        if element.hidden:
            gap = True
            continue
        if element.kind in ("table", "code", "figure"):
            clauses[-1].lines += [*headings, _Line(element.start, element.end, special=index, after_gap=gap)]
            headings, gap = [], False
            continue
        position = element.start
        for text in element.text.split("\n"):
            line = _Line(position, position + len(text), after_gap=gap)
            position += len(text) + 1
            if not text.strip():
                continue
            gap = False
            mark = mark_of(text)
            if mark and mark.level == UNIT_LEVEL and mark.name != unit:
                mark = Mark(4, mark.id, mark.label, mark.number, mark.name)
            if mark and mark.level == UNIT_LEVEL and mark.name == "条" and not _plausible(text, mark, last_number):
                mark = None
            if mark and mark.name in (NUMBERED, NUMBERED_ZH) and mark.number != last_number + 1:
                mark = None  # a list within a clause
            if mark and mark.level < UNIT_LEVEL:
                while divisions and divisions[-1][0] >= mark.level:
                    divisions.pop()
                divisions.append((mark.level, mark.id, " ".join(text.split())))
                headings.append(line)
            elif mark:
                path = (*base, *(title for _, _, title in divisions))
                clause = _Clause(mark, path, tuple(i for _, i, _ in divisions), label=mark.label.strip())
                clause.lines = [*headings, line]
                headings, last_number = [], mark.number
                clauses.append(clause)
            elif _ends_article(element.kind == "heading", text, clauses[-1]):
                base = (*element.heading_path, element.text) if element.kind == "heading" else base
                base = tuple(part for part in base if mark_of(part) is None and part != document.title)
                divisions, last_number = [], 0
                annex = () if element.kind == "heading" else (" ".join(text.split()),)
                clauses.append(_Clause(None, (*base, *annex), ()))
                clauses[-1].lines = [*headings, line]
                headings = []
            else:
                clauses[-1].lines += [*headings, line]
                headings = []
    clauses[-1].lines += headings
    found = [c for c in clauses if c.lines]
    for clause in found:
        _number_lines(document, clause, mark_of)
    return found


def _texts(document: Document) -> Iterator[str]:
    """The visible lines of running text."""
    for element in document.elements:
        if not element.hidden and element.kind in ("heading", "paragraph", "list"):
            yield from element.text.split("\n")


def _unit_name(document: Document, mark_of: Marker) -> str:
    """What the document's smallest numbered unit is called: the commonest of 条, Article, Section, Clause."""
    names = Counter(m.name for m in map(mark_of, _texts(document)) if m and m.level == UNIT_LEVEL)
    return names.most_common(1)[0][0] if names else "条"


def _plausible(text: str, mark: Mark, last: int) -> bool:
    """A 条 that begins is set off from its text, or comes right after the one before."""
    rest = text.strip(" \t\u3000#*")[len(mark.label) :]
    return not rest or rest[0] in " \t\u3000：:【[（(" or mark.number in (last, last + 1)


def _ends_article(is_heading: bool, text: str, clause: _Clause) -> bool:
    if clause.mark is None:
        return is_heading
    if text.lstrip().startswith(_ANNEX):
        return True
    # "Article 5", then its title on a line of its own.
    return is_heading and len(clause.lines) > 1


def _number_lines(document: Document, clause: _Clause, mark_of: Marker) -> None:
    """Say of each line which paragraph and point it is in."""
    if clause.mark is None:
        return
    english = clause.mark.name not in ("条", NUMBERED_ZH)
    first = next(i for i, line in enumerate(clause.lines) if _is_label(document, line, clause.mark, mark_of))
    paragraph = 1
    points: tuple[str, ...] = () if english else ("第一款",)
    label = document.text[clause.lines[first].start : clause.lines[first].end].strip(" \t\u3000*#")
    bare = len(label) <= len(clause.label) + 1
    titled = len(label) <= LONGEST_TITLE and not label.endswith((*_ENDS, "，", ","))
    if titled and not bare and first + 1 < len(clause.lines):
        clause.label = " ".join(label.split())  # 第三条 租金, Section 2. Fees
    if bare and first + 1 < len(clause.lines):
        title = document.text[clause.lines[first + 1].start : clause.lines[first + 1].end].strip()
        if len(title) <= LONGEST_TITLE and not title.endswith(_ENDS) and point_of(title, points, english) is None:
            clause.label = f"{clause.label} {title}"
            clause.lines[first + 1].begins = False
            first += 1
    previous = ""
    for number, line in enumerate(clause.lines):
        if line.special is not None:
            continue
        text = document.text[line.start : line.end]
        if number <= first:
            line.points, line.begins = points, number == 0
            previous = "" if bare else text
            continue
        found = point_of(text, points, english)
        if found is not None:
            points = found
        elif not english and previous and previous.rstrip().endswith(_ENDS):
            paragraph += 1
            points = (f"第{chinese(paragraph)}款",)
        elif english and previous.rstrip().endswith(_ENDS):
            pass  # an unnumbered paragraph: it stays with the point above it
        else:
            line.begins = False
        line.points = points
        previous = text


def _is_label(document: Document, line: _Line, mark: Mark, mark_of: Marker) -> bool:
    found = mark_of(document.text[line.start : line.end]) if line.special is None else None
    return found is not None and found.id == mark.id
