"""Moves a knowledge base to another embedder: the new vectors are made beside the old, which serve meanwhile.

Called by ``KnowledgeBase.rebuild(embedder=...)``. Vectors are stored by embedder, so the two never mix;
the switch is one transaction.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from lunheng.catalog import Catalog, vectors
from lunheng.catalog.schema import documents
from lunheng.catalog.vectors import VectorType
from lunheng.indexes.lexical import SqliteLexicalIndex
from lunheng.ingest.embedding import PassageEmbedder, passages_of
from lunheng.protocols import Chunker
from lunheng.types import Chunk

_BATCH = 256


def migrate(
    catalog: Catalog,
    lexical: SqliteLexicalIndex,
    chunker: Chunker,
    embedder: PassageEmbedder,
    name: str,
    vector_type: VectorType,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Cut every stored document anew (the new model may have another window), embed, then switch.

    What was embedded is kept when the run is cut off; the next one goes on from there.
    """
    with catalog.read() as connection:
        ids = list(connection.execute(select(documents.c.id)).scalars())
    for number, document_id in enumerate(ids, start=1):
        with catalog.read() as connection:
            document = catalog.document(connection, document_id)
            chunks = chunker.split(document) if document else []
            passages = passages_of(chunks, document.text) if document else {}
            known = vectors.known_hashes(connection, embedder.fingerprint, list(passages))
        missing = {h: p for h, p in passages.items() if h not in known}
        hashes = list(missing)
        for at in range(0, len(hashes), _BATCH):
            batch = hashes[at : at + _BATCH]
            made = embedder.embed({h: missing[h] for h in batch})
            with catalog.write() as connection:
                vectors.store(connection, embedder.fingerprint, made, vector_type)
        if progress:
            progress(number, len(ids))
    with catalog.write() as connection:
        for document_id in ids:
            document = catalog.document(connection, document_id)
            if document is None:
                continue
            new: list[Chunk] = chunker.split(document)
            old = catalog.document_chunks(connection, document_id)
            if [_stored(c) for c in new] != [_stored(c) for c in old]:
                fingerprint = catalog.document_fingerprint(connection, document_id)
                removed, added = catalog.replace_document(connection, document, new, fingerprint)
                lexical.remove(connection, removed)
                lexical.add(connection, added, [c.full_text for c in new])
        lexical.settle(connection)
        catalog.set_fact(connection, "embedder", name)
        catalog.set_fact(connection, "embedder_fingerprint", embedder.fingerprint)
        catalog.set_fact(connection, "dimension", embedder.embedder.dimension)
        vectors.forget_orphans(connection, keep=embedder.fingerprint)


def _stored(chunk: Chunk) -> tuple[object, ...]:
    """What of a chunk may differ from model to model."""
    return chunk.id, chunk.full_text, chunk.metadata.parent, chunk.metadata.embedded_in
