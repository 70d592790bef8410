"""Lines of a whole PDF to headings, paragraphs, lists and tables.

Called by ``pdf`` once all pages are read, since what body text looks like, and whether a paragraph or a
table goes on over the page, only the whole document tells.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.figures import FigureFound
from lunheng.parsing.pdf_captions import figure_captions, table_captions
from lunheng.parsing.pdf_headings import Headings, size_bucket
from lunheng.parsing.pdf_layout import Line, is_bullet, join_lines, mean_confidence, split_bullet, starts_paragraph
from lunheng.parsing.pdf_notes import footnotes
from lunheng.parsing.pdf_tables import continuation
from lunheng.parsing.tables import markdown_table
from lunheng.types import BBox, ElementKind, ElementRole

MAX_CAPTION_LINES = 3
CAPTION_DISTANCE = 2.0
"""A caption stands within so many line heights of its table."""
POINT_STEP = 6
"""Points of a deeper level are indented by more than so many typographic points."""
Place = Callable[[BBox], BBox]


@dataclass(slots=True)
class PagesAround:
    """What is known of the pages beside their lines, by number."""

    heights: dict[int, float] = field(default_factory=dict)
    places: dict[int, Place] = field(default_factory=dict)
    """Of recognised pages: where a box of the upright page stands on the page."""
    pictures: dict[int, tuple[BBox, ...]] = field(default_factory=dict)
    """The boxes of images and drawings, where the page has any."""
    read_figure: Callable[[int, BBox, bool], FigureFound] = field(default=lambda page, box, text: FigureFound())
    """What is in a picture, by its page, its box, and whether its text is to be recognised."""


class Structure:
    """Paragraphs and headings out of the lines of a whole document."""

    def __init__(
        self,
        lines: list[Line],
        outline: dict[tuple[int, str], int],
        builder: DocumentBuilder,
        pages: PagesAround,
    ) -> None:
        self._body = body_size(lines)
        self._notes = footnotes(lines, pages.heights, self._body)
        in_notes = {id(line) for note in self._notes for line in note}
        self._lines = joined_tables([line for line in lines if id(line) not in in_notes])
        self._captions = table_captions(self._lines)
        self._captions_of: dict[int, list[Line]] = {}
        for line in self._lines if self._captions else ():
            if id(line) in self._captions:
                self._captions_of.setdefault(self._captions[id(line)], []).append(line)
        self._figures = figure_captions(self._lines, pages.pictures)
        self._headings = Headings(self._lines, outline, self._body)
        self._builder = builder
        self._places = pages.places
        self._read_figure = pages.read_figure
        self._pitch = _usual_pitch(self._lines)

    def write(self) -> None:
        blocks = list(self._blocks())
        texts = [_joined(block) if block[0].table is None else "" for block in blocks]
        levels = self._headings.levels(blocks, texts)
        notes = deque(self._notes)
        points: list[list[Line]] = []
        for index, (block, text) in enumerate(zip(blocks, texts, strict=True)):
            while notes and notes[0][0].page < block[0].page:
                self._write_points(points)
                self._write_text("paragraph", notes[0], _joined(notes.popleft()), role="footnote")
            level = levels.get(index) if id(block[0]) not in self._captions else None
            if block[0].table is None and level is None and is_bullet(block[0].text) and not self._is_caption(block):
                points.append(block)
                continue
            self._write_points(points)
            self._write_block(block, text, level)
        self._write_points(points)
        for note in notes:
            self._write_text("paragraph", note, _joined(note), role="footnote")

    def _is_caption(self, block: list[Line]) -> bool:
        return id(block[0]) in self._captions or id(block[0]) in self._figures

    def _blocks(self) -> Iterator[list[Line]]:
        block: list[Line] = []
        for line in self._lines:
            if block and (
                block[-1].table is not None
                or line.table is not None
                or self._captions.get(id(line)) != self._captions.get(id(block[-1]))
                or self._figures.get(id(line)) != self._figures.get(id(block[-1]))
                or self._headings.is_heading_line(line) != self._headings.is_heading_line(block[-1])
                or starts_paragraph(block[-1], line, self._pitch.get(size_bucket(line.size), line.height))
            ):
                yield block
                block = []
            block.append(line)
        if block:
            yield block

    def _write_block(self, block: list[Line], text: str, level: int | None) -> None:
        first = block[0]
        if first.table is not None:
            self._write_table(first)
        elif id(first) in self._figures:
            self._write_figure(block, text)
        elif level is not None:
            confidence = mean_confidence(block)
            self._builder.heading(
                text,
                level,
                page=first.page,
                bbox=self._first_box(block),
                is_ocr=confidence is not None,
                ocr_confidence=confidence,
            )
        else:
            self._write_text("paragraph", block, text)

    def _write_figure(self, block: list[Line], caption: str) -> None:
        """A figure with its caption, and with what is recognised in it where no text of the page stands in its box."""
        page, (_, box) = block[0].page, self._figures[id(block[0])]
        x0, top, x1, bottom = box
        has_text = any(
            x0 <= (line.x0 + line.x1) / 2 <= x1 and top <= (line.top + line.bottom) / 2 <= bottom
            for line in self._lines
            if line.page == page
        )
        found = FigureFound() if page in self._places else self._read_figure(page, box, not has_text)
        confidence = found.confidence or mean_confidence(block)
        self._builder.add(
            "figure",
            f"{caption}\n{found.text}" if found.text else caption,
            page=page,
            bbox=box,
            caption=caption,
            is_ocr=confidence is not None,
            ocr_confidence=confidence,
            links=_links(block),
            picture=found.jpeg,
        )

    def _write_text(self, kind: ElementKind, block: list[Line], text: str, role: ElementRole = "body") -> None:
        confidence = mean_confidence(block)
        self._builder.add(
            kind,
            text,
            page=block[0].page,
            bbox=self._first_box(block),
            is_ocr=confidence is not None,
            ocr_confidence=confidence,
            role=role,
            links=_links(block),
        )

    def _write_points(self, points: list[list[Line]]) -> None:
        """The points of one list, indented by their levels; empties ``points``."""
        if not points:
            return
        places = sorted({round(block[0].x0 - block[0].left) for block in points})
        steps = [places[0]]
        for place in places:
            if place - steps[-1] > POINT_STEP:
                steps.append(place)
        lines = []
        for block in points:
            depth = bisect_right(steps, round(block[0].x0 - block[0].left) + 1) - 1
            mark, text = split_bullet(_joined(block))
            lines.append(f"{'  ' * max(depth, 0)}{mark} {text}")
        self._write_text("list", [line for block in points for line in block], "\n".join(lines))
        points.clear()

    def _write_table(self, line: Line) -> None:
        assert line.table is not None
        caption = _joined(self._captions_of.get(id(line), []))
        self._builder.add(
            "table",
            markdown_table(line.table.rows),
            page=line.page,
            bbox=self._bbox([line]),
            caption=caption or None,
            is_ocr=line.confidence is not None,
            ocr_confidence=line.confidence,
            links=line.links,
        )

    def _first_box(self, block: list[Line]) -> BBox:
        """The box of what stands in the block's first column."""
        first = block[0]
        return self._bbox([line for line in block if (line.page, line.flow) == (first.page, first.flow)])

    def _bbox(self, lines: list[Line]) -> BBox:
        box = _bbox(lines)
        place = self._places.get(lines[0].page)
        return place(box) if place else box


def joined_tables(lines: list[Line]) -> list[Line]:
    """Tables that go on at the top of the next page made one, without the repeated header."""
    found: list[Line] = []
    end = 0  # the page on which the last line ends
    for line in lines:
        last = found[-1].table if found else None
        rows = continuation(last, line.table) if last and line.table and line.page == end + 1 else None
        if last is not None and rows is not None:
            repeated = list(itertools.takewhile(lambda pair: pair[0] == pair[1], zip(last.rows, rows, strict=False)))
            last.rows.extend(rows[len(repeated) :])
        else:
            found.append(line)
        end = line.page
    return found


def _links(lines: list[Line]) -> list[tuple[str, str]]:
    """The links of some lines; one that goes on over a line is one."""
    found: list[tuple[str, str]] = []
    for words, target in (link for line in lines for link in line.links):
        if found and found[-1][1] == target:
            found[-1] = (join_lines(found[-1][0], words), target)
        else:
            found.append((words, target))
    return found


def _joined(lines: list[Line]) -> str:
    text = ""
    for line in lines:
        text = join_lines(text, line.text)
    return text.replace("\u00ad", "-" if text.endswith("\u00ad") else "")


def body_size(lines: list[Line]) -> float:
    """The font size that most of the text has, in points."""
    amount: Counter[int] = Counter()
    for line in lines:
        amount[size_bucket(line.size)] += len(line.text)
    return amount.most_common(1)[0][0] / 2 if amount else 10.0


def _usual_pitch(lines: list[Line]) -> dict[int, float]:
    """The usual distance from one line of a paragraph to the next, by font size; 0 stands for all sizes."""
    distances: dict[int, list[float]] = {0: []}
    for a, b in itertools.pairwise(line for line in lines if line.table is None):
        if a.page == b.page and a.flow == b.flow and 0 < b.top - a.top < 3 * a.height:
            distances[0].append(b.top - a.top)
            if size_bucket(a.size) == size_bucket(b.size):
                distances.setdefault(size_bucket(a.size), []).append(b.top - a.top)
    return {size: median(found) for size, found in distances.items() if found}


def _bbox(lines: list[Line]) -> BBox:
    return (
        round(min(line.x0 for line in lines), 1),
        round(min(line.top for line in lines), 1),
        round(max(line.x1 for line in lines), 1),
        round(max(line.bottom for line in lines), 1),
    )
