"""Spans to chunks: exact caps, prefixes, ids and every field of the metadata.

Called by every chunker, which only decides where to cut. The cap is a promise: the tokens of a
chunk's ``full_text`` are counted as the model will count them, and a span that turns out too long
is cut again.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lunheng.chunking.splitting import split_span, trim
from lunheng.chunking.tokens import TokenMap
from lunheng.protocols import Tokenizer
from lunheng.text.keywords import extract_keywords
from lunheng.text.language import detect_language
from lunheng.types import BBox, Chunk, Document, Element, Metadata, content_id

PATH_JOINER = " > "
PREFIX_SHARE = 4
"""The heading path takes at most a quarter of the cap."""
TAGS = 5
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]|[^\W\u3040-\u9fff\uf900-\ufaff]+(?:['’.-][^\W\u3040-\u9fff]+)*"
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A span that a chunker proposes, and what it knows of it."""

    start: int
    end: int
    kind: str = "text"
    header: str = ""
    """Repeated in the prefix, below the headings: a table's header, a class's signature, the question of an answer."""
    path: tuple[str, ...] | None = None
    """The headings above it, where the chunker knows them better than the elements do."""
    clause: str | None = None
    """The id of the legal clause that it is."""
    references: tuple[str, ...] = ()
    """The ids of the clauses that it refers to."""


def _chunk_id(document: Document, content_hash: str, start: int, end: int, prefix: str) -> str:
    return content_id(document.id, content_hash, str(start), str(end), prefix)


def with_prefix(chunk: Chunk, document: Document, prefix: str, tokenizer: Tokenizer) -> Chunk:
    """``chunk`` with another prefix, and with what follows from it."""
    if prefix == chunk.prefix:
        return chunk
    changed = replace(chunk, prefix=prefix)
    digest = content_id(changed.full_text)
    metadata = replace(chunk.metadata, token_count=tokenizer.count(changed.full_text), content_hash=digest)
    return replace(changed, metadata=metadata, id=_chunk_id(document, digest, chunk.start, chunk.end, prefix))


def shortened(line: str, tokenizer: Tokenizer, allowed: int) -> str:
    """``line`` on one line and within ``allowed`` tokens, with … where it had to be cut; empty where nothing fits."""
    line = " ".join(line.split())
    if allowed > 0 and tokenizer.count(line) <= allowed:
        return line
    spans = tokenizer.spans(line)
    cut = line[: spans[allowed - 2][1]].rstrip() + "…" if len(spans) > allowed - 2 > 0 else ""
    return cut if tokenizer.count(cut) <= allowed else ""


def count_words(text: str) -> int:
    """Words; each Chinese or Japanese character counts as one."""
    return len(_WORD.findall(text))


class Assembler:
    """Makes the chunks of one document."""

    def __init__(self, document: Document, tokenizer: Tokenizer, cap: int, *, headings: bool = True) -> None:
        """``headings``: whether the title and the heading path stand before each chunk."""
        self.document = document
        self._headings = headings
        self.tokens = TokenMap(document.text, tokenizer)
        self.cap = cap
        self._tokenizer = tokenizer
        self._starts = [e.start for e in document.elements]
        self._prefixes: dict[tuple[str, ...], str] = {}
        self._languages: dict[str, str] = {}
        self._own_tags = _own_tags(document)

    def elements_in(self, start: int, end: int) -> range:
        """Positions of the elements that share a character with ``start:end``."""
        first = max(bisect.bisect_right(self._starts, start) - 1, 0)
        last = bisect.bisect_left(self._starts, end)
        elements = self.document.elements
        while first < last and elements[first].end <= start:
            first += 1
        return range(first, last)

    def prefix(self, start: int) -> str:
        """The title and headings that stand above what is at ``start``, outermost first, within its share."""
        if not self._headings:
            return ""
        inside = self.elements_in(start, start + 1)
        path = self.document.elements[inside[0]].heading_path if inside else ()
        if inside and self.document.elements[inside[0]].kind == "heading" and not path:
            own = self.document.elements[inside[0]].text
            path = () if own == self.document.title else (self.document.title,)
        elif self.document.title and self.document.title not in path:
            path = (self.document.title, *path)
        return self.path_prefix(path)

    def path_prefix(self, path: tuple[str, ...]) -> str:
        """``path`` as it stands in a prefix."""
        found = self._prefixes.get(path)
        if found is None:
            found = self._prefixes[path] = self._fit_path(tuple(p for p in path if p))
        return found

    def _fit_path(self, path: tuple[str, ...]) -> str:
        """The innermost headings that fit; the last one is cut where even it is too long."""
        allowed = self.cap // PREFIX_SHARE
        for first in range(len(path)):
            joined = PATH_JOINER.join(" ".join(p.split()) for p in path[first:])
            if self._tokenizer.count(joined) <= allowed:
                return joined
        if not path:
            return ""
        return shortened(path[-1], self._tokenizer, allowed)

    def budget(self, start: int, header: str = "", path: tuple[str, ...] | None = None) -> int:
        """Tokens left for text that begins at ``start``, after its prefix."""
        prefix = self._full_prefix(start, header, path)
        return max(self.cap - (self._tokenizer.count(f"{prefix}\n") if prefix else 0), 1)

    def _full_prefix(self, start: int, header: str, given: tuple[str, ...] | None) -> str:
        title = self.document.title
        if given is None:
            path = self.prefix(start)
        else:
            # A heading that the text itself begins with is not said twice.
            own = self.document.text[start : start + 200].lstrip("*#_ ")
            above = given[:-1] if given and " ".join(own.split()).startswith(given[-1]) else given
            path = self.path_prefix(above if not title or title in above else (title, *above))
        return f"{path}\n{header}" if path and header else path or header

    def chunks(self, drafts: Iterable[Draft]) -> list[Chunk]:
        """The chunks of ``drafts``, in order; a draft that exceeds the cap becomes several."""
        fitted = [piece for draft in drafts for piece in self._fit(draft)]
        # Where a draft was cut again, the next one's overlap may begin before its last piece, or hold it whole.
        fitted.sort(key=lambda piece: (piece[0].start, -piece[0].end))
        made: list[Chunk] = []
        for draft, prefix, count in fitted:
            if not made or draft.end > made[-1].end:
                made.append(self._chunk(draft, prefix, count, len(made)))
        return made

    def _fit(self, draft: Draft) -> Iterator[tuple[Draft, str, int]]:
        start, end = trim(self.document.text, draft.start, draft.end)
        if start == end:
            return
        text = self.document.text[start:end]
        prefix = self._full_prefix(start, draft.header, draft.path)
        if prefix or text != self.document.text:
            count = self._tokenizer.count(f"{prefix}\n{text}" if prefix else text)
        else:
            count = self.tokens.whole
        if count <= self.cap:
            yield replace(draft, start=start, end=end), prefix, count
            return
        if end - start == 1:
            # One character that with its prefix exceeds the cap: the prefix gives way.
            yield replace(draft, start=start, end=end, header=""), "", self._tokenizer.count(text)
            return
        inside = self.tokens.count(start, end)
        budget = min(self.cap - (count - inside), inside - 1)
        pieces = split_span(self.tokens, start, end, max(budget, 1))
        if len(pieces) < 2:
            middle = (start + end) // 2
            pieces = [(start, middle), (middle, end)]
        for piece in pieces:
            yield from self._fit(replace(draft, start=piece[0], end=piece[1]))

    def _chunk(self, draft: Draft, prefix: str, count: int, index: int) -> Chunk:
        document = self.document
        text = document.text[draft.start : draft.end]
        positions = self.elements_in(draft.start, draft.end)
        elements = [document.elements[i] for i in positions]
        path = _common_path(elements) if draft.path is None else draft.path
        page = elements[0].page if elements else None
        full_text = f"{prefix}\n{text}" if prefix else text
        metadata = Metadata(
            source=document.source,
            source_type=document.source_type,
            document_id=document.id,
            chunk_index=index,
            page_number=page,
            bbox=_union([e.bbox for e in elements if e.bbox is not None and e.page == page]),
            section_title=path[-1] if path else "",
            heading_path=path,
            author=document.author,
            created_at=document.created_at,
            last_modified=document.last_modified,
            word_count=count_words(text),
            token_count=count,
            language=self._language(text),
            tags=tuple(dict.fromkeys([*self._own_tags, *extract_keywords(text, TAGS)])),
            legal_clause_id=draft.clause,
            references=draft.references,
            table_caption=next((e.caption for e in elements if e.kind == "table" and e.caption), None),
            is_ocr=any(e.is_ocr for e in elements),
            acl=document.acl,
            collection=document.collection,
            content_hash=content_id(full_text),
            title=document.title,
            extra=document.extra,
        )
        return Chunk(
            id=_chunk_id(document, metadata.content_hash, draft.start, draft.end, prefix),
            text=text,
            start=draft.start,
            end=draft.end,
            metadata=metadata,
            prefix=prefix,
            element_ids=tuple(positions),
            kind=draft.kind,
        )

    def _language(self, text: str) -> str:
        found = detect_language(text)
        return self.document.language if found == "und" else found


def _own_tags(document: Document) -> list[str]:
    """What the document itself, or whoever added it, gives as its tags: a list, or one string."""
    given = document.extra.get("tags") or ()
    return [str(tag) for tag in (given if isinstance(given, (list, tuple)) else [given])]


def _common_path(elements: list[Element]) -> tuple[str, ...]:
    """The headings above all of the elements; a heading counts as standing in its own section."""
    paths = [(*e.heading_path, e.text) if e.kind == "heading" else e.heading_path for e in elements]
    # Headings with text below them in the chunk say nothing more than that text's path.
    bodies = [e.heading_path for e in elements if e.kind != "heading"]
    chosen = bodies or paths
    if not chosen:
        return ()
    shortest = min(chosen, key=len)
    common = 0
    while common < len(shortest) and all(p[common] == shortest[common] for p in chosen):
        common += 1
    return shortest[:common]


def _union(boxes: list[BBox]) -> BBox | None:
    if not boxes:
        return None
    return (min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes))
