"""Lunheng: ``KnowledgeBase`` as it is, with its default reranker where the real model runs."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from side import DIMENSION, WINDOW, Model, main

from lunheng import KnowledgeBase
from lunheng.config import Settings, cache_dir
from lunheng.evaluation.corpus import passage_documents
from lunheng.evaluation.datasets import Passage
from lunheng.models import load_embedder
from lunheng.models.onnx_session import TOKENIZER_FILE
from lunheng.models.tokenizer import JsonTokenizer
from lunheng.protocols import Tokenizer, Vectors

logging.getLogger("lunheng").setLevel(logging.ERROR)


class TimedEmbedder:
    """The default embedder, with the time spent in the model.

    Token vectors are packed on the model's threads: that is our own work, so it is taken off the model's time.
    """

    def __init__(self, _folder: Path) -> None:
        self.seconds = 0.0
        self._inner: Any = load_embedder(Settings().models)
        self._lock = threading.Lock()
        self.fingerprint: str = self._inner.fingerprint
        self.dimension: int = self._inner.dimension
        self.window: int = self._inner.window
        self.tokenizer: Tokenizer = self._inner.tokenizer

    def embed(self, texts: Sequence[str], kind: str) -> Vectors:
        start = time.perf_counter()
        vectors: Vectors = self._inner.embed(texts, kind)
        self.seconds += time.perf_counter() - start
        return vectors

    def embed_tokens(self, texts: Sequence[str], kind: str) -> list[Vectors]:
        start = time.perf_counter()
        vectors: list[Vectors] = self._inner.embed_tokens(texts, kind)
        self.seconds += time.perf_counter() - start
        return vectors

    def embed_with_tokens(
        self, texts: Sequence[str], kind: str, pack: Callable[[Vectors], bytes]
    ) -> tuple[Vectors, list[bytes]]:
        packing = 0.0

        def timed(tokens: Vectors) -> bytes:
            nonlocal packing
            start = time.perf_counter()
            packed = pack(tokens)
            with self._lock:
                packing += time.perf_counter() - start
            return packed

        start = time.perf_counter()
        result = self._inner.embed_with_tokens(texts, kind, timed)
        threads = min(os.cpu_count() or 1, len(texts))
        self.seconds += time.perf_counter() - start - packing / max(threads, 1)
        return result  # type: ignore[no-any-return]


class TableEmbedder:
    """Vectors from the shared table; no token vectors, so nothing is reranked."""

    fingerprint = "table of vectors"
    dimension = DIMENSION
    window = WINDOW

    def __init__(self, model: Model) -> None:
        self._model = model
        self.tokenizer: Tokenizer = JsonTokenizer(cache_dir() / "models" / Settings().models.embedder / TOKENIZER_FILE)

    def embed(self, texts: Sequence[str], kind: str) -> Vectors:
        return np.array(self._model.embed(texts, kind), np.float32)


class Lunheng:
    def __init__(self, model: Model, state: Path) -> None:
        embedder = model if isinstance(model, TimedEmbedder) else TableEmbedder(model)
        self._kb = KnowledgeBase.open(state / "kb", Settings(), embedder=embedder)

    def add_folder(self, folder: Path) -> None:
        failed = self._kb.sync(folder).failed
        if failed:
            raise SystemExit(f"{len(failed)} files failed: {failed[0]}")

    def add_folder_again(self, folder: Path) -> None:
        self.add_folder(folder)

    def add_texts(self, texts: list[str]) -> None:
        for at in range(0, len(texts), 10_000):
            passages = [Passage(str(i), "", t) for i, t in enumerate(texts[at : at + 10_000], start=at)]
            self._kb.add(passage_documents(passages))

    def ready(self) -> None:
        pass

    def count(self) -> int:
        return int(self._kb.status()["chunks"])

    def search(self, query: str, k: int) -> list[str]:
        return [h.chunk.text for h in self._kb.search(query, k)]

    def close(self) -> None:
        self._kb.close()


main(Lunheng, TimedEmbedder)
