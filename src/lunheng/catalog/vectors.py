"""The stored vectors: the truth that every vector index is remade from, and the embedding cache in one.

Called by ingest (store, look up) and indexes (load). A vector is named by the embedder's fingerprint
and the passage's hash, so that vectors of two embedders never mix and the same passage is embedded once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select

from lunheng.catalog.listed import as_list, listed
from lunheng.catalog.schema import chunks, vectors
from lunheng.protocols import Keys, Vectors

VectorType = Literal["float32", "int8"]
_BATCH = 500

_AMONG = and_(vectors.c.fingerprint == bindparam("of"), vectors.c.text_hash.in_(listed("hashes")))
_HASHES = select(chunks.c.key, chunks.c.text_hash).where(chunks.c.key.in_(listed("keys"))).order_by(chunks.c.key)
_VECTORS = select(vectors.c.text_hash, vectors.c.scale, vectors.c.data).where(_AMONG)
_TOKENS = select(vectors.c.text_hash, vectors.c.tokens).where(_AMONG)
_KNOWN = select(vectors.c.text_hash).where(_AMONG)


@dataclass(frozen=True, slots=True)
class Embedded:
    """What an embedder made of one passage."""

    vector: NDArray[np.float32]
    tokens: bytes | None = None
    """Its token vectors, packed, where the embedder gives them."""


def known_hashes(connection: Connection, fingerprint: str, hashes: Iterable[str]) -> set[str]:
    """Which of ``hashes`` have a vector."""
    return set(connection.execute(_KNOWN, _asked(fingerprint, hashes)).scalars())


def store(connection: Connection, fingerprint: str, new: Mapping[str, Embedded], kind: VectorType = "float32") -> None:
    """Store vectors by passage hash; those already there stay."""
    missing = set(new) - known_hashes(connection, fingerprint, list(new))
    if missing:
        connection.execute(
            insert(vectors),
            [
                {"fingerprint": fingerprint, "text_hash": h, "tokens": new[h].tokens, **_encode(new[h].vector, kind)}
                for h in sorted(missing)
            ],
        )


def _encode(vector: NDArray[np.float32], kind: VectorType) -> dict[str, object]:
    if kind == "float32":
        return {"scale": None, "data": np.ascontiguousarray(vector, dtype=np.float32).tobytes()}
    scale = float(np.abs(vector).max()) / 127 or 1.0
    return {"scale": scale, "data": np.round(vector / scale).astype(np.int8).tobytes()}


def decode(data: bytes, scale: float | None) -> NDArray[np.float32]:
    """A stored vector as float32, length 1."""
    if scale is None:
        return np.frombuffer(data, dtype=np.float32)
    vector = np.frombuffer(data, dtype=np.int8).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def load(connection: Connection, fingerprint: str, keys: Keys | None = None) -> tuple[Keys, Vectors]:
    """The vectors of the live chunks (of ``keys`` when given), by ascending key.

    Chunks without a vector are left out: ``check`` finds them.
    """
    if keys is not None:
        # In two steps: of a join, SQLite reads every vector of the embedder first.
        names = connection.execute(_HASHES, {"keys": as_list(keys.tolist())}).all()
        held = by_hash(connection, fingerprint, (text_hash for _, text_hash in names))
        found = [(key, held[text_hash]) for key, text_hash in names if text_hash in held]
    else:
        query = (
            select(chunks.c.key, vectors.c.scale, vectors.c.data)
            .join(vectors, and_(vectors.c.text_hash == chunks.c.text_hash, vectors.c.fingerprint == fingerprint))
            .order_by(chunks.c.key)
        )
        rows = connection.execution_options(yield_per=2000).execute(query)
        found = [(key, decode(data, scale)) for key, scale, data in rows]
    if not found:
        return np.empty(0, np.int64), np.empty((0, 0), np.float32)
    return np.array([k for k, _ in found], np.int64), np.stack([v for _, v in found])


def by_hash(connection: Connection, fingerprint: str, hashes: Iterable[str]) -> dict[str, Vectors]:
    """The vectors of the passages ``hashes``, each (dimension,); those that have none are left out."""
    rows = connection.execute(_VECTORS, _asked(fingerprint, hashes)).all()
    return {text_hash: decode(data, scale) for text_hash, scale, data in rows}


def token_codes(connection: Connection, fingerprint: str, hashes: Iterable[str]) -> dict[str, bytes]:
    """The packed token vectors of the passages ``hashes``; those that have none are left out."""
    rows = connection.execute(_TOKENS, _asked(fingerprint, hashes)).all()
    return {text_hash: tokens for text_hash, tokens in rows if tokens is not None}


def _asked(fingerprint: str, hashes: Iterable[str]) -> dict[str, str]:
    return {"of": fingerprint, "hashes": as_list(sorted(set(hashes)))}


def missing_keys(connection: Connection, fingerprint: str) -> Keys:
    """Live chunks that have no vector."""
    query = (
        select(chunks.c.key)
        .outerjoin(vectors, and_(vectors.c.text_hash == chunks.c.text_hash, vectors.c.fingerprint == fingerprint))
        .where(vectors.c.text_hash.is_(None))
    )
    return np.fromiter(connection.execute(query).scalars(), dtype=np.int64)


def forget_orphans(connection: Connection, hashes: Sequence[str] | None = None, keep: str | None = None) -> int:
    """Delete vectors that no chunk uses: among ``hashes`` only when given; or of all embedders but ``keep``."""
    unused = ~select(chunks.c.key).where(chunks.c.text_hash == vectors.c.text_hash).exists()
    if hashes is None:
        condition = unused if keep is None else unused | (vectors.c.fingerprint != keep)
        return connection.execute(delete(vectors).where(condition)).rowcount
    gone = 0
    for at in range(0, len(hashes), _BATCH):
        gone += connection.execute(
            delete(vectors).where(unused, vectors.c.text_hash.in_(hashes[at : at + _BATCH]))
        ).rowcount
    return gone


def count(connection: Connection, fingerprint: str) -> int:
    return connection.execute(
        select(func.count()).select_from(vectors).where(vectors.c.fingerprint == fingerprint)
    ).scalar_one()
