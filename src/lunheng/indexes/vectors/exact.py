"""Exact cosine search by one matrix product. Called through ``open_vector_index("exact", ...)``.

The reference for the approximate indexes, and the fastest below some thousands of vectors (0.1 ms per
thousand of 384 dimensions). Readers take no lock: a change makes a new (keys, matrix) pair and
publishes it in one assignment. Nothing is written before ``flush``.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import IO

import numpy as np

from lunheng.errors import DimensionError, IndexDamagedError
from lunheng.indexes.vectors.common import Hits, find, last_of_each, top, unit_query, unit_rows, write_whole
from lunheng.protocols import Keys, Vectors

_GATHER_BELOW = 0.3
"""Share of allowed rows below which copying them out beats the product over all."""


class ExactIndex:
    """Sorted keys and one float32 matrix with their rows, in memory."""

    def __init__(self, folder: Path, dimension: int) -> None:
        self._path = folder / "vectors.npy"
        self._dimension = dimension
        self._changing = threading.Lock()
        self._keys: Keys = np.empty(0, dtype=np.int64)
        self._rows: Vectors = np.empty((0, dimension), dtype=np.float32)
        """Grows by doubling; rows beyond the keys are spare."""
        self._state = (self._keys, self._rows)
        self._last: tuple[Vectors, Keys, Vectors] = (self._rows, self._keys, np.empty(0, dtype=np.float32))
        if self._path.exists():
            self._state = self._load()

    def _load(self) -> tuple[Keys, Vectors]:
        try:
            with self._path.open("rb") as file:
                keys = np.load(file, allow_pickle=False)
                rows = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise IndexDamagedError(f"{self._path} cannot be read ({error}); run: lunheng rebuild") from error
        if keys.dtype != np.int64 or rows.dtype != np.float32 or rows.ndim != 2 or keys.shape != rows.shape[:1]:
            raise IndexDamagedError(f"{self._path} does not hold keys and their vectors; run: lunheng rebuild")
        if rows.shape[1] != self._dimension:
            raise DimensionError(
                f"{self._path} holds vectors of dimension {rows.shape[1]}, not {self._dimension}; run: lunheng rebuild"
            )
        return keys, rows

    def upsert(self, keys: Keys, vectors: Vectors) -> None:
        """Add vectors, in place of those that their keys had."""
        new_keys, new_rows = last_of_each(keys, unit_rows(vectors, self._dimension))
        if not new_keys.size:
            return
        with self._changing:
            held, rows = self._state
            if held.size and new_keys[0] <= held[-1]:
                kept = ~np.isin(held, new_keys)
                all_keys = np.concatenate([held[kept], new_keys])
                order = np.argsort(all_keys)
                self._state = all_keys[order], np.concatenate([rows[: held.size][kept], new_rows])[order]
                return
            # The common case, keys that only grow: spare rows are filled, which no reader looks at yet.
            size = held.size + new_keys.size
            if size > len(rows):
                grown = np.empty((max(size, 2 * len(rows)), self._dimension), dtype=np.float32)
                grown[: held.size] = rows[: held.size]
                rows = grown
            rows[held.size : size] = new_rows
            self._state = np.concatenate([held, new_keys]), rows

    def delete(self, keys: Keys) -> None:
        """Remove keys; unknown ones are no error."""
        with self._changing:
            held, rows = self._state
            kept = ~np.isin(held, np.asarray(keys, dtype=np.int64))
            if not kept.all():
                self._state = held[kept], rows[: held.size][kept]

    def search(self, vector: Vectors, k: int, allowed: Keys | None = None) -> Hits:
        """The ``k`` nearest (key, cosine), exactly."""
        keys, rows = self._state
        if allowed is None:
            return top(keys, self._scores(vector, keys, rows), k)
        at = find(keys, allowed)
        if at.size < _GATHER_BELOW * keys.size:
            return top(keys[at], rows[at] @ unit_query(vector, self._dimension), k)
        return top(keys[at], self._scores(vector, keys, rows)[at], k)

    def _scores(self, vector: Vectors, keys: Keys, rows: Vectors) -> Vectors:
        """All cosines. A search asks for each language in turn with the same vector: the product is made once."""
        query = unit_query(vector, self._dimension)
        last_query, last_keys, scores = self._last
        if last_keys is not keys or not np.array_equal(last_query, query):
            scores = rows[: keys.size] @ query
            self._last = query.copy(), keys, scores
        return scores

    def count(self) -> int:
        return int(self._state[0].size)

    def keys(self) -> Keys:
        return self._state[0].copy()

    def flush(self) -> None:
        """Write everything; a kill leaves this state or the one before."""
        keys, rows = self._state

        def write(file: IO[bytes]) -> None:
            np.save(file, keys)
            np.save(file, rows[: keys.size])

        write_whole(self._path, write)

    def drop(self) -> None:
        self._state = np.empty(0, dtype=np.int64), np.empty((0, self._dimension), dtype=np.float32)
        shutil.rmtree(self._path.parent, ignore_errors=True)

    def close(self) -> None:
        """Nothing is held open."""
