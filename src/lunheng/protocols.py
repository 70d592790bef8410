"""The seams: every replaceable part of Lunheng is any object with these methods.

Called by whoever takes such a part. Each protocol has a conformance suite in ``lunheng.testing``.
They stand in one file, below the rooms, so that rooms that must not import one another can
still name what they are handed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lunheng.types import Chunk, Completion, Document, EmbedKind, Likelihood, Limits, Message

Vectors = NDArray[np.float32]
Keys = NDArray[np.int64]


@runtime_checkable
class Tokenizer(Protocol):
    """Counts what a model counts."""

    def count(self, text: str) -> int:
        """The number of tokens of ``text``, special tokens not counted."""
        ...

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The (start, end) character offsets of each token of ``text``, in order."""
        ...


@runtime_checkable
class Parser(Protocol):
    """Bytes to a document. Raises ``ParseError`` with the cause and the remedy."""

    def parse(self, source: Path, limits: Limits) -> Document: ...


@runtime_checkable
class Chunker(Protocol):
    """A document to chunks; no text lost, offsets exact, caps kept, deterministic."""

    def split(self, document: Document) -> list[Chunk]: ...


@runtime_checkable
class Embedder(Protocol):
    """Texts to vectors."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors would."""
        ...

    @property
    def dimension(self) -> int: ...

    @property
    def window(self) -> int:
        """The most tokens of one text, prefix and special tokens included."""
        ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    def embed(self, texts: Sequence[str], kind: EmbedKind) -> Vectors:
        """float32 (n, dimension), each row of length 1."""
        ...


@runtime_checkable
class TokenEmbedder(Embedder, Protocol):
    """An embedder that also gives the vectors of a text's single tokens, for late interaction."""

    def embed_tokens(self, texts: Sequence[str], kind: EmbedKind) -> list[Vectors]:
        """For each text float32 (tokens, dimension), rows of length 1, special and prefix tokens left out."""
        ...

    def embed_with_tokens(
        self, texts: Sequence[str], kind: EmbedKind, pack: Callable[[Vectors], bytes]
    ) -> tuple[Vectors, list[bytes]]:
        """``embed``, and ``pack`` of what ``embed_tokens`` gives for each text, in one run of the model."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """Scores passages against a query; higher is better."""

    @property
    def fingerprint(self) -> str: ...

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n,), any scale, one query's scores comparable with one another."""
        ...


@runtime_checkable
class LLM(Protocol):
    """A language model that chats."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def window(self) -> int:
        """Tokens that prompt and completion may have together."""
        ...

    def count(self, text: str) -> int:
        """Tokens of ``text`` (exact where the tokenizer is at hand, else an upper estimate)."""
        ...

    def generate(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] = (),
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Completion: ...

    def stream(
        self,
        messages: Sequence[Message],
        *,
        stop: Sequence[str] = (),
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Iterator[str]: ...


@runtime_checkable
class LikelihoodModel(Protocol):
    """A language model that says how likely a text is: what perplexity and multiple choice are measured by."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def window(self) -> int:
        """Tokens of a sequence, at the most."""
        ...

    def encode(self, text: str) -> list[int]:
        """The tokens of ``text``, no special ones added."""
        ...

    def log_likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """Of each (prompt, continuation), in order; a prompt too long for the window loses its beginning."""
        ...

    def token_log_probabilities(self, sequences: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """For each sequence of tokens the natural log of each one's probability after those before it."""
        ...


@runtime_checkable
class Describer(Protocol):
    """A vision model that says in words what a picture shows."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the descriptions may."""
        ...

    def describe(self, jpeg: bytes, context: str, language: str) -> str:
        """A few sentences in ``language`` (zh, en ...); ``context`` is what the document says around the picture."""
        ...


@runtime_checkable
class VectorIndex(Protocol):
    """A derived index of vectors by integer key (the catalog's chunk key).

    Metadata filters and permissions are resolved by the catalog into ``allowed``, so that every
    store has the same semantics; the contract is that ``search`` gives k rows whenever k allowed
    keys exist.
    """

    def upsert(self, keys: Keys, vectors: Vectors) -> None: ...

    def delete(self, keys: Keys) -> None: ...

    def search(self, vector: Vectors, k: int, allowed: Keys | None = None) -> list[tuple[int, float]]:
        """The ``k`` nearest (key, cosine), best first; only among ``allowed`` (sorted) when given."""
        ...

    def count(self) -> int: ...

    def keys(self) -> Keys:
        """Every key that it holds, sorted: what ``check`` compares with the catalog."""
        ...

    def flush(self) -> None:
        """Make everything written so far survive a kill."""
        ...

    def drop(self) -> None:
        """Delete it from disk."""
        ...

    def close(self) -> None: ...
