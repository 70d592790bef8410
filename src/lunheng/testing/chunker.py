"""What every chunker must do: the conformance suite.

Called by ``tests/conformance/test_chunkers.py`` for each strategy, and by whoever writes one.
"""

from __future__ import annotations

from lunheng.protocols import Chunker, Tokenizer
from lunheng.types import Chunk, Document


def check_chunks(document: Document, chunks: list[Chunk], tokenizer: Tokenizer, cap: int) -> None:
    """Offsets are exact, the cap is kept, no visible text is lost, no hidden text is shown, ids are unique."""
    check_offsets(document, chunks)
    check_cap(chunks, tokenizer, cap)
    check_coverage(document, chunks)
    check_metadata(document, chunks, tokenizer)
    check_surroundings(document, chunks)
    assert len({c.id for c in chunks}) == len(chunks), "two chunks have one id"


def check_offsets(document: Document, chunks: list[Chunk]) -> None:
    """Each chunk is exactly the document's text between its offsets, and they come in order."""
    for chunk in chunks:
        assert chunk.text == document.text[chunk.start : chunk.end]
        assert chunk.text.strip() == chunk.text and chunk.text
    starts = [c.start for c in chunks]
    assert starts == sorted(starts)
    ends = [c.end for c in chunks]
    assert ends == sorted(ends)


def check_cap(chunks: list[Chunk], tokenizer: Tokenizer, cap: int) -> None:
    """No chunk exceeds the cap, prefix included, by the model's own count."""
    for chunk in chunks:
        count = tokenizer.count(chunk.full_text)
        # A single character can have more tokens than a tiny cap: there is nothing left to cut.
        assert count <= cap or len(chunk.text) == 1, f"{count} tokens, over the cap of {cap}"


def check_coverage(document: Document, chunks: list[Chunk]) -> None:
    """Every visible character is in a chunk, every hidden one in none."""
    covered = bytearray(len(document.text))
    for chunk in chunks:
        covered[chunk.start : chunk.end] = b"\x01" * (chunk.end - chunk.start)
    for element in document.elements:
        for i in range(element.start, element.end):
            if not document.text[i].isspace():
                assert bool(covered[i]) != element.hidden, f"{'shown' if element.hidden else 'lost'} at {i}"


def check_metadata(document: Document, chunks: list[Chunk], tokenizer: Tokenizer) -> None:
    """The fields that follow from the document and the place are right."""
    for index, chunk in enumerate(chunks):
        metadata = chunk.metadata
        assert metadata.chunk_index == index
        assert metadata.document_id == document.id
        assert (metadata.acl, metadata.collection) == (document.acl, document.collection)
        assert metadata.token_count == tokenizer.count(chunk.full_text)
        touched = [i for i, e in enumerate(document.elements) if e.start < chunk.end and e.end > chunk.start]
        assert list(chunk.element_ids) == touched
        assert metadata.page_number == document.elements[touched[0]].page
        assert metadata.is_ocr == any(document.elements[i].is_ocr for i in touched)


def check_surroundings(document: Document, chunks: list[Chunk]) -> None:
    """What goes to the answer, and what a vector is made in, holds the chunk and no hidden text."""
    hidden = [(e.start, e.end) for e in document.elements if e.hidden and e.start < e.end]
    spans = {(c.start, c.end, span) for c in chunks for span in (c.metadata.parent, c.metadata.embedded_in) if span}
    for start, end, (first, last) in spans:
        assert 0 <= first <= start and end <= last <= len(document.text)
        assert not any(s < last and e > first for s, e in hidden)


def check_deterministic(chunker: Chunker, document: Document) -> None:
    """The same document always gives the same chunks, ids included."""
    assert chunker.split(document) == chunker.split(document)


def check_tables_apart(document: Document, chunks: list[Chunk]) -> None:
    """No chunk holds a table and text other than headings; a table's later parts repeat its header."""
    for chunk in chunks:
        inside = [document.elements[i] for i in chunk.element_ids]
        tables = [e for e in inside if e.kind == "table"]
        if not tables:
            continue
        assert len(tables) == 1
        assert all(e.kind in ("table", "heading") for e in inside)
        assert chunk.kind in ("table", "qa")
        header = tables[0].text.split("\n", 1)[0]
        assert chunk.start <= tables[0].start or header in chunk.prefix or _is_long(header, chunk)


def _is_long(header: str, chunk: Chunk) -> bool:
    """Whether a header leaves less than half of a chunk to the rows, so that it need not be repeated.

    With its rule it is twice as long, and with the headings above (a quarter) over half of the cap: over an eighth.
    """
    return chunk.metadata.token_count < 8 * len(header.encode())
