"""HNSW by Qdrant Edge, embedded. Called through ``open_vector_index("qdrant", ...)``.

The library is beta and pinned (0.9.0). What it asks of its user, and what is done here:

- It is durable only after ``flush``, and keeps an unpredictable part of what came later: the caller
  flushes before it marks a batch, and the catalog checks every hit.
- The graph is built by ``optimize``, by hand, which holds Python's global lock for minutes per 100k
  vectors. So a child process optimises a copy of the shard while this one goes on answering, and the
  two are swapped; it happens in ``flush`` once the vectors outside the graph are many.
- One process at a time may have the folder open: the caller holds the lock.
- A condition on ids costs 0.7 microseconds an id, and the filtered walk may give fewer than k: few
  allowed keys are scanned exactly, many are picked from a larger answer (``common.rows_to_fetch``).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from lunheng.errors import DimensionError, IndexDamagedError
from lunheng.indexes.vectors.common import Hits, ReadersWriter, last_of_each, rows_to_fetch, top, unit_query, unit_rows
from lunheng.protocols import Keys, Vectors

_LINKS = 16
_BUILD_EFFORT = 100
_SEARCH_EFFORT = 200
_GRAPH_FROM_KILOBYTES = 1_000
"""Segments smaller than this get no graph, and are scanned."""
_BATCH = 1_000
_OPTIMISE_FROM = 10_000
_OPTIMISE_SHARE = 0.2
"""Vectors outside the graph are scanned: up to 10,000 of them, or a fifth of all, are left there."""
_OPTIMISE = "import sys, qdrant_edge as q; s = q.EdgeShard.load(sys.argv[1]); s.optimize(); s.flush(); s.close()"


class QdrantEdgeIndex:
    """A shard without payloads; ids are the keys."""

    def __init__(self, folder: Path, dimension: int) -> None:
        self._folder = folder
        self._path = folder / "shard"
        self._dimension = dimension
        self._access = ReadersWriter()
        self._changing = threading.Lock()
        """Held by a change from its beginning to its end; readers wait only for ``_access``."""
        self._shard: Any = None
        """None until the first vector, so that an empty index has no files."""
        self._recover()
        if self._path.exists():
            self._shard = self._load()

    # -- the shard and its folder ----------------------------------------------------------------

    @property
    def _old(self) -> Path:
        return self._folder / "shard.old"

    def _recover(self) -> None:
        """After a kill in ``_optimise``: the old shard is whole until the new one stands in its place."""
        if self._old.exists() and not self._path.exists():
            self._old.rename(self._path)
        for leftover in (*self._folder.glob("shard.copy*"), self._old):
            shutil.rmtree(leftover, ignore_errors=True)

    def _load(self) -> Any:
        import qdrant_edge

        try:
            config = json.loads((self._path / "edge_config.json").read_text())
            dimension = int(config["vectors"][""]["size"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(error) from error
        if dimension != self._dimension:
            raise DimensionError(
                f"{self._path} holds vectors of dimension {dimension}, not {self._dimension}; run: lunheng rebuild"
            )
        try:
            return qdrant_edge.EdgeShard.load(str(self._path))
        except Exception as error:  # the library raises nothing more special
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> IndexDamagedError:
        return IndexDamagedError(f"the vector index {self._path} cannot be read ({error}); run: lunheng rebuild")

    def _create(self) -> Any:
        import qdrant_edge as qdrant

        self._path.mkdir(parents=True, exist_ok=True)
        return qdrant.EdgeShard.create(
            str(self._path),
            qdrant.EdgeConfig(
                vectors=qdrant.EdgeVectorParams(size=self._dimension, distance=qdrant.Distance.Cosine),
                hnsw_config=qdrant.HnswIndexConfig(
                    m=_LINKS, ef_construct=_BUILD_EFFORT, full_scan_threshold=_GRAPH_FROM_KILOBYTES
                ),
                optimizers=qdrant.EdgeOptimizersConfig(indexing_threshold=_GRAPH_FROM_KILOBYTES),
                wal_enabled=False,
            ),
        )

    # -- changes -----------------------------------------------------------------------------------

    def upsert(self, keys: Keys, vectors: Vectors) -> None:
        """Add vectors, in place of those that their keys had."""
        import qdrant_edge as qdrant

        new_keys, rows = last_of_each(keys, unit_rows(vectors, self._dimension))
        if not new_keys.size:
            return
        with self._changing, self._access.write():
            if self._shard is None:
                self._shard = self._create()
            for at in range(0, new_keys.size, _BATCH):
                some = zip(new_keys[at : at + _BATCH].tolist(), rows[at : at + _BATCH].tolist(), strict=True)
                points = [qdrant.Point(key, row) for key, row in some]
                self._shard.update(qdrant.UpdateOperation.upsert_points(points))

    def delete(self, keys: Keys) -> None:
        """Remove keys; unknown ones are no error."""
        import qdrant_edge as qdrant

        if self._shard is not None and len(keys):
            with self._changing, self._access.write():
                self._shard.update(qdrant.UpdateOperation.delete_points(np.asarray(keys).tolist()))

    def flush(self) -> None:
        """Write everything to disk; then build the graph if many vectors stand outside it."""
        with self._changing:
            if self._shard is None:
                return
            with self._access.write():
                self._shard.flush()
            info = self._shard.info()
            outside = info.points_count - info.indexed_vectors_count
            if outside > max(_OPTIMISE_FROM, _OPTIMISE_SHARE * info.points_count):
                self._optimise()

    def _optimise(self) -> None:
        # A name of its own: the child of a killed process may still be writing to an older copy.
        copy = self._folder / f"shard.copy-{uuid.uuid4().hex[:8]}"
        shutil.copytree(self._path, copy)
        try:
            subprocess.run([sys.executable, "-c", _OPTIMISE, str(copy)], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise IndexDamagedError(
                f"building the graph of {self._path} failed ({error.stderr.strip()[-300:]}); run: lunheng rebuild"
            ) from error
        with self._access.write():
            self._shard.close()
            self._path.rename(self._old)
            copy.rename(self._path)
            self._shard = self._load()
        shutil.rmtree(self._old)

    # -- reading -----------------------------------------------------------------------------------

    def search(self, vector: Vectors, k: int, allowed: Keys | None = None) -> Hits:
        """The ``k`` nearest (key, cosine); ``k`` rows whenever so many are allowed."""
        query = unit_query(vector, self._dimension).tolist()
        with self._access.read():
            total = self._count()
            admitted = total if allowed is None else len(allowed)
            if min(total, admitted, k) <= 0:
                return []
            fetched = rows_to_fetch(min(k, total), min(admitted, total), total)
            if fetched:
                keys, scores = self._query(query, fetched)
                if allowed is not None:
                    good = np.isin(keys, allowed)
                    keys, scores = keys[good], scores[good]
                if keys.size >= min(k, total):
                    return top(keys, scores, k)
            return top(*self._query(query, min(k, total), allowed, exact=True), k)

    def _query(
        self, query: list[float], k: int, allowed: Keys | None = None, exact: bool = False
    ) -> tuple[Keys, Vectors]:
        import qdrant_edge as qdrant

        among = None if allowed is None else qdrant.Filter(must=[qdrant.HasIdCondition(set(allowed.tolist()))])
        found = self._shard.query(
            qdrant.QueryRequest(
                limit=k,
                query=qdrant.Query.Nearest(query),
                filter=among,
                params=qdrant.SearchParams(exact=exact, hnsw_ef=max(_SEARCH_EFFORT, 2 * k)),
            )
        )
        return np.array([p.id for p in found], dtype=np.int64), np.array([p.score for p in found], dtype=np.float32)

    def count(self) -> int:
        with self._access.read():
            return self._count()

    def _count(self) -> int:
        return int(self._shard.info().points_count) if self._shard is not None else 0

    def keys(self) -> Keys:
        import qdrant_edge as qdrant

        with self._access.read():
            if not self._count():
                return np.empty(0, dtype=np.int64)
            found, _ = self._shard.scroll(
                qdrant.ScrollRequest(limit=self._count(), with_payload=False, with_vector=False)
            )
            return np.sort(np.array([record.id for record in found], dtype=np.int64))

    # -- the end -------------------------------------------------------------------------------------

    def drop(self) -> None:
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        with self._changing, self._access.write():
            if self._shard is not None:
                self._shard.close()
                self._shard = None
