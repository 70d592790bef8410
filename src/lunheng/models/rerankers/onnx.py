"""Reranks with a cross-encoder over ONNX Runtime: a folder with ``model.onnx`` and ``tokenizer.json``.

Called through ``lunheng.models.load_reranker``. The model reads query and passage together and
gives one logit (bge-reranker, jina-reranker-v2, ms-marco-MiniLM); with two, the second less the first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.models.onnx_session import MODEL_FILE, TOKENIZER_FILE, open_session, require_files, thread_count
from lunheng.models.tokenizer import JsonTokenizer
from lunheng.types import content_id

log = logging.getLogger(__name__)


class OnnxReranker:
    """Implements ``Reranker``. Thread-safe; one pair a run, several runs at once."""

    def __init__(self, folder: Path, *, window: int = 512, identity: str | None = None, threads: int = 0) -> None:
        """Open ``folder``.

        Raises:
            ModelError: the folder lacks the model or its tokenizer, or they are damaged.
        """
        require_files(folder)
        self._window = window
        self._threads = thread_count(threads)
        self._tokenizer = JsonTokenizer(folder / TOKENIZER_FILE, pair_window=window)
        self._session = open_session(folder / MODEL_FILE)
        self._inputs = {i.name for i in self._session.get_inputs()}
        identity = identity or content_id((folder / MODEL_FILE).read_bytes())
        self._fingerprint = content_id("cross-encoder", identity, str(window))

    @property
    def fingerprint(self) -> str:
        """Changes with the weights and the window."""
        return self._fingerprint

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n,): the model's logits. Passages too long for the window are cut at their end."""
        if not texts:
            return np.empty(0, np.float32)
        distinct = list(dict.fromkeys(texts))
        encodings = self._tokenizer.encode_pairs([(query, t) for t in distinct])
        cut = sum(bool(e.overflowing) for e in encodings)
        if cut:
            log.info(
                "%d of %d passages are longer than the reranker's %d tokens and were cut", cut, len(texts), self._window
            )
        order = sorted(range(len(encodings)), key=lambda i: -len(encodings[i].ids))
        scores: dict[str, float] = {}
        with ThreadPoolExecutor(self._threads) as pool:
            for i, logit in zip(order, pool.map(lambda i: self._logit(encodings[i]), order), strict=True):
                scores[distinct[i]] = logit
        return np.array([scores[t] for t in texts], np.float32)

    def _logit(self, encoding: Any) -> float:
        ids = np.array([encoding.ids], np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        if "token_type_ids" in self._inputs:
            given["token_type_ids"] = np.array([encoding.type_ids], np.int64)
        logits = np.asarray(self._session.run(None, given)[0]).reshape(-1)
        return float(logits[0]) if len(logits) == 1 else float(logits[1] - logits[0])
