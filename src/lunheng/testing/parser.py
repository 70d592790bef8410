"""What every parser must do: the conformance suite.

Called by ``tests/conformance/test_parsers.py`` for each format, and by whoever writes a parser. Each
check takes ``parse``, a callable from a path to a ``Document`` (``ParserClass().parse`` with its
limits bound, or ``lunheng.parsing.parse_file``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

from lunheng.errors import ParseError
from lunheng.testing.samples import Sample
from lunheng.types import Document, ElementKind

Parse = Callable[[Path], Document]


def check_document(document: Document) -> None:
    """The document's text and elements agree with one another."""
    position = 0
    for element in document.elements:
        assert document.text[element.start : element.end] == element.text
        assert element.start >= position, "elements overlap or are out of order"
        assert not document.text[position : element.start].strip(), "text between elements"
        assert element.text.strip(), "an element without text"
        assert element.kind in get_args(ElementKind)
        assert element.page is None or element.page >= 1
        assert element.kind != "heading" or element.level >= 1
        if element.bbox is not None:
            assert element.bbox[0] <= element.bbox[2] and element.bbox[1] <= element.bbox[3]
        position = element.end
    assert position == len(document.text)
    assert document.title
    assert "\x00" not in document.text and "\r" not in document.text
    document.text.encode()  # no lone surrogates
    _check_heading_paths(document)


def _check_heading_paths(document: Document) -> None:
    trail: list[tuple[int, str]] = []
    for element in document.elements:
        if element.hidden:
            continue
        if element.kind == "heading":
            while trail and trail[-1][0] >= element.level:
                trail.pop()
            assert element.heading_path == tuple(text for _, text in trail)
            trail.append((element.level, element.text))
        else:
            assert element.heading_path == tuple(text for _, text in trail)


def check_content(parse: Parse, sample: Sample) -> None:
    """Everything that stands in the sample is found, with its structure, and nothing hidden is shown."""
    document = parse(sample.path)
    check_document(document)
    assert document.source_type == sample.source_type
    assert document.language == sample.language
    for phrase in sample.phrases:
        assert phrase in document.text, f"lost: {phrase!r}"
    headings = [(e.level, e.text) for e in document.elements if e.kind == "heading" and not e.hidden]
    assert [text for _, text in headings if text in sample.headings] == list(sample.headings)
    levels = {text: level for level, text in headings}
    for outer, inner in sample.nested:
        assert levels[outer] < levels[inner], f"{inner!r} should stand below {outer!r}"
    tables = "\n".join(e.text for e in document.elements if e.kind == "table")
    for row in sample.table_rows:
        assert "| " + " | ".join(row) + " |" in tables, f"lost table row: {row!r}"
    shown = "\n".join(e.text for e in document.elements if not e.hidden)
    for phrase in sample.hidden:
        assert phrase not in shown, f"hidden text is shown: {phrase!r}"
    for phrase, page in sample.pages:
        assert next(e.page for e in document.elements if phrase in e.text) == page


def check_deterministic(parse: Parse, sample: Sample) -> None:
    """The same file always gives the same document."""
    assert parse(sample.path) == parse(sample.path)


def check_damaged(parse: Parse, sample: Sample, folder: Path) -> None:
    """Truncated at any place the file gives a sound document or a ``ParseError`` that names it."""
    data = sample.path.read_bytes()
    for share in (0.0, 0.01, 0.3, 0.6, 0.9, 0.99):
        damaged = folder / f"damaged-{sample.path.name}"
        damaged.write_bytes(data[: int(len(data) * share)])
        try:
            check_document(parse(damaged))
        except ParseError as error:
            assert str(damaged) in str(error)


def check_garbled(parse: Parse, sample: Sample, folder: Path) -> None:
    """With bytes overwritten here and there: the same promise."""
    data = bytearray(sample.path.read_bytes())
    for seed in range(3):
        for i in range(seed, len(data), 97 + 31 * seed):
            data[i] = (data[i] * 7 + i) % 256
        garbled = folder / f"garbled-{sample.path.name}"
        garbled.write_bytes(bytes(data))
        try:
            check_document(parse(garbled))
        except ParseError as error:
            assert str(garbled) in str(error)


def check_mislabelled(parse: Parse, sample: Sample, folder: Path) -> None:
    """Under another format's name a binary file parses as what it is, with a warning."""
    wrong = folder / f"mislabelled{'.docx' if sample.path.suffix == '.pdf' else '.pdf'}"
    wrong.write_bytes(sample.path.read_bytes())
    document = parse(wrong)
    assert document.source_type == sample.source_type
    assert any("named" in warning for warning in document.warnings)
