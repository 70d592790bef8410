"""Embeds with ONNX Runtime: a folder with ``model.onnx`` and ``tokenizer.json``.

Called through ``lunheng.models.load_embedder``. Each run of the model holds one text and the
threads take texts in parallel: measured on CPU this is as fast as batching, needs no padding, and
a text's vector does not depend on its neighbours (dynamic int8 has one scale per run), so that
caches and re-indexing agree to the last bit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lunheng.models.onnx_session import MODEL_FILE, TOKENIZER_FILE, open_session, require_files, thread_count
from lunheng.models.registry import Pooling
from lunheng.models.tokenizer import JsonTokenizer
from lunheng.protocols import Vectors
from lunheng.types import EmbedKind, content_id

log = logging.getLogger(__name__)


_STATES = "last_hidden_state"
T = TypeVar("T")
_Compute = Callable[[NDArray[np.int64], NDArray[np.bool_]], T]


class OnnxEmbedder:
    """Implements ``Embedder``, and gives token vectors too. Thread-safe; loads when first used."""

    def __init__(
        self,
        folder: Path,
        *,
        query_prefix: str = "",
        passage_prefix: str = "",
        window: int = 512,
        pooling: Pooling = "mean",
        identity: str | None = None,
        threads: int = 0,
    ) -> None:
        """Open ``folder``.

        Args:
            identity: what the weights are (a checksum), for the fingerprint; the file's own hash when not given.
            threads: texts embedded at once; 0 for as many as there are cores.

        Raises:
            ModelError: the folder lacks the model or its tokenizer, or they are damaged.
        """
        require_files(folder)
        self._prefixes: dict[EmbedKind, str] = {"query": query_prefix, "passage": passage_prefix}
        self._window = window
        self._pooling = pooling
        self._threads = thread_count(threads)
        self._tokenizer = JsonTokenizer(folder / TOKENIZER_FILE)
        self._session = open_session(folder / MODEL_FILE)
        self._inputs = {i.name for i in self._session.get_inputs()}
        self._outputs = [o.name for o in self._session.get_outputs()]
        self._pooled = "sentence_embedding" in self._outputs and _STATES not in self._outputs
        shape = self._session.get_outputs()[0].shape
        # Some exporters leave the dimension open; a run tells it.
        self._dimension = shape[-1] if isinstance(shape[-1], int) else self._run(np.array([0]), _STATES).shape[-1]
        identity = identity or content_id((folder / MODEL_FILE).read_bytes())
        self._fingerprint = content_id(identity, query_prefix, passage_prefix, str(window), pooling)

    @property
    def fingerprint(self) -> str:
        """Changes with the weights, the prefixes, the window and the pooling."""
        return self._fingerprint

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self._dimension

    @property
    def window(self) -> int:
        """The most tokens of one text, prefix and special tokens included."""
        return self._window

    @property
    def tokenizer(self) -> JsonTokenizer:
        """The model's own tokenizer."""
        return self._tokenizer

    def embed(self, texts: Sequence[str], kind: EmbedKind) -> Vectors:
        """float32 (n, dimension), rows of length 1. A text over the window is cut, with a logged warning.

        Equal texts are computed once.
        """
        vectors = np.empty((len(texts), self._dimension), np.float32)
        if not texts:
            return vectors
        distinct = list(dict.fromkeys(texts))
        rows = dict(zip(distinct, self._map(self._vector, distinct, kind), strict=True))
        for i, text in enumerate(texts):
            vectors[i] = rows[text]
        return vectors

    def embed_tokens(self, texts: Sequence[str], kind: EmbedKind) -> list[Vectors]:
        """Each text's last hidden state, float32 (tokens, dimension), rows of length 1.

        Special tokens and the prefix's tokens are left out: what remains is the text's own words.
        """
        prefix = self._tokenizer.count(self._prefixes[kind].rstrip()) if self._prefixes[kind] else 0

        def vectors(ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> Vectors:
            states = self._run(ids, _STATES)[0][mask][prefix:]
            return _unit(states)

        return self._map(vectors, texts, kind)

    def embed_with_tokens(
        self, texts: Sequence[str], kind: EmbedKind, pack: Callable[[Vectors], bytes]
    ) -> tuple[Vectors, list[bytes]]:
        """``embed``, and ``pack`` of each text's token vectors, in one run of the model a text.

        Packed at once, so that the token vectors of a whole batch never lie in memory together.
        """
        prefix = self._tokenizer.count(self._prefixes[kind].rstrip()) if self._prefixes[kind] else 0

        def both(ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> tuple[Vectors, bytes]:
            states = self._run(ids, _STATES)[0]
            return self._pool(states), pack(_unit(states[mask][prefix:]))

        rows = self._map(both, texts, kind)
        vectors = np.stack([v for v, _ in rows]) if rows else np.empty((0, self._dimension), np.float32)
        return vectors, [packed for _, packed in rows]

    def _map(self, compute: _Compute[T], texts: Sequence[str], kind: EmbedKind) -> list[T]:
        """``compute(ids, is_content)`` for each text, in the order of ``texts``; longest first on the threads."""
        prefix = self._prefixes[kind]
        encodings = self._tokenizer.encode([prefix + t for t in texts])
        inputs = [self._truncated(e) for e in encodings]
        cut = sum(len(e.ids) > self._window for e in encodings)
        if cut:
            log.warning(
                "%d of %d texts are longer than the model's %d tokens and were cut", cut, len(texts), self._window
            )
        if len(texts) == 1 or self._threads == 1:
            return [compute(*i) for i in inputs]
        order = sorted(range(len(inputs)), key=lambda i: -len(inputs[i][0]))
        with ThreadPoolExecutor(self._threads) as pool:
            results = dict(zip(order, pool.map(lambda i: compute(*inputs[i]), order), strict=True))
        return [results[i] for i in range(len(inputs))]

    def _truncated(self, encoding: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Ids within the window and which of them are the text's own; the closing special tokens are kept."""
        ids = np.array(encoding.ids, np.int64)
        content = np.array(encoding.special_tokens_mask) == 0
        if len(ids) > self._window:
            closing = int(np.argmax(content[::-1])) if content.any() else 0
            keep = np.r_[0 : self._window - closing, len(ids) - closing : len(ids)]
            ids, content = ids[keep], content[keep]
        return ids, content

    def _run(self, ids: NDArray[np.int64], output: str) -> NDArray[np.float32]:
        given = {"input_ids": ids[None], "attention_mask": np.ones((1, len(ids)), np.int64)}
        if "token_type_ids" in self._inputs:
            given["token_type_ids"] = np.zeros((1, len(ids)), np.int64)
        name = output if output in self._outputs else self._outputs[0]
        return self._session.run([name], given)[0]  # type: ignore[no-any-return]

    def _vector(self, ids: NDArray[np.int64], _content: NDArray[np.bool_]) -> Vectors:
        if self._pooled:
            return _row(_unit(self._run(ids, "sentence_embedding")))
        return self._pool(self._run(ids, _STATES)[0])

    def _pool(self, states: NDArray[np.float32]) -> Vectors:
        pooled: Vectors = {"mean": states.mean(axis=0), "cls": states[0], "last": states[-1]}[self._pooling]
        return _row(_unit(pooled[None]))


def _row(vectors: Vectors) -> Vectors:
    row: Vectors = vectors[0]
    return row


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)
