"""txtai: ``Embeddings`` with hybrid search and content, vectors from outside, kept by save."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from side import PREFIXES, Model, main
from txtai import Embeddings


class Txtai:
    def __init__(self, model: Model, state: Path) -> None:
        self._model = model
        self._path = str(state / "index")
        self._embeddings = Embeddings(
            method="external",
            transform=self._function(),
            instructions={"query": PREFIXES["query"], "data": PREFIXES["passage"]},
            hybrid=True,
            content=True,
        )

    def _function(self) -> Callable[[list[str]], np.ndarray]:
        return lambda texts: self._transform(texts)  # it takes plain functions only, and saves none

    def _transform(self, texts: list[str]) -> np.ndarray:
        kind = "query" if texts[0].startswith(PREFIXES["query"]) else "passage"
        return self._model.embed([t.removeprefix(PREFIXES[kind]) for t in texts], kind)

    def _stream(self, folder: Path) -> Iterator[tuple[str, str, None]]:
        for path in sorted(folder.glob("**/*.txt")):
            yield str(path), path.read_text(encoding="utf-8"), None

    def add_folder(self, folder: Path) -> None:
        self._embeddings.index(self._stream(folder))
        self._embeddings.save(self._path)

    def add_folder_again(self, folder: Path) -> None:
        self._embeddings.load(self._path, config={"transform": self._function()})
        self._embeddings.upsert(self._stream(folder))
        self._embeddings.save(self._path)

    def add_texts(self, texts: list[str]) -> None:
        self._embeddings.index((i, t, None) for i, t in enumerate(texts))
        self._embeddings.save(self._path)

    def ready(self) -> None:
        pass

    def count(self) -> int:
        return self._embeddings.count()

    def search(self, query: str, k: int) -> list[str]:
        found: list[dict[str, Any]] = self._embeddings.search(query, k)
        return [row["text"] for row in found]

    def close(self) -> None:
        self._embeddings.close()


main(Txtai)
