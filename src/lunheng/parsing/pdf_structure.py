"""Lines of a whole PDF to headings, paragraphs, lists and tables.

Called by ``pdf`` once all pages are read, since what body text looks like, and whether a paragraph or a
table goes on over the page, only the whole document tells.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from statistics import median

from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.pdf_headings import Headings, size_bucket
from lunheng.parsing.pdf_layout import Line, is_bullet, join_lines, mean_confidence, starts_paragraph
from lunheng.parsing.pdf_tables import continuation
from lunheng.parsing.tables import markdown_table
from lunheng.types import BBox

MAX_CAPTION_LINES = 3
CAPTION_DISTANCE = 2.0
"""A caption stands within so many line heights of its table."""
Place = Callable[[BBox], BBox]
_CAPTION = re.compile(
    r"(?:[附续]?表|table|tab\.)\s*(?:[a-z]?\d{1,3}(?:[.\-–—]\d{1,3})*|[一二三四五六七八九十]{1,3}|[ivxl]{1,5})"
    r"(?![\w%])(?!\s+(?-i:[a-z]))",
    re.I,
)


class Structure:
    """Paragraphs and headings out of the lines of a whole document."""

    def __init__(
        self,
        lines: list[Line],
        outline: dict[tuple[int, str], int],
        builder: DocumentBuilder,
        places: Mapping[int, Place] | None = None,
    ) -> None:
        """``places`` says, for recognised pages, where a box of the upright page stands on the page as it is."""
        self._lines = joined_tables(lines)
        self._captions = _captions(self._lines)
        self._headings = Headings(self._lines, outline, body_size(self._lines))
        self._builder = builder
        self._places = places or {}
        self._pitch = _usual_pitch(lines)

    def write(self) -> None:
        blocks = list(self._blocks())
        texts = [_joined(block) if block[0].table is None else "" for block in blocks]
        levels = self._headings.levels(blocks, texts)
        for index, (block, text) in enumerate(zip(blocks, texts, strict=True)):
            level = levels.get(index) if id(block[0]) not in self._captions else None
            self._write_block(block, text, level)

    def _blocks(self) -> Iterator[list[Line]]:
        block: list[Line] = []
        for line in self._lines:
            if block and (
                block[-1].table is not None
                or line.table is not None
                or self._captions.get(id(line)) != self._captions.get(id(block[-1]))
                or self._headings.is_heading_line(line) != self._headings.is_heading_line(block[-1])
                or starts_paragraph(block[-1], line, self._pitch.get(size_bucket(line.size), line.height))
            ):
                yield block
                block = []
            block.append(line)
        if block:
            yield block

    def _write_block(self, block: list[Line], text: str, level: int | None) -> None:
        if block[0].table is not None:
            self._write_table(block[0])
            return
        page = block[0].page
        bbox = self._bbox([line for line in block if (line.page, line.flow) == (page, block[0].flow)])
        confidence = mean_confidence(block)
        if level is not None:
            self._builder.heading(
                text, level, page=page, bbox=bbox, is_ocr=confidence is not None, ocr_confidence=confidence
            )
        else:
            self._builder.add(
                "list" if is_bullet(block[0].text) else "paragraph",
                text,
                page=page,
                bbox=bbox,
                is_ocr=confidence is not None,
                ocr_confidence=confidence,
            )

    def _write_table(self, line: Line) -> None:
        assert line.table is not None
        caption = _joined([other for other in self._lines if self._captions.get(id(other)) == id(line)])
        self._builder.add(
            "table",
            markdown_table(line.table.rows),
            page=line.page,
            bbox=self._bbox([line]),
            caption=caption or None,
            is_ocr=line.confidence is not None,
            ocr_confidence=line.confidence,
        )

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


def _captions(lines: list[Line]) -> dict[int, int]:
    """The ids of the lines that are a caption, with the id of their table's line: above it, else below."""
    captions: dict[int, int] = {}
    tables = [i for i, line in enumerate(lines) if line.table is not None]
    bare: list[int] = []
    for i in tables:
        for start in range(i - 1, max(i - 1 - MAX_CAPTION_LINES, -1), -1):
            if not _adjoin(lines[start], lines[start + 1]):
                bare.append(i)
                break
            if _is_caption(lines[start:i]):
                captions.update((id(line), id(lines[i])) for line in lines[start:i])
                break
        else:
            bare.append(i)
    for i in bare:
        end = i + 1
        if end == len(lines) or id(lines[end]) in captions or not _adjoin(lines[i], lines[end]):
            continue
        while (
            end < min(len(lines) - 1, i + MAX_CAPTION_LINES)
            and _adjoin(lines[end], lines[end + 1])
            and not starts_paragraph(lines[end], lines[end + 1], lines[end].height)
        ):
            end += 1
        if _is_caption(lines[i + 1 : end + 1]):
            captions.update((id(line), id(lines[i])) for line in lines[i + 1 : end + 1])
    return captions


def _adjoin(above: Line, below: Line) -> bool:
    """Whether two lines, one of them of text, can be a caption and its table, or lines of a caption."""
    height = (
        min(line.height for line in (above, below) if line.table is None)
        if above.table is None or below.table is None
        else 0.0
    )
    return above.page == below.page and -height < below.top - above.bottom < CAPTION_DISTANCE * height


def _is_caption(lines: list[Line]) -> bool:
    return _CAPTION.match(lines[0].text) is not None and not lines[-1].text.endswith(("。", "：", ":"))


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
