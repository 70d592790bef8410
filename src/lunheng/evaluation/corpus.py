"""A labelled set's passages as documents, so that it is searched through the same doors as any other.

Called by ``lunheng eval retrieval`` and the benchmarks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lunheng.evaluation.datasets import Passage
from lunheng.text.language import detect_language
from lunheng.types import Document, Element, Hit, content_id


def passage_documents(passages: Iterable[Passage]) -> Iterator[Document]:
    """One document a passage, its title as the heading; the source is the passage's id."""
    for passage in passages:
        text = passage.text
        elements: list[Element] = []
        if passage.title:
            text = f"{passage.title}\n\n{passage.text}"
            elements.append(Element("heading", passage.title, 0, len(passage.title), level=1))
        if passage.text.strip():
            start = len(text) - len(passage.text)
            path = (passage.title,) if passage.title else ()
            elements.append(Element("paragraph", passage.text, start, len(text), heading_path=path))
        yield Document(
            source=passage.id,
            source_type="txt",
            text=text,
            elements=tuple(elements),
            content_hash=content_id(text),
            title=passage.title,
            language=detect_language(text),
        )


def passage_ids(hits: Iterable[Hit]) -> list[str]:
    """The passages of ``hits``, best first, each once."""
    return list(dict.fromkeys(h.chunk.metadata.source for h in hits))
