"""Source code by functions and classes, each part with the signatures around it and the file's imports.

Called through ``make_chunker``, for source files and notebooks. A function or class that fits is never cut,
a larger one is cut between its members and statements, and small neighbours are joined. What a part needs to
be understood stands in its prefix and not in its text: the signatures of what encloses it, then the imports,
as far as a quarter of the cap goes; what is left out there is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lunheng.chunking.assembly import PREFIX_SHARE, Assembler, Draft
from lunheng.chunking.blocks import Block, make_blocks, special_drafts
from lunheng.chunking.code_tree import MOST_CHARACTERS, Code, Unit, language_of, read_code
from lunheng.chunking.cut import Cut
from lunheng.chunking.presets import CODE
from lunheng.chunking.splitting import split_span
from lunheng.chunking.structure import text_drafts, top_level
from lunheng.protocols import Tokenizer
from lunheng.types import Chunk, Document

SPARE = 4
"""Tokens that are left free in a chunk: counted alone, a stretch may have a few more than within the document."""
_NAME = re.compile(r"[^\W\d]\w*")
_IMPORT_WORDS = frozenset(
    [
        "import",
        "from",
        "as",
        "use",
        "using",
        "package",
        "include",
        "static",
        "type",
        "crate",
        "self",
        "super",
        "std",
        "h",
    ]
)


class CodeChunker:
    """Functions, classes and statements, at most ``size`` tokens; ``overlap`` only in text that is no code."""

    def __init__(self, tokenizer: Tokenizer, size: int, overlap: int = 0) -> None:
        self._tokenizer = tokenizer
        self._size = size
        self._overlap = overlap

    def split(self, document: Document) -> list[Chunk]:
        return self.cut(document).chunks

    def cut(self, document: Document) -> Cut:
        """The chunks; notes on a document without code, a language without a grammar, syntax errors, and prefixes that did not fit."""
        assembler = Assembler(document, self._tokenizer, self._size)
        notes: dict[str, None] = {}
        if not any(e.kind == "code" for e in document.elements):
            notes["no code was found in it; it was cut as text, by its sections"] = None
        return Cut(assembler.chunks(list(self._drafts(assembler, notes))), tuple(notes))

    def _drafts(self, assembler: Assembler, notes: dict[str, None]) -> Iterator[Draft]:
        elements = assembler.document.elements
        top = top_level(elements)
        imports: list[str] = []
        for block in _joined(make_blocks(elements)):
            if block.kind == "code":
                yield from self._code_drafts(assembler, block, imports, notes)
            elif block.kind == "text":
                yield from text_drafts(assembler, block, top, self._overlap)
            else:
                yield from special_drafts(assembler, block)

    def _code_drafts(
        self, assembler: Assembler, block: Block, imports: list[str], notes: dict[str, None]
    ) -> Iterator[Draft]:
        elements, tokens = assembler.document.elements, assembler.tokens
        top = elements[block.first].start
        start = next(e.start for e in elements[block.first : block.last] if e.kind == "code")
        end = elements[block.last - 1].end
        room = max(self._size - self._size // PREFIX_SHARE - SPARE, 1)
        code = self._read(assembler, start, end, room, notes)
        if code is None:
            for span in split_span(tokens, top, end, assembler.budget(top)):
                yield Draft(*span, "code")
            return
        own, imports[:] = len(imports), [*imports, *code.imports]
        if code.broken:
            notes["the code has syntax errors; it was cut around them"] = None
        for number, (first, last, context) in enumerate(_pack(assembler, code.units, room)):
            if number == 0:
                first = top
            wanted = imports if first >= code.imports_end or not code.imports else imports[:own]
            header = self._header(assembler, first, last, context, wanted, notes)
            yield Draft(first, last, "code", header)

    def _read(self, assembler: Assembler, start: int, end: int, room: int, notes: dict[str, None]) -> Code | None:
        document, tokens = assembler.document, assembler.tokens
        language = language_of(document.source_type, document.text)
        if language is None:
            notes[f"no grammar for {document.source_type} code; it was cut at blank lines and line ends"] = None
            return None
        if end - start > MOST_CHARACTERS:
            notes[f"{end - start:,} characters of code are too many to read as a tree; cut at blank lines"] = None
            return None
        try:
            return read_code(document.text, start, end, language, lambda first, last: tokens.count(first, last) <= room)
        except ImportError as error:
            notes[f"the grammar of {language} is not installed ({error}); cut at blank lines: pip install lunheng"] = (
                None
            )
            return None

    def _header(
        self,
        assembler: Assembler,
        start: int,
        end: int,
        context: tuple[str, ...],
        imports: list[str],
        notes: dict[str, None],
    ) -> str:
        """Signatures and imports within what the path leaves of a quarter of the cap, by importance.

        Signatures come first, from the outermost in, then all imports; where these do not fit, those that the text uses.
        """
        count = self._tokenizer.count
        left = self._size // PREFIX_SHARE - count(assembler.prefix(start)) - 1
        kept: list[str] = []
        for signature in context:
            left -= count(signature) + 1
            if left < 0:
                notes[
                    f"signatures around some parts of the code do not fit a quarter of {self._size} tokens; "
                    "raise chunking.size to carry them"
                ] = None
                return "\n".join(kept)
            kept.append(signature)
        if sum(count(line) + 1 for line in imports) > left:
            notes[
                f"the imports do not fit a quarter of {self._size} tokens; each part carries those that it uses, "
                "as far as they fit"
            ] = None
            used = set(_NAME.findall(assembler.document.text[start:end]))
            imports = [line for line in imports if used & _bound_names(line)]
        for number, line in enumerate(imports):
            left -= count(line) + 1
            if left < 0:
                return "\n".join([*imports[:number], *kept])
        return "\n".join([*imports, *kept])


def _bound_names(line: str) -> set[str]:
    """The names that an import brings, in any of the languages: those after ``import``, else all but the words."""
    words = _NAME.findall(line.partition(" import ")[2] if line.startswith("from ") else line)
    return set(words) - _IMPORT_WORDS


def _joined(blocks: list[Block]) -> Iterator[Block]:
    """Code elements that follow one another are one stretch of code."""
    current: Block | None = None
    for block in blocks:
        alone = block.last - block.first == 1  # no heading stands above it
        if alone and current is not None and current.kind == block.kind == "code" and block.first == current.last:
            current = Block("code", current.first, block.last)
            continue
        if current is not None:
            yield current
        current = block
    if current is not None:
        yield current


def _pack(assembler: Assembler, units: list[Unit], room: int) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Join small neighbours (and the statements of one function) while they fit, in one context."""
    count = assembler.tokens.count
    least = room * CODE.least // CODE.most
    current: Unit | None = None
    visible: set[tuple[str, ...]] = set()
    for unit in units:
        if current is not None:
            together = count(current.start, unit.end)
            small = count(current.start, current.end) < least or count(unit.start, unit.end) < least // 4
            joins = unit.inside_function or small
            if unit.context in visible and together <= room and joins:
                current = Unit(current.start, unit.end, current.context)
                visible |= {unit.opens} if unit.opens is not None else set()
                continue
            yield current.start, current.end, current.context
        current = unit
        visible = {unit.context} | ({unit.opens} if unit.opens is not None else set())
    if current is not None:
        yield current.start, current.end, current.context
