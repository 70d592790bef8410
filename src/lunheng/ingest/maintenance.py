"""Finds and mends any disagreement between the catalog and what is derived from it.

Called by the knowledge base's ``check`` and ``rebuild``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, func, select, text

from lunheng.catalog import Catalog, vectors
from lunheng.catalog.rows import passage_hash
from lunheng.catalog.schema import chunks, documents
from lunheng.catalog.vectors import VectorType
from lunheng.indexes.catch_up import VectorMirror
from lunheng.indexes.lexical import SqliteLexicalIndex
from lunheng.ingest.embedding import Passage, PassageEmbedder, passages_of
from lunheng.protocols import Keys
from lunheng.types import Chunk, Principal


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    what: str
    count: int
    repair: str
    """What mends it."""
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What ``check`` looked at and found."""

    documents: int
    chunks: int
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        return all(f.repaired for f in self.findings)


def check(
    catalog: Catalog, lexical: SqliteLexicalIndex, mirror: VectorMirror | None, fingerprint: str | None
) -> CheckReport:
    """Compare everything that is stored twice."""
    findings: list[Finding] = []

    def note(what: str, count: int, repair: str) -> None:
        if count:
            findings.append(Finding(what, count, repair))

    with catalog.read() as connection:
        damage = [r for (r,) in connection.execute(text("PRAGMA integrity_check")) if r != "ok"]
        note("damaged pages in the catalog", len(damage), "lunheng restore FILE")
        broken = connection.execute(text("PRAGMA foreign_key_check")).all()
        note("rows whose document is gone", len(broken), "lunheng restore FILE")
        note("chunks whose text is not the document's at its offsets", _wrong_offsets(connection), "lunheng add FILE")
        live = catalog.live_keys(connection)
        held = lexical.keys(connection)
        note("chunks missing from the lexical index", _missing(live, held), "lunheng check --repair")
        note("removed chunks still in the lexical index", _missing(held, live), "lunheng check --repair")
        if fingerprint is not None:
            absent = vectors.missing_keys(connection, fingerprint)
            note("chunks without a vector", len(absent), "lunheng check --repair")
            if mirror is not None:
                # What the warnings say is what is counted below, once the index has caught up.
                index = mirror.catch_up(connection, lambda _message: None)
                expected = np.setdiff1d(live, absent)
                note("chunks missing from the vector index", _missing(expected, index.keys()), "lunheng check --repair")
                note("removed chunks still in the vector index", _missing(index.keys(), live), "lunheng check --repair")
        counts = catalog.counts(connection)
    return CheckReport(counts["documents"], counts["chunks"], tuple(findings))


def _missing(wanted: Keys, held: Keys) -> int:
    return len(np.setdiff1d(wanted, held))


def _wrong_offsets(connection: Connection) -> int:
    within = func.json_extract(chunks.c.metadata, "$.embedded_in")
    own = (chunks.c.start, chunks.c.end, chunks.c.text, chunks.c.prefix, chunks.c.text_hash)
    query = (
        select(*own, within, documents.c.text)
        .join(documents, documents.c.id == chunks.c.document_id)
        .execution_options(yield_per=500)
    )
    wrong = 0
    for start, end, shown, prefix, digest, embedded_in, whole in connection.execute(query):
        full = f"{prefix}\n{shown}" if prefix else shown
        named = passage_hash(full, whole, start, json.loads(embedded_in) if embedded_in else None)
        wrong += whole[start:end] != shown or named != digest
    return wrong


def repair(
    catalog: Catalog,
    lexical: SqliteLexicalIndex,
    mirror: VectorMirror | None,
    embedder: PassageEmbedder,
    vector_type: VectorType,
) -> None:
    """Remake what ``check`` finds wrong in anything derived, and embed what has no vector."""
    with catalog.read() as connection:
        absent = vectors.missing_keys(connection, embedder.fingerprint)
        by_document: dict[str, list[Chunk]] = {}
        for chunk in catalog.chunks_by_key(connection, absent, Principal.local()).values():
            by_document.setdefault(chunk.metadata.document_id, []).append(chunk)
        passages: dict[str, Passage] = {}
        for document_id, found in by_document.items():
            passages |= passages_of(found, catalog.document_text(connection, document_id))
    if passages:
        made = embedder.embed(passages)
        with catalog.write() as connection:
            vectors.store(connection, embedder.fingerprint, made, vector_type)
    rebuild_lexical(catalog, lexical)
    if mirror is not None:
        mirror.drop()
        with catalog.read() as connection:
            mirror.catch_up(connection, lambda _message: None)


def rebuild_lexical(
    catalog: Catalog, lexical: SqliteLexicalIndex, progress: Callable[[int, int], None] | None = None
) -> None:
    """Drop and remake the lexical index in one transaction: readers see the old one until it is done."""
    with catalog.write() as connection:
        total = catalog.counts(connection)["chunks"]
        lexical.drop(connection)
        lexical.create(connection)
        keys: list[int] = []
        texts: list[str] = []
        done = 0

        def flush() -> None:
            nonlocal done
            if keys:
                lexical.add(connection, np.array(keys, np.int64), texts)
                done += len(keys)
                keys.clear()
                texts.clear()
                if progress:
                    progress(done, total)

        for key, full in list(catalog.full_texts(connection)):
            keys.append(key)
            texts.append(full)
            if len(keys) == 1000:
                flush()
        flush()
        lexical.settle(connection)
