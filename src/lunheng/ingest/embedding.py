"""Passages to vectors, with packed token vectors where the embedder gives them.

Called by the pipeline, repair and migration: whatever writes vectors into the catalog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lunheng.catalog.vectors import Embedded
from lunheng.protocols import Embedder, TokenEmbedder
from lunheng.retrieval.late_interaction import TokenCodec, leading_heading


@dataclass(frozen=True, slots=True)
class Passage:
    """What is embedded of a chunk."""

    prefix: str
    full_text: str
    heading: str = ""
    """The chunk's own heading, where its text begins with it."""

    @classmethod
    def of(cls, prefix: str, text: str, heading_path: Sequence[str]) -> Passage:
        """The passage of a chunk's ``prefix`` and ``text``."""
        return cls(prefix, f"{prefix}\n{text}" if prefix else text, leading_heading(text, heading_path))


@dataclass(frozen=True, slots=True)
class PassageEmbedder:
    """Embeds passages for the catalog."""

    embedder: Embedder
    codec: TokenCodec | None
    """Packs token vectors; None where the embedder gives none."""

    @property
    def fingerprint(self) -> str:
        return self.embedder.fingerprint

    def embed(self, passages: Mapping[str, Passage]) -> dict[str, Embedded]:
        """What the model makes of each passage, under the same names.

        The tokens of headings shape their neighbours but are not compared themselves: a heading matches the
        question's words without answering it.
        """
        texts = [p.full_text for p in passages.values()]
        if not texts:
            return {}
        if self.codec is None or not isinstance(self.embedder, TokenEmbedder):
            rows = self.embedder.embed(texts, "passage")
            return {name: Embedded(row) for name, row in zip(passages, rows, strict=True)}
        rows, codes = self.embedder.embed_with_tokens(texts, "passage", self.codec.encode)
        made = {}
        for (name, passage), row, code in zip(passages.items(), rows, codes, strict=True):
            count = self.embedder.tokenizer.count
            skipped = sum(count(part.strip()) for part in (passage.prefix, passage.heading) if part.strip())
            made[name] = Embedded(row, self.codec.without_first(code, skipped))
        return made
