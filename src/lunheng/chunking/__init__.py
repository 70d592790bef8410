"""Documents to chunks: one module a strategy, chosen by ``make_chunker``.

Every strategy keeps the same promises (see ``lunheng.testing.chunker``): a chunk's text is exactly
the document's between its offsets, its ``full_text`` never exceeds the cap, no visible text is
lost, and the same document always gives the same chunks.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from lunheng.errors import ConfigError
from lunheng.protocols import Chunker, Tokenizer

if TYPE_CHECKING:
    from lunheng.config import ChunkingSettings

VERSION = "1"
"""Raised whenever a strategy cuts otherwise than before, so that documents are chunked again."""
WINDOW_MARGIN = 10
"""Tokens of the embedder's window left for special tokens and its instruction."""
STRATEGIES = {
    "auto": "lunheng.chunking.auto:AutoChunker",
    "structure": "lunheng.chunking.structure:StructureChunker",
    "recursive": "lunheng.chunking.recursive:RecursiveChunker",
    "fixed": "lunheng.chunking.fixed:FixedChunker",
}

__all__ = ["STRATEGIES", "VERSION", "cap_of", "fingerprint", "make_chunker"]


def make_chunker(settings: ChunkingSettings, tokenizer: Tokenizer, window: int) -> Chunker:
    """The chunker that ``settings`` name, counting with ``tokenizer``, for an embedder's ``window`` in tokens.

    A strategy of your own is ``package.module:Name``, made as ``Name(tokenizer, size, overlap)``.

    Raises:
        ConfigError: for a strategy that does not exist or a window too small for any text.
    """
    cap = cap_of(settings, window)
    place = STRATEGIES.get(settings.strategy, settings.strategy)
    module_name, _, class_name = place.partition(":")
    if not class_name:
        known = ", ".join(STRATEGIES)
        raise ConfigError(f"chunking.strategy: {settings.strategy!r} is none of {known}, nor a package.module:Name")
    try:
        made: Chunker = getattr(importlib.import_module(module_name), class_name)(
            tokenizer, cap, min(settings.overlap, cap // 3)
        )
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"chunking.strategy: {settings.strategy!r} cannot be loaded ({error})") from error
    return made


def cap_of(settings: ChunkingSettings, window: int) -> int:
    """The most tokens that a chunk may have: the size asked for, within the embedder's window."""
    if window < 2 * WINDOW_MARGIN + 6:
        raise ConfigError(f"the embedder's window of {window} tokens is too small to embed passages; use another")
    return min(settings.size, window - WINDOW_MARGIN)


def fingerprint(settings: ChunkingSettings, window: int) -> str:
    """Changes whenever the same document may be cut differently (the tokenizer is the embedder's, with its own)."""
    return f"chunking-{VERSION}-{settings.strategy}-{cap_of(settings, window)}-{settings.overlap}"
