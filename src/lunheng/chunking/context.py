"""A line of context before each chunk: what a reader of the whole document would know, and the chunk does not say.

Called by ``make_chunker``, around any strategy, as ``chunking.context`` asks. The line stands in the prefix, below the
title and the headings: it is embedded and indexed and never shown. A language model writes it (Anthropic 2024,
contextual retrieval), or without one it is the first sentence of the section, or of the document, that the chunk does
not hold itself. The headings and the line have at most a quarter of the cap together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from lunheng.chunking.assembly import PREFIX_SHARE, Assembler, shortened, with_prefix
from lunheng.chunking.cut import Cut, cut_document
from lunheng.chunking.parts import ChunkingParts
from lunheng.errors import ModelError
from lunheng.protocols import LLM, Chunker
from lunheng.text.sentences import split_sentences
from lunheng.types import Chunk, Document, Message

LINE_SHARE = 2
"""Half of the prefix's share of the cap is kept free for the line."""
_WRITTEN = 96
"""Tokens that a language model may write."""
_ANSWER = 256
"""Tokens of its window that are left for its instructions and the line."""
_LEAD_CHARACTERS = 2_000
"""How far into an element its first sentence is looked for."""


class Lines(Protocol):
    """Gives the line of each chunk of a document."""

    def wanted(self, document: Document) -> bool:
        """Whether the document's chunks are to have lines."""
        ...

    def write(self, document: Document, chunks: Sequence[Chunk]) -> tuple[list[str], tuple[str, ...]]:
        """One line each, empty where there is nothing to say; and notes on what could not be written."""
        ...


def room_for_line(cap: int) -> int:
    """Tokens that the strategy below the line must leave free."""
    return cap // PREFIX_SHARE // LINE_SHARE


class WithoutHeadings:
    """``context = "none"``: only what a strategy itself repeats (a table's header) stands before a chunk."""

    def __init__(self, base: Chunker, parts: ChunkingParts) -> None:
        self._base = base
        self._parts = parts

    def split(self, document: Document) -> list[Chunk]:
        return self.cut(document).chunks

    def cut(self, document: Document) -> Cut:
        done = cut_document(self._base, document)
        tokenizer = self._parts.tokenizer
        assembler = Assembler(document, tokenizer, self._parts.cap)
        bare = [with_prefix(c, document, _parted(assembler, c)[1], tokenizer) for c in done.chunks]
        return replace(done, chunks=bare)


class WithLines:
    """``context = "outline"``, ``"sentence"`` or ``"llm"``: a line below the headings, above what a strategy itself repeats."""

    def __init__(self, base: Chunker, whole: Chunker, parts: ChunkingParts, lines: Lines) -> None:
        """``base`` was made for a cap that is ``room_for_line`` less than that of ``parts``; ``whole`` for all of it,
        for the documents that need no lines."""
        self._base = base
        self._whole = whole
        self._parts = parts
        self._lines = lines

    def split(self, document: Document) -> list[Chunk]:
        return self.cut(document).chunks

    def cut(self, document: Document) -> Cut:
        if not self._lines.wanted(document):
            return cut_document(self._whole, document)
        done = cut_document(self._base, document)
        cap = self._parts.cap
        assembler = Assembler(document, self._parts.tokenizer, cap - room_for_line(cap))
        lines, failures = self._lines.write(document, done.chunks)
        made = [self._with_line(assembler, *pair) for pair in zip(done.chunks, lines, strict=True)]
        return replace(done, chunks=made, notes=(*done.notes, *failures))

    def _with_line(self, assembler: Assembler, chunk: Chunk, line: str) -> Chunk:
        """As much of ``line`` as there is room for."""
        tokenizer, cap = self._parts.tokenizer, self._parts.cap
        headings, rest = _parted(assembler, chunk)
        allowed = min(cap // PREFIX_SHARE - tokenizer.count(headings), cap - chunk.metadata.token_count - 2)
        while fitted := shortened(line, tokenizer, allowed):
            prefix = "\n".join(part for part in (headings, fitted, rest) if part)
            made = with_prefix(chunk, assembler.document, prefix, tokenizer)
            if made.metadata.token_count <= cap:
                return made
            allowed = min(allowed, tokenizer.count(fitted)) - 1
        return chunk


def _parted(assembler: Assembler, chunk: Chunk) -> tuple[str, str]:
    """A chunk's prefix as the headings that assembly gave it, and the rest."""
    headings = assembler.prefix(chunk.start)
    if not headings or not f"{chunk.prefix}\n".startswith(f"{headings}\n"):
        return "", chunk.prefix
    return headings, chunk.prefix[len(headings) + 1 :]


class FirstSentences:
    """The first sentence of the innermost section whose first sentence is not in the chunk itself.

    Where a title or headings say already what a chunk belongs to, the sentence draws all chunks of a section near to
    questions about its beginning (benchmarks/chunking.py: nDCG@10 .965 without it, .959 with it): ``always`` puts it
    there all the same.
    """

    def __init__(self, always: bool) -> None:
        self._always = always

    def wanted(self, document: Document) -> bool:
        titled = document.title not in ("", Path(document.source).stem)  # a file's name says little
        headed = any(e.kind == "heading" and not e.hidden for e in document.elements)
        return self._always or not (titled or headed)

    def write(self, document: Document, chunks: Sequence[Chunk]) -> tuple[list[str], tuple[str, ...]]:
        leads = _leads(document)
        return [self._line(document, leads, chunk) for chunk in chunks], ()

    @staticmethod
    def _line(document: Document, leads: dict[tuple[str, ...], tuple[int, int]], chunk: Chunk) -> str:
        path = chunk.metadata.heading_path
        for depth in range(len(path), -1, -1):
            start, end = leads.get(path[:depth], (0, 0))
            if start < end and not chunk.start <= start < chunk.end:
                return document.text[start:end]
        return ""


def _leads(document: Document) -> dict[tuple[str, ...], tuple[int, int]]:
    """Where the first sentence below each heading path stands, and below () that of the document."""
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    for element in document.elements:
        if element.kind not in ("paragraph", "list") or element.hidden or element.role != "body":
            continue
        open_paths = [p for n in range(len(element.heading_path) + 1) if (p := element.heading_path[:n]) not in found]
        if open_paths:
            spans = split_sentences(element.text[:_LEAD_CHARACTERS])
            if spans:
                span = (element.start + spans[0][0], element.start + spans[0][1])
                found |= dict.fromkeys(open_paths, span)
    return found


class WrittenLines:
    """Lines by a language model; where it fails, first sentences, and a note of how many."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm

    def wanted(self, document: Document) -> bool:
        return True

    def write(self, document: Document, chunks: Sequence[Chunk]) -> tuple[list[str], tuple[str, ...]]:
        lines, _ = FirstSentences(always=True).write(document, chunks)
        failed = 0
        reason = ""
        for i, chunk in enumerate(chunks):
            try:
                written = self._llm.generate(self._messages(document, chunk), max_tokens=_WRITTEN).text
            except ModelError as error:
                failed, reason = failed + 1, str(error)
                continue
            written = " ".join(written.split())
            if written:
                lines[i] = written
            else:
                failed, reason = failed + 1, "the model wrote nothing"
        if failed:
            note = f"{failed} of {len(chunks)} context lines are first sentences: the language model failed ({reason})"
            return lines, (note,)
        return lines, ()

    def _messages(self, document: Document, chunk: Chunk) -> list[Message]:
        """The document, or as much of it around the chunk as the window takes, then the chunk."""
        template = _CHINESE if chunk.metadata.language.startswith("zh") else _ENGLISH
        room = self._llm.window - _ANSWER - self._llm.count(chunk.text)
        start, end = _visible_around(document, chunk)
        while end - start > 200 and self._llm.count(document.text[start:end]) > max(room, 0):
            cut = (end - start) // 5
            # From the side that reaches further beyond the chunk.
            start, end = (start + cut, end) if chunk.start - start > end - chunk.end else (start, end - cut)
        return [
            Message("user", template.format(title=document.title, document=document.text[start:end], chunk=chunk.text))
        ]


def _visible_around(document: Document, chunk: Chunk) -> tuple[int, int]:
    """The stretch around ``chunk`` up to the nearest hidden text: what a reader does not see instructs no model."""
    hidden = [e for e in document.elements if e.hidden]
    start = max((e.end for e in hidden if e.end <= chunk.start), default=0)
    end = min((e.start for e in hidden if e.start >= chunk.end), default=len(document.text))
    return start, end


_ENGLISH = """<document title="{title}">
{document}
</document>
Here is a passage of this document:
<passage>
{chunk}
</passage>
Write one short sentence that says what the passage is about and where it belongs in the document (whom, what or when \
it is about), so that it can be found by search. Write only that sentence."""
_CHINESE = """<document title="{title}">
{document}
</document>
下面是这份文档中的一段：
<passage>
{chunk}
</passage>
请用一句简短的话说明这一段讲的是什么、属于文档的哪一部分（涉及的对象、事项或时间），便于检索。只写这一句话。"""
