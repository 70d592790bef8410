"""Embeds through a server: OpenAI's shape (OpenAI, vLLM, Ollama, DashScope ...) or Cohere's.

Called through ``lunheng.models.load_embedder`` when ``models.embedder`` is ``endpoint``. The
server's tokenizer is not at hand, so lengths are estimated upward and long texts cut by that estimate.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from lunheng.config import EndpointSettings
from lunheng.errors import DimensionError, ModelError
from lunheng.models.endpoint import Endpoint
from lunheng.protocols import Vectors
from lunheng.types import EmbedKind, content_id

log = logging.getLogger(__name__)

_BATCH = 64
"""Texts a request; Cohere takes 96 at most."""
_PIECE = re.compile(r"[A-Za-z0-9]{1,3}|\S|\s+")
_FOR_NOTHING = "."
"""Stands for an empty text, which servers refuse."""
_COHERE_KIND = {"query": "search_query", "passage": "search_document"}


class EstimatedTokenizer:
    """Counts at least as many tokens as common tokenizers do: 3 letters a token, others one each."""

    def count(self, text: str) -> int:
        """An upper estimate of the tokens of ``text``."""
        return len(self.spans(text))

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The pieces' character offsets."""
        return [m.span() for m in _PIECE.finditer(text) if not m.group().isspace()]


class EndpointEmbedder:
    """Implements ``Embedder`` over ``/embeddings`` (OpenAI) or ``/embed`` (Cohere v2). Thread-safe."""

    def __init__(self, settings: EndpointSettings, *, query_prefix: str = "", passage_prefix: str = "") -> None:
        """Name the server.

        Raises:
            ModelError: ``embedder_endpoint.dimension`` is not set (it cannot be known without a call).
        """
        if settings.dimension is None:
            raise ModelError(
                f"embedder {settings.model}: set models.embedder_endpoint.dimension, the numbers in its vectors."
            )
        self._settings = settings
        self._dimension = settings.dimension
        self._prefixes: dict[EmbedKind, str] = {"query": query_prefix, "passage": passage_prefix}
        self._endpoint = Endpoint(settings)
        self._tokenizer = EstimatedTokenizer()

    @property
    def fingerprint(self) -> str:
        """Changes with the server, the model, the dimension and the prefixes."""
        s = self._settings
        return content_id("endpoint", s.base_url, s.model, str(self._dimension), *self._prefixes.values())

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return self._dimension

    @property
    def window(self) -> int:
        """As set in ``embedder_endpoint.window``."""
        return self._settings.window

    @property
    def tokenizer(self) -> EstimatedTokenizer:
        """Estimates upward."""
        return self._tokenizer

    def embed(self, texts: Sequence[str], kind: EmbedKind) -> Vectors:
        """float32 (n, dimension), rows of length 1; equal texts are sent once, long ones cut.

        Raises:
            ModelUnavailableError, ModelError: as ``Endpoint.post``.
            DimensionError: the server's vectors have another dimension than is set.
        """
        if not texts:
            return np.empty((0, self._dimension), np.float32)
        distinct = sorted(set(texts), key=lambda t: (len(t), t))
        prepared = [self._prefixes[kind] + self._cut(t, kind) or _FOR_NOTHING for t in distinct]
        batches = [self._request(prepared[i : i + _BATCH], kind) for i in range(0, len(prepared), _BATCH)]
        vectors = np.concatenate(batches)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        row = {text: i for i, text in enumerate(distinct)}
        return np.asarray(vectors[[row[t] for t in texts]], np.float32)

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()

    def _cut(self, text: str, kind: EmbedKind) -> str:
        room = max(1, self.window - self._tokenizer.count(self._prefixes[kind]) - 2)
        if len(text) <= room:
            return text
        spans = self._tokenizer.spans(text)
        if len(spans) <= room:
            return text
        log.warning("a text of about %d tokens is longer than the window of %d and was cut", len(spans), self.window)
        return text[: spans[room - 1][1]]

    def _request(self, texts: Sequence[str], kind: EmbedKind) -> Vectors:
        if self._settings.shape == "cohere":
            payload: dict[str, Any] = {"model": self._settings.model, "texts": list(texts)}
            payload |= {"input_type": _COHERE_KIND[kind], "embedding_types": ["float"], "truncate": "END"}
            answer = self._endpoint.post("embed", payload)
        else:
            payload = {"model": self._settings.model, "input": list(texts), "encoding_format": "float"}
            answer = self._endpoint.post("embeddings", payload)
        try:
            if self._settings.shape == "cohere":
                rows = answer["embeddings"]["float"]
            else:
                rows = [r["embedding"] for r in sorted(answer["data"], key=lambda r: r["index"])]
            with np.errstate(over="ignore"):  # an infinite number is named below
                vectors = np.array(rows, np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"embedder {self._settings.model}: the server's answer has another shape: {str(answer)[:300]}"
            ) from error
        if len(vectors) != len(texts):
            raise ModelError(
                f"embedder {self._settings.model}: {len(vectors)} vectors came back for {len(texts)} texts."
            )
        if vectors.ndim != 2 or vectors.shape[1] != self._dimension:
            raise DimensionError(
                f"embedder {self._settings.model}: its vectors have {vectors.shape[-1]} numbers and "
                f"embedder_endpoint.dimension says {self._dimension}. Set it to {vectors.shape[-1]}."
            )
        if not math.isfinite(float(vectors.sum())):
            raise ModelError(f"embedder {self._settings.model}: the server sent numbers that are not finite.")
        return vectors
