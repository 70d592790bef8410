"""The embedded vector indexes, each behind ``lunheng.protocols.VectorIndex``.

Called by ``indexes.catch_up``. All are derived from the catalog's vectors and hold only (key, vector):
``exact`` scans (best below some thousands), ``qdrant`` and ``faiss`` build an HNSW graph. Every one
gives ``k`` rows whenever ``k`` allowed keys exist: see lunheng.testing.vector_index.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lunheng.protocols import VectorIndex

VectorIndexKind = Literal["exact", "qdrant", "faiss"]


def open_vector_index(kind: VectorIndexKind | str, folder: Path, dimension: int) -> VectorIndex:
    """Open the index in ``folder``, or begin an empty one there.

    Raises:
        IndexDamagedError: what lies in ``folder`` cannot be read.
        DimensionError: it holds vectors of another dimension.
        MissingExtraError: the library behind ``kind`` is not installed.
        ValueError: ``kind`` is none of the three.
    """
    match kind:
        case "exact":
            from lunheng.indexes.vectors.exact import ExactIndex

            return ExactIndex(folder, dimension)
        case "qdrant":
            from lunheng.indexes.vectors.qdrant_edge import QdrantEdgeIndex

            return QdrantEdgeIndex(folder, dimension)
        case "faiss":
            from lunheng.indexes.vectors.faiss import FaissIndex

            return FaissIndex(folder, dimension)
    raise ValueError(f"{kind!r} is no vector index; there are exact, qdrant and faiss")
