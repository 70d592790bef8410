"""Stand-ins for models where a test is about something else: instant, deterministic, and honest.

Each keeps its protocol's contract (the conformance suites run over them too). A fake embedder's
vectors follow shared words, so that near texts are near; a fake language model says what it was told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import ModelError
from lunheng.protocols import Tokenizer, Vectors
from lunheng.types import Completion, EmbedKind, Message, content_id

_TOKEN = re.compile(r"[A-Za-z0-9_]+|[^\sA-Za-z0-9_]")


class FakeTokenizer:
    """A word of letters and digits, or any other single character, is a token."""

    def count(self, text: str) -> int:
        """The number of tokens of ``text``."""
        return len(self.spans(text))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Their character offsets."""
        return [m.span() for m in _TOKEN.finditer(text)]


class FakeEmbedder:
    """Implements ``Embedder``: each token has a random direction of its own, a text is their sum."""

    def __init__(self, dimension: int = 64, window: int = 512, name: str = "fake") -> None:
        self._dimension = dimension
        self._window = window
        self._name = name
        self._tokenizer = FakeTokenizer()
        self.embedded: list[str] = []
        """Every text that was asked for, in order: tells a test what was computed."""

    @property
    def fingerprint(self) -> str:
        """Changes with the name, the dimension and the window."""
        return content_id("fake-embedder", self._name, str(self._dimension), str(self._window))

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self._dimension

    @property
    def window(self) -> int:
        """Tokens of one text; the rest is cut."""
        return self._window

    @property
    def tokenizer(self) -> FakeTokenizer:
        """Splits at words."""
        return self._tokenizer

    def embed(self, texts: Sequence[str], kind: EmbedKind) -> Vectors:
        """float32 (n, dimension), rows of length 1; query and passage alike."""
        self.embedded.extend(texts)
        rows = [self.embed_tokens([t], kind)[0].sum(axis=0) + self._direction("") * 0.01 for t in texts]
        vectors = np.array(rows, np.float32).reshape(len(texts), self._dimension)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    def embed_tokens(self, texts: Sequence[str], kind: EmbedKind) -> list[Vectors]:
        """Each token's direction, float32 (tokens, dimension)."""
        found = [[m.group().lower() for m in _TOKEN.finditer(t)][: self._window] for t in texts]
        return [np.array([self._direction(w) for w in ws], np.float32).reshape(-1, self._dimension) for ws in found]

    def _direction(self, word: str) -> Vectors:
        generator = np.random.default_rng(int(content_id(self._name, word, size=8), 16))
        vector = generator.standard_normal(self._dimension).astype(np.float32)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


class FakeTokenEmbedder(FakeEmbedder):
    """Implements ``TokenEmbedder`` over any tokenizer; a token's vector leans to the one before it, as context does."""

    def __init__(self, tokenizer: Tokenizer, dimension: int = 16, window: int = 512) -> None:
        super().__init__(dimension, window, "fake-tokens")
        self._own = tokenizer
        self._directions: dict[str, Vectors] = {}

    @property
    def tokenizer(self) -> Tokenizer:  # type: ignore[override]
        """The one that was given."""
        return self._own

    def embed_tokens(self, texts: Sequence[str], kind: EmbedKind) -> list[Vectors]:
        """One row a token, float32 (tokens, dimension), rows of length 1."""
        found = []
        for text in texts:
            words = [text[s:e].lower() for s, e in self._own.spans(text)][: self._window]
            rows = np.array([self._direction(w) for w in words], np.float32).reshape(-1, self._dimension)
            rows[1:] += 0.5 * rows[:-1]
            found.append(np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32))
        return found

    def embed_with_tokens(
        self, texts: Sequence[str], kind: EmbedKind, pack: Callable[[Vectors], bytes]
    ) -> tuple[Vectors, list[bytes]]:
        """``embed``, and the packed ``embed_tokens``."""
        return self.embed(texts, kind), [pack(rows) for rows in self.embed_tokens(texts, kind)]

    def _direction(self, word: str) -> Vectors:
        if word not in self._directions:
            self._directions[word] = super()._direction(word)
        return self._directions[word]


class FakeReranker:
    """Implements ``Reranker``: the share of the query's tokens that stand in the text."""

    @property
    def fingerprint(self) -> str:
        """Always the same."""
        return content_id("fake-reranker")

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n,), in [0, 1]."""
        asked = {m.group().lower() for m in _TOKEN.finditer(query)}
        held = [{m.group().lower() for m in _TOKEN.finditer(t)} for t in texts]
        return np.array([len(asked & words) / max(1, len(asked)) for words in held], np.float32)


Reply = str | Exception | Callable[[Sequence[Message]], str]


@dataclass
class FakeLLM:
    """Implements ``LLM``: gives ``replies`` in turn, the last one ever after.

    A reply is a text, an exception to raise, or a function of the messages. With a schema the reply
    is given as it is: a test that wants JSON writes JSON.
    """

    replies: Sequence[Reply] = ("",)
    window: int = 4096
    name: str = "fake-llm"
    calls: list[tuple[Message, ...]] = field(default_factory=list)
    """The messages of each call."""
    schemas: list[Mapping[str, Any] | None] = field(default_factory=list)
    """The schema of each call."""

    @property
    def fingerprint(self) -> str:
        """Changes with the name."""
        return content_id("fake-llm", self.name)

    def count(self, text: str) -> int:
        """Words and single characters."""
        return FakeTokenizer().count(text)

    def generate(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] = (),
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Completion:
        """The next reply, cut at ``stop`` and ``max_tokens``.

        Raises:
            ModelError: the messages are longer than the window; or whatever exception stands as the reply.
        """
        prompt = sum(self.count(m.content) for m in messages)
        if prompt >= self.window:
            raise ModelError(f"{self.name}: the prompt has {prompt} tokens and the window is {self.window}.")
        reply = self.replies[min(len(self.calls), len(self.replies) - 1)]
        self.calls.append(tuple(messages))
        self.schemas.append(schema)
        if isinstance(reply, Exception):
            raise reply
        text = reply(messages) if callable(reply) else reply
        for mark in stop:
            text = text.partition(mark)[0]
        spans = FakeTokenizer().spans(text)
        reason = "stop"
        if len(spans) > max_tokens:
            text, reason = text[: spans[max_tokens - 1][1]], "length"
        return Completion(text, self.name, prompt, min(len(spans), max_tokens), reason)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        stop: Sequence[str] = (),
        max_tokens: int = 512,
        temperature: float = 0.0,
    ) -> Iterator[str]:
        """The next reply, token by token."""
        text = self.generate(messages, stop=stop, max_tokens=max_tokens, temperature=temperature).text
        at = 0
        for _, end in FakeTokenizer().spans(text):
            yield text[at:end]
            at = end
        if at < len(text):
            yield text[at:]
