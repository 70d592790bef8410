"""Sentences of a chunk with their vectors: what quotes, cuts and checks are made of.

Called by context (which part of a long chunk to show), extractive (which sentences to quote) and
verification (which sentence of the source an answer's sentence rests on).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lunheng.protocols import Embedder, Vectors
from lunheng.text.segmentation import terms
from lunheng.text.sentences import split_sentences
from lunheng.types import Chunk


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk cut into sentences."""

    chunk: Chunk
    spans: tuple[tuple[int, int], ...]
    """Offsets in the chunk's text."""
    vectors: Vectors
    """(sentences, dimension)."""

    def sentence(self, index: int) -> str:
        start, end = self.spans[index]
        return self.chunk.text[start:end]


class SentenceReader:
    """Cuts and embeds chunks once each; made anew for every answer."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._passages: dict[str, Passage] = {}

    def passages(self, chunks: list[Chunk]) -> list[Passage]:
        """The passage of each chunk; all new sentences go to the embedder in one call."""
        fresh = [c for c in {c.id: c for c in chunks}.values() if c.id not in self._passages]
        spans = [tuple(split_sentences(c.text)) or ((0, len(c.text)),) for c in fresh]
        texts = [c.text[s:e] for c, parts in zip(fresh, spans, strict=True) for s, e in parts]
        vectors = self.vectors(texts) if texts else np.empty((0, self._embedder.dimension), np.float32)
        at = 0
        for chunk, parts in zip(fresh, spans, strict=True):
            self._passages[chunk.id] = Passage(chunk, parts, vectors[at : at + len(parts)])
            at += len(parts)
        return [self._passages[c.id] for c in chunks]

    def vectors(self, texts: list[str]) -> Vectors:
        """Sentence vectors; both sides of a comparison are embedded as queries, as e5 asks for symmetric tasks."""
        return self._embedder.embed(texts, "query")


def overlap(wanted: str, text: str) -> float:
    """Share of the terms of ``wanted`` that ``text`` holds, in [0, 1]."""
    asked = set(terms(wanted, for_query=True))
    return len(asked & set(terms(text))) / len(asked) if asked else 0.0


def relevance(question: str, question_vector: Vectors, passage: Passage) -> Vectors:
    """How much each sentence of ``passage`` says to ``question``: cosine plus shared terms; (sentences,)."""
    shared = np.array([overlap(question, passage.sentence(i)) for i in range(len(passage.spans))], np.float32)
    return np.asarray(passage.vectors @ question_vector + 0.15 * shared, np.float32)
