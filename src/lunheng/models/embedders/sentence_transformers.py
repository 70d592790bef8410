"""Embeds with sentence-transformers and torch, for models that have no ONNX form (``lunheng[tune]``).

Called through ``lunheng.models.load_embedder`` for entries of format ``torch``, and for fine-tuned
models before they are exported. Never goes to the network: it loads from a folder.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lunheng.errors import MissingExtraError, ModelError
from lunheng.models.onnx_session import TOKENIZER_FILE
from lunheng.models.tokenizer import JsonTokenizer
from lunheng.protocols import Vectors
from lunheng.types import EmbedKind, content_id

log = logging.getLogger(__name__)


class SentenceTransformersEmbedder:
    """Implements ``Embedder``."""

    def __init__(
        self,
        folder: Path,
        *,
        query_prefix: str = "",
        passage_prefix: str = "",
        window: int | None = None,
        identity: str,
        batch_size: int = 16,
    ) -> None:
        """Load the model in ``folder``.

        Raises:
            MissingExtraError: sentence-transformers is not installed.
            ModelError: the folder holds no such model, or one without tokenizer.json.
        """
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtraError("sentence-transformers", "tune") from error
        try:
            self._model: Any = SentenceTransformer(str(folder), local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"embedder {folder}: sentence-transformers cannot load it: {error}") from error
        if window is not None:
            self._model.max_seq_length = window
        self._window = int(self._model.max_seq_length)
        self._dimension = int(self._model.get_embedding_dimension())
        self._prefixes: dict[EmbedKind, str] = {"query": query_prefix, "passage": passage_prefix}
        self._batch_size = batch_size
        inner = (
            folder / TOKENIZER_FILE
            if (folder / TOKENIZER_FILE).is_file()
            else folder / "0_Transformer" / TOKENIZER_FILE
        )
        self._tokenizer = JsonTokenizer(inner)
        self._fingerprint = content_id(
            "sentence-transformers", identity, query_prefix, passage_prefix, str(self._window)
        )

    @property
    def fingerprint(self) -> str:
        """Changes with the weights, the prefixes and the window."""
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
        """float32 (n, dimension), rows of length 1; equal texts are computed once."""
        if not texts:
            return np.empty((0, self._dimension), np.float32)
        distinct = list(dict.fromkeys(texts))
        prepared = [self._prefixes[kind] + t for t in distinct]
        cut = sum(self._tokenizer.count(t) + 2 > self._window for t in prepared)
        if cut:
            log.warning(
                "%d of %d texts are longer than the model's %d tokens and were cut", cut, len(texts), self._window
            )
        # The library sorts by length itself.
        vectors = self._model.encode(
            prepared, batch_size=self._batch_size, normalize_embeddings=True, convert_to_numpy=True,
            show_progress_bar=False, prompt="",
        )  # fmt: skip
        row = {text: i for i, text in enumerate(distinct)}
        return np.asarray(vectors[[row[t] for t in texts]], np.float32)
