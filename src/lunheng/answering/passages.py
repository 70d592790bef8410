"""Chunks read for one question: their statements, how close each is in meaning, and what each says to the question.

Called by context (what to show the model), extractive (what to quote), verification and attribution (what an answer's
sentence rests on), and by the command line (what to show of a hit).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lunheng.answering.statements import Statement, split_statements
from lunheng.protocols import Embedder, TokenEmbedder, Vectors
from lunheng.retrieval.late_interaction import TokenCodec
from lunheng.text.segmentation import terms
from lunheng.types import Chunk

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk cut into statements."""

    chunk: Chunk
    statements: tuple[Statement, ...]
    vectors: Vectors
    """(statements, dimension)."""

    def reading(self, index: int) -> str:
        """What the statement says, a row with its column names."""
        return self.statements[index].reading


@dataclass(frozen=True, slots=True)
class Relevance:
    """What each statement of a chunk says to the question."""

    scores: Scores
    """(statements,): standard deviations among all that were read, summed over meaning, words in context and words."""
    codes: tuple[bytes, ...]
    """Packed token vectors of each; empty where the embedder gives none."""


class SentenceReader:
    """Cuts and embeds chunks once each; made anew for every question."""

    def __init__(
        self,
        embedder: Embedder,
        wordings: Sequence[str] = (),
        codec: TokenCodec | None = None,
        document_text: Callable[[str], str] | None = None,
    ) -> None:
        """``wordings``: the question, and the same in other languages; ``codec``: for late interaction;
        ``document_text``: a document's whole text by its id."""
        self._embedder = embedder
        self._codec = codec
        self._document_text = document_text
        self._documents: dict[str, str] = {}
        self._statements: dict[str, tuple[Statement, ...]] = {}
        self._texts: dict[str, tuple[Vectors, Vectors | None]] = {}
        self._passages: dict[str, Passage] = {}
        self._relevance: dict[str, Relevance] = {}
        self.wordings = tuple(wordings)

    def statements(self, chunk: Chunk) -> tuple[Statement, ...]:
        """``split_statements`` of ``chunk``."""
        if chunk.id not in self._statements:
            self._statements[chunk.id] = split_statements(chunk)
        return self._statements[chunk.id]

    def document(self, chunk: Chunk) -> str:
        """The whole text of the document that ``chunk`` is from; the chunk's own where that is not at hand."""
        if self._document_text is None:
            return chunk.text
        name = chunk.metadata.document_id
        if name not in self._documents:
            self._documents[name] = self._document_text(name)
        return self._documents[name]

    def passages(self, chunks: Sequence[Chunk]) -> list[Passage]:
        """The passage of each chunk; all new statements go to the embedder in one call."""
        fresh = [c for c in {c.id: c for c in chunks}.values() if c.id not in self._passages]
        cut = [self.statements(c) for c in fresh]
        texts = [s.reading for parts in cut for s in parts]
        vectors = self.vectors(texts) if texts else np.empty((0, self._embedder.dimension), np.float32)
        at = 0
        for chunk, parts in zip(fresh, cut, strict=True):
            self._passages[chunk.id] = Passage(chunk, parts, vectors[at : at + len(parts)])
            at += len(parts)
        return [self._passages[c.id] for c in chunks]

    def vectors(self, texts: list[str]) -> Vectors:
        """Sentence vectors; both sides of a comparison are embedded as queries, as e5 asks for symmetric tasks."""
        return self._embedder.embed(texts, "query")

    def relevance(self, chunks: Sequence[Chunk]) -> list[Relevance]:
        """What the statements of ``chunks`` say to the question, compared with one another: read all at once.

        Each is read below its heading. Where the question is worded in several languages, the wording that a
        statement fits best counts.
        """
        fresh = [c for c in {c.id: c for c in chunks}.values() if c.id not in self._relevance]
        if fresh:
            cut = [self.statements(c) for c in fresh]
            texts = [f"{_heading(c)}\n{s.reading}" for c, parts in zip(fresh, cut, strict=True) for s in parts]
            vectors, codes = self._read(texts)
            each = [self._score(wording, texts, vectors, codes) for wording in self.wordings]
            scores = np.max(each, axis=0) if each else np.zeros(len(texts), np.float32)
            at = 0
            for chunk, parts in zip(fresh, cut, strict=True):
                end = at + len(parts)
                self._relevance[chunk.id] = Relevance(scores[at:end], tuple(codes[at:end]))
                at = end
        return [self._relevance[c.id] for c in chunks]

    def interaction(self, text: str, codes: Sequence[bytes]) -> Scores | None:
        """MaxSim of ``text`` with each packed statement, (n,); None where there are no token vectors."""
        if self._codec is None or not codes:
            return None
        tokens = self._query(text)[1]
        return None if tokens is None else self._codec.score(tokens, codes)

    def _query(self, text: str) -> tuple[Vectors, Vectors | None]:
        """The vector of a wording or a claim, and its token vectors where there are such; each text is read once."""
        if text not in self._texts:
            if self._codec is not None and isinstance(self._embedder, TokenEmbedder):
                self._texts[text] = self._codec.read(self._embedder, text)
            else:
                self._texts[text] = self._embedder.embed([text], "query")[0], None
        return self._texts[text]

    def _read(self, texts: list[str]) -> tuple[Vectors, list[bytes]]:
        if self._codec is None or not isinstance(self._embedder, TokenEmbedder):
            return self._embedder.embed(texts, "passage"), []
        return self._embedder.embed_with_tokens(texts, "passage", self._codec.encode)

    def _score(self, wording: str, texts: list[str], vectors: Vectors, codes: list[bytes]) -> Scores:
        scores = _standardised(vectors @ self._query(wording)[0])
        scores += _standardised(np.array([overlap(wording, text) for text in texts], np.float32))
        interactions = self.interaction(wording, codes)
        return scores if interactions is None else scores + _standardised(interactions)


def _heading(chunk: Chunk) -> str:
    return " › ".join(chunk.metadata.heading_path[-2:]) or chunk.metadata.title or ""


def _standardised(values: Scores) -> Scores:
    return np.asarray((values - values.mean()) / (values.std() + 1e-9), np.float32)


def overlap(wanted: str, text: str) -> float:
    """Share of the terms of ``wanted`` that ``text`` holds, in [0, 1]."""
    asked = set(terms(wanted, for_query=True))
    return len(asked & set(terms(text))) / len(asked) if asked else 0.0
