"""``Catalog``: documents and chunks changed in transactions, and read as one snapshot.

Called by ingest (writes), indexes (catch up by sequence), retrieval (live, visible chunks) and the
knowledge base (lists).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from lunheng.catalog import rows, vectors
from lunheng.catalog.engine import explained, open_engine
from lunheng.catalog.listed import as_list, listed
from lunheng.catalog.migrations import migrate, needs_migration
from lunheng.catalog.schema import chunks, completions, documents, facts, grants, index_positions, tombstones
from lunheng.protocols import Keys
from lunheng.types import Chunk, Document, Principal

_BATCH = 500
"""Values bound in one statement: below SQLite's limit."""

_SEQUENCE = select(facts.c.value).where(facts.c.name == "sequence")
_SEARCH_FACTS = select(facts.c.name, facts.c.value).where(facts.c.name.in_(("sequence", "embedder_fingerprint")))


_STAMPS = select(
    documents.c.source, documents.c.id, documents.c.content_hash, documents.c.fingerprint, documents.c.file_state
)
_AMONG_KEYS = chunks.c.key.in_(listed("keys"))
_MINE = select(grants.c.document_id).where(grants.c.grant.in_(listed("grants")))
_LIVE = select(chunks.c.key, chunks.c.language, chunks.c.text_hash).where(_AMONG_KEYS)
_CHUNKS = select(chunks).where(_AMONG_KEYS)
_VISIBLE = chunks.c.document_id.in_(_MINE)
_LIVE_VISIBLE, _CHUNKS_VISIBLE = _LIVE.where(_VISIBLE), _CHUNKS.where(_VISIBLE)


@dataclass(frozen=True, slots=True)
class LiveChunk:
    """What a search needs of a candidate before it becomes a hit: far cheaper to read than the chunk."""

    language: str
    text_hash: str
    """Names its vector."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells whether a document's file, or the settings that shaped its chunks, have changed."""

    id: str
    content_hash: str
    fingerprint: str
    file_state: str | None


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What a list of documents shows; the text stays in the catalog."""

    id: str
    source: str
    title: str
    source_type: str
    language: str
    collection: str
    version: int
    chunks: int
    characters: int
    content_hash: str
    fingerprint: str
    added_at: str
    last_modified: str | None
    acl: tuple[str, ...]
    warnings: tuple[str, ...]


class Catalog:
    """The catalog of one knowledge base; safe for many readers beside one writer, threads or processes."""

    def __init__(self, path: Path, busy_seconds: float = 60.0) -> None:
        self.path = path
        self.engine = open_engine(path, busy_seconds)
        with self.read() as connection:
            behind = needs_migration(connection)
        if behind:  # asked first, so that opening to read never waits for a writer
            with self.write() as connection:
                migrate(connection)

    def close(self) -> None:
        self.engine.dispose()

    def vacuum(self) -> None:
        """Give freed pages back, so that nothing removed stays in the file."""
        with explained(self.path), self.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("VACUUM")  # the driver itself: within SQLAlchemy's transaction it is refused
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent snapshot."""
        with explained(self.path), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: all of it or nothing. Takes the write lock at its start."""
        with (
            explained(self.path),
            self.engine.connect().execution_options(immediate=True) as connection,
            connection.begin(),
        ):
            yield connection

    # -- facts -------------------------------------------------------------------------------------

    def fact(self, connection: Connection, name: str, default: Any = None) -> Any:
        value = connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar_one_or_none()
        return default if value is None else value

    def set_fact(self, connection: Connection, name: str, value: Any) -> None:
        connection.execute(delete(facts).where(facts.c.name == name))
        connection.execute(insert(facts).values(name=name, value=value))

    def sequence(self, connection: Connection) -> int:
        """The number of the last transaction that changed chunks."""
        return int(connection.execute(_SEQUENCE).scalar_one_or_none() or 0)

    def search_facts(self, connection: Connection) -> tuple[int, str | None]:
        """The sequence number and the fingerprint of the embedder in service, in one statement."""
        found = {row.name: row.value for row in connection.execute(_SEARCH_FACTS).all()}
        return int(found.get("sequence") or 0), found.get("embedder_fingerprint")

    def _next_sequence(self, connection: Connection) -> int:
        number = self.sequence(connection) + 1
        connection.execute(update(facts).where(facts.c.name == "sequence").values(value=number))
        return number

    # -- documents ---------------------------------------------------------------------------------

    def replace_document(
        self, connection: Connection, document: Document, new_chunks: Sequence[Chunk], fingerprint: str
    ) -> tuple[Keys, Keys]:
        """Store ``document`` in place of its former version; give the (removed, added) chunk keys."""
        ((removed, added),) = self.replace_documents(connection, [(document, new_chunks, fingerprint)])
        return removed, added

    def replace_documents(
        self, connection: Connection, items: Sequence[tuple[Document, Sequence[Chunk], str]]
    ) -> list[tuple[Keys, Keys]]:
        """``replace_document`` for several different documents, each with its chunks and fingerprint."""
        sequence = self._next_sequence(connection)
        ids = [document.id for document, _, _ in items]
        versions: dict[str, int] = {}
        for at in range(0, len(ids), _BATCH):
            query = select(documents.c.id, documents.c.version).where(documents.c.id.in_(ids[at : at + _BATCH]))
            versions |= {row.id: row.version for row in connection.execute(query)}
        removed: dict[str, Keys] = {}
        hashes: list[str] = []
        for document_id in versions:
            removed[document_id], freed = self._remove_chunks(connection, document_id, sequence)
            hashes += freed
            connection.execute(delete(documents).where(documents.c.id == document_id))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        connection.execute(
            insert(documents),
            [
                {
                    **rows.document_to_row(document),
                    "fingerprint": fingerprint,
                    "version": versions.get(document.id, 0) + 1,
                    "added_at": now,
                }
                for document, _, fingerprint in items
            ],
        )
        granted = [{"document_id": d.id, "grant": g} for d, _, _ in items for g in sorted(set(d.acl))]
        if granted:
            connection.execute(insert(grants), granted)
        new = [rows.chunk_to_row(c, document.text, sequence) for document, cut, _ in items for c in cut]
        if new:
            connection.execute(insert(chunks), new)
        added: dict[str, list[int]] = {document_id: [] for document_id in ids}
        query = select(chunks.c.document_id, chunks.c.key).where(chunks.c.sequence == sequence)
        for document_id, key in connection.execute(query.order_by(chunks.c.document_id, chunks.c.chunk_index)):
            added[document_id].append(key)
        self._forget(connection, hashes)
        nothing = np.empty(0, dtype=np.int64)
        return [(removed.get(i, nothing), np.array(added[i], dtype=np.int64)) for i in ids]

    def remove_document(self, connection: Connection, document_id: str) -> Keys:
        """Remove a document with its chunks; give the removed keys."""
        removed, hashes = self._remove_chunks(connection, document_id, self._next_sequence(connection))
        connection.execute(delete(documents).where(documents.c.id == document_id))
        self._forget(connection, hashes)
        return removed

    def _remove_chunks(self, connection: Connection, document_id: str, sequence: int) -> tuple[Keys, list[str]]:
        query = select(chunks.c.key, chunks.c.text_hash).where(chunks.c.document_id == document_id)
        old = connection.execute(query).all()
        if old:
            connection.execute(insert(tombstones), [{"key": key, "sequence": sequence} for key, _ in old])
            connection.execute(delete(chunks).where(chunks.c.document_id == document_id))
        return np.array([key for key, _ in old], dtype=np.int64), [text_hash for _, text_hash in old]

    def _forget(self, connection: Connection, hashes: list[str]) -> None:
        """Nothing that was removed stays behind: not in vectors that no chunk uses, not in cached completions."""
        if hashes:
            vectors.forget_orphans(connection, hashes)
            connection.execute(delete(completions))

    def document(self, connection: Connection, document_id: str) -> Document | None:
        row = connection.execute(select(documents).where(documents.c.id == document_id)).one_or_none()
        return rows.row_to_document(row) if row else None

    def document_fingerprint(self, connection: Connection, document_id: str) -> str:
        return str(
            connection.execute(select(documents.c.fingerprint).where(documents.c.id == document_id)).scalar_one()
        )

    def stamps(self, connection: Connection) -> dict[str, list[Stamp]]:
        """Source to the stamps of what is stored of it (one for each collection that has it)."""
        found: dict[str, list[Stamp]] = {}
        for row in connection.execute(_STAMPS).all():
            found.setdefault(row.source, []).append(Stamp(row.id, row.content_hash, row.fingerprint, row.file_state))
        return found

    def note_file_states(self, connection: Connection, states: Mapping[str, str | None]) -> None:
        """Remember for documents, by id, the state of their files in which they were read."""
        if states:
            statement = update(documents).where(documents.c.id == bindparam("of")).values(file_state=bindparam("state"))
            connection.execute(statement, [{"of": i, "state": state} for i, state in states.items()])

    def list_documents(
        self, connection: Connection, principal: Principal, where: ColumnElement[bool] | None = None
    ) -> list[StoredDocument]:
        """The documents that ``principal`` may see, by source."""
        counts = select(chunks.c.document_id, func.count().label("n")).group_by(chunks.c.document_id).subquery()
        wanted = [c for c in documents.c if c.name in StoredDocument.__dataclass_fields__]
        query = (
            select(
                *wanted, func.length(documents.c.text).label("characters"), func.coalesce(counts.c.n, 0).label("chunks")
            )
            .outerjoin(counts, counts.c.document_id == documents.c.id)
            .order_by(documents.c.collection, documents.c.source)
        )
        if (visible := self._visible(principal, documents.c.id)) is not None:
            query = query.where(visible)
        if where is not None:
            query = query.where(where)
        return [
            StoredDocument(**{**r._mapping, "acl": tuple(r.acl), "warnings": tuple(r.warnings)})
            for r in connection.execute(query)
        ]

    def own_keys(self, connection: Connection, principal: Principal) -> set[str]:
        """The keys of the users' own metadata, among the documents that ``principal`` may see."""
        each = func.json_each(documents.c.extra).table_valued("key", name="own", joins_implicitly=True)
        query = select(each.c.key).distinct().select_from(documents, each)
        if (visible := self._visible(principal, documents.c.id)) is not None:
            query = query.where(visible)
        return set(connection.execute(query).scalars())

    # -- chunks ------------------------------------------------------------------------------------

    def _visible(self, principal: Principal, document_id: ColumnElement[str]) -> ColumnElement[bool] | None:
        """Visibility is composed here, below every retriever (DESIGN's third invariant)."""
        if principal.sees_all:
            return None
        mine = select(grants.c.document_id).where(grants.c.grant.in_(sorted(principal.grants)))
        return document_id.in_(mine)

    def allowed_keys(
        self, connection: Connection, principal: Principal, where: ColumnElement[bool] | None = None
    ) -> Keys | None:
        """Sorted keys of the chunks that the principal may see and the filter admits; None for all."""
        visible = self._visible(principal, chunks.c.document_id)
        if visible is None and where is None:
            return None
        query = select(chunks.c.key).order_by(chunks.c.key)
        for condition in (visible, where):
            if condition is not None:
                query = query.where(condition)
        return np.fromiter(connection.execute(query).scalars(), dtype=np.int64)

    def live(self, connection: Connection, keys: Iterable[int], principal: Principal) -> dict[int, LiveChunk]:
        """The live chunks among ``keys`` that the principal may see: a hit counts only if it is here."""
        statement = _LIVE if principal.sees_all else _LIVE_VISIBLE
        rows = connection.execute(statement, _asked(keys, principal)).all()
        return {key: LiveChunk(language, text_hash) for key, language, text_hash in rows}

    def chunks_by_key(self, connection: Connection, keys: Iterable[int], principal: Principal) -> dict[int, Chunk]:
        """``live``, read whole."""
        statement = _CHUNKS if principal.sees_all else _CHUNKS_VISIBLE
        return {row.key: rows.row_to_chunk(row) for row in connection.execute(statement, _asked(keys, principal)).all()}

    def neighbours(self, connection: Connection, chunk: Chunk, reach: int) -> list[Chunk]:
        """The chunks up to ``reach`` places before and after ``chunk`` in its document, itself included, in order."""
        at = chunk.metadata.chunk_index
        query = (
            select(chunks)
            .where(
                chunks.c.document_id == chunk.metadata.document_id, chunks.c.chunk_index.between(at - reach, at + reach)
            )
            .order_by(chunks.c.chunk_index)
        )
        return [rows.row_to_chunk(r) for r in connection.execute(query)]

    def document_chunks(self, connection: Connection, document_id: str) -> list[Chunk]:
        query = select(chunks).where(chunks.c.document_id == document_id).order_by(chunks.c.chunk_index)
        return [rows.row_to_chunk(r) for r in connection.execute(query)]

    def document_text(self, connection: Connection, document_id: str) -> str:
        return (
            connection.execute(select(documents.c.text).where(documents.c.id == document_id)).scalar_one_or_none() or ""
        )

    def hidden_spans(self, connection: Connection, document_id: str) -> list[tuple[int, int]]:
        """Where the document's text is hidden from its readers, in order: never to be shown or quoted."""
        elements = connection.execute(select(documents.c.elements).where(documents.c.id == document_id)).scalar()
        return [(e["start"], e["end"]) for e in elements or () if e.get("hidden")]

    def live_keys(self, connection: Connection) -> Keys:
        return np.fromiter(connection.execute(select(chunks.c.key).order_by(chunks.c.key)).scalars(), dtype=np.int64)

    def counts(self, connection: Connection) -> dict[str, int]:
        return {
            "documents": connection.execute(select(func.count()).select_from(documents)).scalar_one(),
            "chunks": connection.execute(select(func.count()).select_from(chunks)).scalar_one(),
        }

    def language_shares(self, connection: Connection) -> Mapping[str, float]:
        """Share of the chunks by language: the fusion's evidence that words can match at all."""
        found = connection.execute(select(chunks.c.language, func.count()).group_by(chunks.c.language)).all()
        total = sum(n for _, n in found) or 1
        return {str(name): n / total for name, n in found}

    def keys_by_language(self, connection: Connection) -> dict[str, Keys]:
        """Sorted keys of the live chunks of each language."""
        found: dict[str, list[int]] = {}
        for key, language in connection.execute(select(chunks.c.key, chunks.c.language).order_by(chunks.c.key)):
            found.setdefault(language, []).append(key)
        return {language: np.array(keys, dtype=np.int64) for language, keys in found.items()}

    def full_texts(self, connection: Connection) -> Iterator[tuple[int, str]]:
        """(key, prefix and text) of all chunks: what the lexical index is remade from."""
        query = select(chunks.c.key, chunks.c.prefix, chunks.c.text).order_by(chunks.c.key)
        for key, prefix, text in connection.execution_options(yield_per=1000).execute(query):
            yield key, f"{prefix}\n{text}" if prefix else text

    # -- changes, for indexes that catch up ----------------------------------------------------------

    def changes_since(self, connection: Connection, sequence: int) -> tuple[Keys, Keys]:
        """(removed, added) keys of the transactions after ``sequence``."""
        removed = connection.execute(select(tombstones.c.key).where(tombstones.c.sequence > sequence)).scalars()
        added = connection.execute(
            select(chunks.c.key).where(chunks.c.sequence > sequence).order_by(chunks.c.key)
        ).scalars()
        return np.fromiter(removed, dtype=np.int64), np.fromiter(added, dtype=np.int64)

    def position(self, connection: Connection, name: str) -> int:
        found = connection.execute(select(index_positions.c.sequence).where(index_positions.c.name == name))
        return int(found.scalar_one_or_none() or 0)

    def set_position(self, connection: Connection, name: str, sequence: int) -> None:
        connection.execute(delete(index_positions).where(index_positions.c.name == name))
        connection.execute(insert(index_positions).values(name=name, sequence=sequence))

    def outdated(
        self, connection: Connection, folder: str, present: set[str], *, keep_collections: bool
    ) -> list[tuple[str, str]]:
        """(id, source) of the documents below ``folder`` whose file is not among ``present``, and, unless
        ``keep_collections``, the older ones of a file that now belongs to another collection."""
        newest = select(func.max(chunks.c.sequence)).where(chunks.c.document_id == documents.c.id).scalar_subquery()
        below = folder.rstrip("/") + "/"
        query = (
            select(documents.c.id, documents.c.source)
            .where(func.substr(documents.c.source, 1, len(below)) == below)
            .order_by(documents.c.source, newest.desc())
        )
        gone: list[tuple[str, str]] = []
        last = None
        for document_id, source in connection.execute(query):
            if source not in present or (source == last and not keep_collections):
                gone.append((document_id, source))
            last = source
        return gone

    def find_documents(self, connection: Connection, name: str) -> list[tuple[str, str, str]]:
        """(id, source, collection) of the documents whose id or source is ``name``, or whose source is below that folder."""
        below = name.rstrip("/") + "/"
        query = select(documents.c.id, documents.c.source, documents.c.collection).where(
            or_(
                documents.c.id == name,
                documents.c.source == name,
                func.substr(documents.c.source, 1, len(below)) == below,
            )
        )
        return [(r.id, r.source, r.collection) for r in connection.execute(query)]


def _asked(keys: Iterable[int], principal: Principal) -> dict[str, str]:
    """The values of a statement over ``_AMONG_KEYS``, and over ``_VISIBLE`` where it has that too."""
    asked = {"keys": as_list(map(int, keys))}
    return asked if principal.sees_all else asked | {"grants": as_list(sorted(principal.grants))}
