"""HNSW by faiss. Called through ``open_vector_index("faiss", ...)``; needs ``lunheng[faiss]``.

faiss knows rows, not keys, and its HNSW cannot delete: here each row has a key, a removed or replaced
row is dead (key -1) and skipped, and a graph with many dead rows is built anew. A search among allowed
keys never uses a selector inside the graph walk, which loses most of the recall where the allowed are
clustered: see ``common.rows_to_fetch``.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import DimensionError, IndexDamagedError, MissingExtraError
from lunheng.indexes.vectors.common import (
    Hits,
    ReadersWriter,
    last_of_each,
    rows_to_fetch,
    top,
    unit_query,
    unit_rows,
    write_whole,
)
from lunheng.protocols import Keys, Vectors

_LINKS = 32
_BUILD_EFFORT = 100
_SEARCH_EFFORT = 128
_DEAD = -1
_MOST_DEAD = 0.3
"""Share of dead rows above which the graph is built anew."""
_SCAN = 65_536
"""Rows of one step of an exact scan."""


def _faiss() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("faiss (the vector index)", "faiss") from error
    module: ModuleType = faiss
    return module


class FaissIndex:
    """An HNSW graph over inner products, and the key of each of its rows."""

    def __init__(self, folder: Path, dimension: int) -> None:
        self._faiss = _faiss()
        self._path = folder / "index.faiss"
        self._dimension = dimension
        self._access = ReadersWriter()
        self._flushed = True
        if self._path.exists():
            self._row_keys, self._graph = self._load()
        else:
            self._row_keys, self._graph = np.empty(0, dtype=np.int64), self._new_graph()
        self._sort()

    def _new_graph(self) -> Any:
        graph = self._faiss.IndexHNSWFlat(self._dimension, _LINKS, self._faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = _BUILD_EFFORT
        return graph

    def _load(self) -> tuple[Keys, Any]:
        try:
            with self._path.open("rb") as file:
                keys = np.load(file, allow_pickle=False)
                graph = self._faiss.read_index(self._faiss.PyCallbackIOReader(file.read))
        except (ValueError, EOFError, OSError, RuntimeError) as error:
            raise IndexDamagedError(f"{self._path} cannot be read ({error}); run: lunheng rebuild") from error
        if keys.dtype != np.int64 or keys.shape != (graph.ntotal,) or not hasattr(graph, "hnsw"):
            raise IndexDamagedError(f"{self._path} does not hold keys and their graph; run: lunheng rebuild")
        if graph.d != self._dimension:
            raise DimensionError(
                f"{self._path} holds vectors of dimension {graph.d}, not {self._dimension}; run: lunheng rebuild"
            )
        return keys, graph

    def _sort(self) -> None:
        """Remake the sorted view: key ``_sorted[i]`` stands in row ``_rows[i]``."""
        live = np.flatnonzero(self._row_keys != _DEAD)
        order = np.argsort(self._row_keys[live])
        self._rows: NDArray[np.int64] = live[order]
        self._sorted: Keys = self._row_keys[self._rows]

    def upsert(self, keys: Keys, vectors: Vectors) -> None:
        """Add vectors, in place of those that their keys had."""
        new_keys, rows = last_of_each(keys, unit_rows(vectors, self._dimension))
        if not new_keys.size:
            return
        with self._access.write():
            self._flushed = False
            self._bury(new_keys)
            self._graph.add(rows)
            self._row_keys = np.concatenate([self._row_keys, new_keys])
            self._tidy()

    def delete(self, keys: Keys) -> None:
        """Remove keys; unknown ones are no error."""
        with self._access.write():
            self._flushed = False
            self._bury(np.asarray(keys, dtype=np.int64))
            self._tidy()

    def _bury(self, keys: Keys) -> None:
        self._row_keys = np.where(np.isin(self._row_keys, keys), _DEAD, self._row_keys)

    def _tidy(self) -> None:
        self._sort()
        if self._row_keys.size - self._rows.size <= _MOST_DEAD * self._row_keys.size:
            return
        vectors = self._vectors(self._rows)
        self._graph = self._new_graph()
        if self._rows.size:
            self._graph.add(vectors)
        self._row_keys = self._sorted
        self._sort()

    def _vectors(self, rows: NDArray[np.int64]) -> Vectors:
        found: Vectors = self._graph.storage.reconstruct_batch(rows)
        return found

    def search(self, vector: Vectors, k: int, allowed: Keys | None = None) -> Hits:
        """The ``k`` nearest (key, cosine); ``k`` rows whenever so many are allowed."""
        query = unit_query(vector, self._dimension)
        with self._access.read():
            admitted = self._rows if allowed is None else self._rows[np.isin(self._sorted, allowed)]
            wanted = min(k, admitted.size)
            if wanted <= 0:
                return []
            fetched = rows_to_fetch(wanted, admitted.size, self._row_keys.size)
            hits = self._walk(query, wanted, fetched, admitted) if fetched else []
            return hits if len(hits) == wanted else self._scan(query, wanted, admitted)

    def _walk(self, query: Vectors, k: int, fetched: int, admitted: NDArray[np.int64]) -> Hits:
        """The best admitted among the graph's best ``fetched``; may be fewer than ``k``."""
        effort = self._faiss.SearchParametersHNSW(efSearch=max(_SEARCH_EFFORT, 2 * fetched))
        scores, rows = self._graph.search(query[None], fetched, params=effort)
        good = np.isin(rows[0], admitted)
        return top(self._row_keys[rows[0][good]], scores[0][good], k)

    def _scan(self, query: Vectors, k: int, rows: NDArray[np.int64]) -> Hits:
        steps = [rows[at : at + _SCAN] for at in range(0, rows.size, _SCAN)]
        return top(self._row_keys[rows], np.concatenate([self._vectors(step) @ query for step in steps]), k)

    def count(self) -> int:
        return int(self._sorted.size)

    def keys(self) -> Keys:
        return self._sorted.copy()

    def flush(self) -> None:
        """Write everything, if anything changed; a kill leaves this state or the one before."""

        def write(file: IO[bytes]) -> None:
            np.save(file, self._row_keys)
            writer = self._faiss.PyCallbackIOWriter(file.write)
            self._faiss.write_index(self._graph, writer)
            del writer  # it writes the rest of its buffer when it goes

        with self._access.read():
            if not self._flushed:
                write_whole(self._path, write)
                self._flushed = True

    def drop(self) -> None:
        with self._access.write():
            self._row_keys, self._graph = np.empty(0, dtype=np.int64), self._new_graph()
            self._sort()
            shutil.rmtree(self._path.parent, ignore_errors=True)

    def close(self) -> None:
        """Nothing is held open."""
