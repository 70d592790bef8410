"""What a chunker may be made of.

Called by ``make_chunker``. A strategy that needs more than a tokenizer, a cap and an overlap (the settings, the
embedder, the language model) has a class method ``from_parts(parts)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lunheng.errors import ConfigError
from lunheng.protocols import LLM, Embedder, Tokenizer

if TYPE_CHECKING:
    from lunheng.config import ChunkingSettings


@dataclass(frozen=True, slots=True)
class ChunkingParts:
    """What a strategy is made of."""

    settings: ChunkingSettings
    tokenizer: Tokenizer
    cap: int
    """The most tokens of a chunk, prefix included."""
    overlap: int
    embedder: Embedder | None = None
    llm: Callable[[], LLM | None] | None = None
    """Gives the language model when it is first needed: most strategies never ask."""
    window: int = 512
    """Tokens that the embedder reads."""

    def need_embedder(self, strategy: str) -> Embedder:
        """The embedder.

        Raises:
            ConfigError: none was handed in.
        """
        if self.embedder is None:
            raise ConfigError(f"chunking.strategy: {strategy!r} compares sentences with an embedder, and none is given")
        return self.embedder

    def need_llm(self, what: str) -> LLM:
        """The language model, which ``what`` (a setting) asks for.

        Raises:
            ConfigError: none is configured.
        """
        found = self.llm() if self.llm is not None else None
        if found is None:
            raise ConfigError(f"{what} needs a language model, and models.llm is none; set one, or another {what}")
        return found
