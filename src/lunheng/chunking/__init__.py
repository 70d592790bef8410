"""Documents to chunks: one module a strategy, chosen by ``make_chunker``.

Every strategy keeps the same promises (see ``lunheng.testing.chunker``): a chunk's text is exactly
the document's between its offsets, its ``full_text`` never exceeds the cap, no visible text is
lost, and the same document always gives the same chunks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from lunheng.chunking.cut import Cut, cut_document
from lunheng.chunking.parts import ChunkingParts
from lunheng.chunking.presets import GENERAL, PRESET_OF, WINDOW_MARGIN, size_for
from lunheng.errors import ConfigError
from lunheng.protocols import LLM, Chunker, Embedder, Tokenizer
from lunheng.types import content_id

if TYPE_CHECKING:
    from lunheng.config import ChunkingSettings

VERSION = "2"
"""Raised whenever a strategy cuts otherwise than before, so that documents are chunked again."""
STRATEGIES = {
    "auto": "lunheng.chunking.auto:AutoChunker",
    "code": "lunheng.chunking.code:CodeChunker",
    "legal": "lunheng.chunking.legal:LegalChunker",
    "medical": "lunheng.chunking.medical:MedicalChunker",
    "table": "lunheng.chunking.table:TableChunker",
    "qa": "lunheng.chunking.qa:QuestionChunker",
    "structure": "lunheng.chunking.structure:StructureChunker",
    "recursive": "lunheng.chunking.recursive:RecursiveChunker",
    "fixed": "lunheng.chunking.fixed:FixedChunker",
    "semantic": "lunheng.chunking.semantic:SemanticChunker",
    "parent_child": "lunheng.chunking.parent_child:ParentChildChunker",
    "late": "lunheng.chunking.late:LateChunker",
    "contextual": "lunheng.chunking.structure:StructureChunker",
}
CONTEXT_OF = {"contextual": "outline"}
"""What ``chunking.context = "auto"`` is for a strategy that does not leave it to its chunker."""

__all__ = [
    "STRATEGIES",
    "VERSION",
    "ChunkingParts",
    "Cut",
    "cap_of",
    "cut_document",
    "fingerprint",
    "make_chunker",
    "make_strategy",
]


def make_chunker(
    settings: ChunkingSettings,
    tokenizer: Tokenizer,
    window: int,
    embedder: Embedder | None = None,
    llm: Callable[[], LLM | None] | None = None,
) -> Chunker:
    """The chunker that ``settings`` name, counting with ``tokenizer``, for an embedder's ``window`` in tokens.

    A strategy of your own is ``package.module:Name``, made as ``Name.from_parts(parts)`` where it has that, else as
    ``Name(tokenizer, size, overlap)``. ``embedder`` and ``llm`` are for the strategies that read with a model.

    Raises:
        ConfigError: for a strategy that does not exist, one that lacks a model, or a window too small for any text.
    """
    cap = cap_of(settings, window)
    if settings.tokenizer == "cl100k":
        from lunheng.chunking.cl100k import Cl100kTokenizer, WithinWindow

        tokenizer = WithinWindow(Cl100kTokenizer(), tokenizer, window - WINDOW_MARGIN)
    parts = ChunkingParts(settings, tokenizer, cap, min(settings.overlap, cap // 3), embedder, llm, window)
    return make_strategy(settings.strategy, parts)


def make_strategy(name: str, parts: ChunkingParts) -> Chunker:
    """The strategy called ``name``, of ``parts``; for strategies that are made over others.

    Raises:
        ConfigError: as ``make_chunker``.
    """
    if name == "auto":  # each strategy that it chooses has its own context
        return _load(name, parts)
    context = CONTEXT_OF.get(name, "auto") if parts.settings.context == "auto" else parts.settings.context
    if context in ("auto", "headings"):
        return _load(name, parts)
    from lunheng.chunking.context import FirstSentences, Lines, WithLines, WithoutHeadings, WrittenLines, room_for_line

    if context == "none":
        return WithoutHeadings(_load(name, parts), parts)
    if context == "llm":
        lines: Lines = WrittenLines(parts.need_llm('chunking.context = "llm"'))
    else:
        lines = FirstSentences(always=context == "sentence")
    smaller = replace(parts, cap=parts.cap - room_for_line(parts.cap))
    return WithLines(_load(name, smaller), _load(name, parts), parts, lines)


def _load(name: str, parts: ChunkingParts) -> Chunker:
    place = STRATEGIES.get(name, name)
    module_name, _, class_name = place.partition(":")
    if not class_name:
        known = ", ".join(STRATEGIES)
        raise ConfigError(f"chunking.strategy: {name!r} is none of {known}, nor a package.module:Name")
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"chunking.strategy: {name!r} cannot be loaded ({error})") from error
    from_parts = getattr(kind, "from_parts", None)
    made: Chunker = from_parts(parts) if from_parts else kind(parts.tokenizer, parts.cap, parts.overlap)
    return made


def cap_of(settings: ChunkingSettings, window: int) -> int:
    """The most tokens that a chunk of the strategy may have (of general text, for ``auto``); see ``presets``."""
    return size_for(PRESET_OF.get(settings.strategy, GENERAL), settings.size, window).tokens


def fingerprint(settings: ChunkingSettings, window: int) -> str:
    """Changes whenever the same document may be cut differently (the tokenizer is the embedder's, with its own)."""
    return content_id(f"chunking-{VERSION}", settings.model_dump_json(), str(window))
