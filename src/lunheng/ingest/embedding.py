"""Passages to vectors, with packed token vectors where the embedder gives them.

Called by the pipeline, repair and migration: whatever writes vectors into the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from lunheng.catalog.rows import passage_hash
from lunheng.catalog.vectors import Embedded
from lunheng.errors import ConfigError
from lunheng.protocols import Embedder, TokenEmbedder, Vectors
from lunheng.retrieval.late_interaction import TokenCodec, leading_heading
from lunheng.types import Chunk


@dataclass(frozen=True, slots=True)
class Passage:
    """What is embedded of a chunk."""

    prefix: str
    full_text: str
    heading: str = ""
    """The chunk's own heading, where its text begins with it."""

    around: str = ""
    """Late chunking: the stretch of the document that is embedded, of which the passage's tokens are taken."""
    span: tuple[int, int] = (0, 0)
    """Where the chunk's text stands in ``around``."""

    @classmethod
    def of(cls, chunk: Chunk, document_text: str) -> Passage:
        """The passage of ``chunk``."""
        heading = leading_heading(chunk.text, chunk.metadata.heading_path)
        if chunk.metadata.embedded_in is None:
            return cls(chunk.prefix, chunk.full_text, heading)
        first, last = chunk.metadata.embedded_in
        span = (chunk.start - first, chunk.end - first)
        return cls(chunk.prefix, chunk.full_text, heading, document_text[first:last], span)


def passages_of(chunks: Iterable[Chunk], document_text: str) -> dict[str, Passage]:
    """The passages of a document's chunks, by the hash that names each one's vector."""
    return {
        passage_hash(c.full_text, document_text, c.start, c.metadata.embedded_in): Passage.of(c, document_text)
        for c in chunks
    }


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
        late = {name: p for name, p in passages.items() if p.around}
        if late:
            rest = {name: p for name, p in passages.items() if not p.around}
            return self._embed_late(late) | self.embed(rest)
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

    def _embed_late(self, passages: Mapping[str, Passage]) -> dict[str, Embedded]:
        """Late chunking (Günther et al. 2024): each stretch is read once, and each passage pools its own tokens.

        Raises:
            ConfigError: the embedder gives no token vectors.
        """
        embedder = self.embedder
        if not isinstance(embedder, TokenEmbedder):
            raise ConfigError("chunking.strategy: 'late' pools token vectors, which this embedder does not give")
        stretches = list(dict.fromkeys(p.around for p in passages.values()))
        read = dict(zip(stretches, embedder.embed_tokens(stretches, "passage"), strict=True))
        spans = {stretch: embedder.tokenizer.spans(stretch) for stretch in stretches}
        made = {}
        for name, passage in passages.items():
            tokens = _tokens_within(read[passage.around], spans[passage.around], passage.span)
            pooled = tokens.mean(axis=0)
            code = None
            if self.codec is not None:
                heading = embedder.tokenizer.count(passage.heading.strip()) if passage.heading.strip() else 0
                code = self.codec.encode(tokens[heading:])
            made[name] = Embedded(np.asarray(pooled / np.linalg.norm(pooled), np.float32), code)
        return made


def _tokens_within(rows: Vectors, spans: list[tuple[int, int]], span: tuple[int, int]) -> Vectors:
    """The rows of the tokens that begin in ``span``; at least one."""
    # Where a model joins the first word with its own prefix, there are rows less or more at the beginning only.
    shift = len(rows) - len(spans)
    chosen = [i + shift for i, (start, _) in enumerate(spans) if span[0] <= start < span[1] and i + shift >= 0]
    if not chosen:
        chosen = [max(0, min(len(rows), sum(start < span[1] for start, _ in spans) + shift) - 1)]
    return rows[chosen]
