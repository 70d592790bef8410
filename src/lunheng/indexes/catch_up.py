"""Keeps a vector index level with the catalog, by sequence number.

Called by retrieval before each search and by ingest after each batch. The index is derived: it is
deleted and remade whenever it is missing, damaged or of another embedder. Where another process holds
its files, this one scans exactly in memory and says so.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from sqlalchemy import Connection

from lunheng.catalog import Catalog, vectors
from lunheng.config import StorageSettings
from lunheng.errors import IndexDamagedError
from lunheng.indexes.vectors import open_vector_index
from lunheng.protocols import Keys, VectorIndex

_BATCH = 5_000


class VectorMirror:
    """The vector index of one embedder's vectors in one knowledge base; safe for many threads."""

    def __init__(
        self, catalog: Catalog, folder: Path, fingerprint: str, dimension: int, settings: StorageSettings
    ) -> None:
        self._catalog = catalog
        self._root = folder
        self._fingerprint = fingerprint
        self._dimension = dimension
        self._settings = settings
        self._guard = threading.RLock()
        self._index: VectorIndex | None = None
        self._kind = ""
        self._position = 0
        self._stands_in = False
        """Whether the exact scan stands in for an index that another process holds."""
        self._lock: FileLock | None = None

    @property
    def kind(self) -> str:
        """``exact``, ``qdrant`` or ``faiss``: what is open now."""
        return self._kind

    def catch_up(self, connection: Connection, warn: Callable[[str], None]) -> VectorIndex:
        """The index as of ``connection``'s snapshot or later, opened if need be, with what changed since its position.

        The caller asks the catalog which of its hits are live.
        """
        with self._guard:
            sequence = self._catalog.sequence(connection)
            changed = sequence > self._position
            if self._index is None or ((changed or self._stands_in) and self._outgrown(connection)):
                self._open(connection, warn)
            assert self._index is not None
            if sequence > self._position:
                try:
                    self._apply(connection, sequence)
                except IndexDamagedError as error:
                    warn(f"the vector index was damaged and is being remade: {error}")
                    self.drop()
                    self._open(connection, warn)
                    self._apply(connection, sequence)
            return self._index

    def _outgrown(self, connection: Connection) -> bool:
        """Whether the exact scan stands in for an index that this process could have now."""
        if self._kind != "exact":
            return False
        wanted = self._wanted(connection)
        return wanted != "exact" and self._take_lock(wanted)

    def _wanted(self, connection: Connection) -> str:
        kind = self._settings.vectors
        if kind != "auto":
            return kind
        return "exact" if self._catalog.counts(connection)["chunks"] <= self._settings.exact_below else "qdrant"

    def _open(self, connection: Connection, warn: Callable[[str], None]) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None
        kind = self._wanted(connection)
        self._stands_in = kind != "exact" and not self._take_lock(kind)
        if self._stands_in:
            # Said once for each opening; the results are the same, only slower at scale.
            warn(f"another process holds the {kind} index; scanning exactly in this one")
            kind = "exact"
        folder = self._folder(kind)
        if kind == "exact":
            shutil.rmtree(folder, ignore_errors=True)
            self._position = 0
        else:
            self._position = self._catalog.position(connection, self._name(kind)) if folder.exists() else 0
        try:
            self._index = open_vector_index(kind, folder, self._dimension)
        except IndexDamagedError as error:
            warn(f"the {kind} index was damaged and is being remade: {error}")
            shutil.rmtree(folder, ignore_errors=True)
            self._position = 0
            self._index = open_vector_index(kind, folder, self._dimension)
        self._kind = kind

    def _apply(self, connection: Connection, sequence: int) -> None:
        assert self._index is not None
        removed, added = self._catalog.changes_since(connection, self._position)
        if len(removed) and self._position:
            self._index.delete(removed)
        for at in range(0, len(added), _BATCH):
            keys, data = vectors.load(connection, self._fingerprint, added[at : at + _BATCH])
            if len(keys):
                self._index.upsert(keys, data)
        if self._kind != "exact":
            self._index.flush()  # before the position is marked: a kill in between only repeats the batch
            with self._catalog.write() as writing:
                self._catalog.set_position(writing, self._name(self._kind), sequence)
        self._position = sequence

    def keys(self) -> Keys:
        """What the open index holds."""
        return self._index.keys() if self._index else np.empty(0, np.int64)

    def _name(self, kind: str) -> str:
        return f"vectors/{kind}/{self._fingerprint}"

    def _folder(self, kind: str) -> Path:
        return self._root / f"{kind}-{self._fingerprint[:16]}"

    def _take_lock(self, kind: str) -> bool:
        if self._lock is not None:
            return True
        self._root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._root / f"{kind}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        self._lock = lock
        return True

    def drop(self) -> None:
        """Delete every file of this index; the next catch-up remakes it."""
        with self._guard:
            kind = self._kind
            self.close()
            for name in {kind, "qdrant", "faiss", "exact"} - {""}:
                shutil.rmtree(self._folder(name), ignore_errors=True)
            self._position = 0

    def close(self) -> None:
        """Close the index and let another process have it."""
        with self._guard:
            if self._index is not None:
                self._index.close()
            self._index = None
            self._position = 0
            if self._lock is not None:
                self._lock.release()
                self._lock = None
