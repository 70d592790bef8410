"""What the vector indexes share: checks of what comes in, the exact top k, files that appear whole."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import DimensionError
from lunheng.protocols import Keys, Vectors

Hits = list[tuple[int, float]]

_FEW = 5_000
"""So many allowed keys are scanned exactly at once: a few milliseconds."""
_MOST_FETCHED = 2_000
"""So many rows are taken from a graph in the hope that k of them are allowed; a scan costs no more then."""


def unit_rows(vectors: Vectors, dimension: int) -> Vectors:
    """``vectors`` as contiguous float32 (n, dimension) with rows of length 1 (a zero row stays zero).

    Raises:
        DimensionError: they have another dimension.
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != dimension:
        raise DimensionError(
            f"vectors of shape {rows.shape} for an index of dimension {dimension}: another embedder made them; "
            "run: lunheng rebuild"
        )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if np.abs(lengths - 1).max(initial=0) < 1e-5:
        return rows
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def unit_query(vector: Vectors, dimension: int) -> Vectors:
    """One query vector, float32 (dimension,), of length 1; raises ``DimensionError``."""
    row: Vectors = unit_rows(np.asarray(vector, dtype=np.float32).reshape(1, -1), dimension)[0]
    return row


def last_of_each(keys: Keys, vectors: Vectors) -> tuple[Keys, Vectors]:
    """Sorted by key; of a key that comes twice the last vector counts."""
    keys = np.asarray(keys, dtype=np.int64)
    if len(keys) != len(vectors):
        raise ValueError(f"{len(keys)} keys for {len(vectors)} vectors")
    unique, last = np.unique(keys[::-1], return_index=True)
    if unique.size == keys.size and np.array_equal(unique, keys):
        return keys, vectors
    return unique, vectors[::-1][last]


def top(keys: Keys, scores: NDArray[np.float32], k: int) -> Hits:
    """The ``k`` best (key, score), best first, equal scores by key."""
    if k <= 0 or not scores.size:
        return []
    if scores.size > k:
        threshold = np.partition(scores, scores.size - k)[scores.size - k]
        near = np.flatnonzero(scores >= threshold)
        keys, scores = keys[near], scores[near]
    order = np.lexsort((keys, -scores))[:k]
    return list(zip(keys[order].tolist(), scores[order].tolist(), strict=True))


def find(sorted_keys: Keys, wanted: Keys) -> NDArray[np.int64]:
    """Positions in ``sorted_keys`` of those ``wanted`` that are there."""
    if not sorted_keys.size:
        return np.empty(0, dtype=np.int64)
    wanted = np.asarray(wanted, dtype=np.int64)
    at = np.searchsorted(sorted_keys, wanted)
    at[at == sorted_keys.size] = 0
    found: NDArray[np.int64] = at[sorted_keys[at] == wanted]
    return found


def rows_to_fetch(k: int, admitted: int, total: int) -> int:
    """How many rows to take from a graph of ``total`` so that ``k`` of the ``admitted`` should be among them.

    0: scan the admitted instead. The graph's best rows with the others left out are the best admitted
    ones, also where the admitted are clustered; a selector inside the graph walk is not so.
    """
    if admitted == total:
        return k
    fetched = 2 * k * total // max(1, admitted) + 8
    return 0 if admitted <= _FEW or fetched > _MOST_FETCHED else min(fetched, total)


def write_whole(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Replace ``path`` by what ``write`` writes, so that a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class ReadersWriter:
    """Many readers or one writer. A waiting writer goes before new readers. Not reentrant."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writing = False
        self._waiting = 0

    @contextmanager
    def read(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._writing and not self._waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def write(self) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._writing and not self._readers)
                self._writing = True
            finally:
                self._waiting -= 1
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
