"""Reranks with a sentence-transformers ``CrossEncoder`` and torch (``lunheng[tune]``).

Called through ``lunheng.models.load_reranker`` for entries of format ``torch`` (bge-reranker-v2-m3,
Qwen3-Reranker), and for freshly trained cross-encoders. Loads from a folder, never from the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import MissingExtraError, ModelError
from lunheng.types import content_id


class TorchReranker:
    """Implements ``Reranker``."""

    def __init__(self, folder: Path, *, identity: str, window: int = 512, batch_size: int = 16) -> None:
        """Load the model in ``folder``.

        Raises:
            MissingExtraError: sentence-transformers is not installed.
            ModelError: the folder holds no cross-encoder.
        """
        try:
            from sentence_transformers import CrossEncoder
        except ImportError as error:
            raise MissingExtraError("sentence-transformers", "tune") from error
        try:
            self._model: Any = CrossEncoder(str(folder), max_length=window, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"reranker {folder}: sentence-transformers cannot load it: {error}") from error
        self._batch_size = batch_size
        self._fingerprint = content_id("cross-encoder-torch", identity, str(window))

    @property
    def fingerprint(self) -> str:
        """Changes with the weights and the window."""
        return self._fingerprint

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n,): the model's scores; equal passages are computed once."""
        if not texts:
            return np.empty(0, np.float32)
        distinct = list(dict.fromkeys(texts))
        raw = self._model.predict([(query, t) for t in distinct], batch_size=self._batch_size, show_progress_bar=False)
        scores = dict(zip(distinct, np.asarray(raw, np.float32).reshape(-1).tolist(), strict=True))
        return np.array([scores[t] for t in texts], np.float32)
