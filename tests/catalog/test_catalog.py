"""The catalog: transactions, changes by sequence, permissions, vectors, jobs, migrations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import insert, select, text, update

from lunheng.catalog import Catalog, completions, jobs, vectors
from lunheng.catalog.rows import text_hash
from lunheng.catalog.schema import facts
from lunheng.catalog.vectors import Embedded
from lunheng.errors import CatalogError
from lunheng.types import Chunk, Completion, Document, Element, Metadata, Principal, content_id

OWNER = Principal.local()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    opened = Catalog(tmp_path / "catalog.db")
    yield opened
    opened.close()


def make(source: str, *parts: str, acl: tuple[str, ...] = ("*",)) -> tuple[Document, list[Chunk]]:
    text = "\n\n".join(parts)
    elements, chunks, at = [], [], 0
    document = Document(source, "txt", text, (), content_id(text), acl=acl, language="en")
    for index, part in enumerate(parts):
        end = at + len(part)
        elements.append(Element("paragraph", part, at, end, page=index or None, bbox=(0.0, 0.0, 1.0, 2.0)))
        metadata = Metadata(
            source, "txt", document.id, index, language="en", tags=("a", "b"), bbox=(0.0, 0.0, 1.0, 2.0)
        )
        metadata = replace(metadata, created_at=datetime(2026, 3, 1, tzinfo=UTC), extra={"room": 4})
        chunks.append(Chunk(content_id(document.id, part, str(index)), part, at, end, metadata, "Heading", (index,)))
        at = end + 2
    return replace(document, elements=tuple(elements)), chunks


def put(catalog: Catalog, source: str, *parts: str, acl: tuple[str, ...] = ("*",)) -> list[Chunk]:
    document, chunks = make(source, *parts, acl=acl)
    with catalog.write() as connection:
        catalog.replace_document(connection, document, chunks, "settings")
        vectors.store(
            connection,
            "e",
            {text_hash(c.full_text): Embedded(np.full(4, 0.5, np.float32), b"codes") for c in chunks},
        )
    return chunks


def test_documents_and_chunks_come_back_as_they_were(catalog: Catalog) -> None:
    document, chunks = make("a", "one fact", "第二个事实")
    put(catalog, "a", "one fact", "第二个事实")
    with catalog.read() as connection:
        assert catalog.document(connection, document.id) == document
        assert catalog.document_chunks(connection, document.id) == chunks
        assert list(catalog.chunks_by_key(connection, [1, 2, 99], OWNER).values()) == chunks


def test_replacing_gives_new_keys_and_a_version(catalog: Catalog) -> None:
    put(catalog, "a", "one", "two")
    put(catalog, "a", "three")
    with catalog.read() as connection:
        assert catalog.list_documents(connection, OWNER)[0].version == 2
        removed, added = catalog.changes_since(connection, 1)
        assert set(removed) == {1, 2} and set(added) == {3}
        assert catalog.live_keys(connection).tolist() == [3]
        assert vectors.count(connection, "e") == 1, "vectors that no chunk uses are gone"


def test_a_failed_transaction_leaves_what_was_there(catalog: Catalog) -> None:
    put(catalog, "a", "one")
    document, chunks = make("a", "two")
    with pytest.raises(RuntimeError), catalog.write() as connection:
        catalog.replace_document(connection, document, chunks, "settings")
        raise RuntimeError
    with catalog.read() as connection:
        assert [c.text for c in catalog.document_chunks(connection, document.id)] == ["one"]


def test_visibility(catalog: Catalog) -> None:
    put(catalog, "open", "x")
    put(catalog, "closed", "y", acl=("user:ann", "group:hr"))
    put(catalog, "nobody", "z", acl=())
    with catalog.read() as connection:

        def seen(who: Principal) -> set[str]:
            keys = catalog.allowed_keys(connection, who)
            by_key = catalog.chunks_by_key(connection, range(10), who)
            assert keys is None or set(keys.tolist()) == set(by_key)
            return {c.metadata.source for c in by_key.values()}

        assert seen(OWNER) == {"open", "closed", "nobody"}
        assert seen(Principal("ann")) == {"open", "closed"}
        assert seen(Principal("bob", frozenset({"hr"}))) == {"open", "closed"}
        assert seen(Principal("bob")) == {"open"}
        assert seen(Principal("*")) == {"open"}, "an id is no grant"
        assert seen(Principal("group:hr")) == {"open"}


def test_own_keys_are_those_of_visible_documents(catalog: Catalog) -> None:
    for source, acl, extra in (
        ("a", ("*",), {"room": 4, "部门": "研发"}),
        ("b", ("user:ann",), {"salary": 1, "room": 5}),
    ):
        document, chunks = make(source, "x", acl=acl)
        with catalog.write() as connection:
            catalog.replace_document(connection, replace(document, extra=extra), chunks, "settings")
    with catalog.read() as connection:
        assert catalog.own_keys(connection, OWNER) == {"room", "部门", "salary"}
        assert catalog.own_keys(connection, Principal("bob")) == {"room", "部门"}


def test_vectors_by_embedder_and_type(catalog: Catalog) -> None:
    chunks = put(catalog, "a", "one", "two")
    vector = np.array([0.6, -0.8, 0.0, 0.0], np.float32)
    with catalog.write() as connection:
        vectors.store(connection, "other", {text_hash(chunks[0].full_text): Embedded(vector)}, "int8")
        keys, rows = vectors.load(connection, "other")
        assert keys.tolist() == [1]
        assert float(rows[0] @ vector) > 0.999
        assert vectors.missing_keys(connection, "other").tolist() == [2]
        hashes = [text_hash(c.full_text) for c in chunks]
        assert vectors.token_codes(connection, "e", hashes) == dict.fromkeys(hashes, b"codes")
        assert vectors.token_codes(connection, "other", hashes) == {}
        assert list(vectors.by_hash(connection, "other", [*hashes, "unknown"])) == hashes[:1]
        vectors.forget_orphans(connection, keep="other")
        assert vectors.count(connection, "e") == 0


def test_completions_are_forgotten_with_the_documents_that_they_may_quote(catalog: Catalog) -> None:
    put(catalog, "a", "one")
    with catalog.write() as connection:
        completions.put(connection, "m", "p", Completion("it says one", "m"))
        assert completions.get(connection, "m", "p") == Completion("it says one", "m")
        catalog.remove_document(connection, make("a")[0].id)
        assert completions.get(connection, "m", "p") is None


def test_a_job_that_was_cut_off_is_told(catalog: Catalog) -> None:
    with catalog.write() as connection:
        first = jobs.start(connection, "sync", {})
        second = jobs.start(connection, "add", {})
        jobs.finish(connection, second, "done", {"added": 1})
        states = {job["id"]: job["state"] for job in jobs.latest(connection)}
    assert states == {first: "interrupted", second: "done"}


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "c.db")
    with catalog.write() as connection:
        connection.execute(update(facts).where(facts.c.name == "schema_version").values(value=999))
    catalog.close()
    with pytest.raises(CatalogError, match="upgrade"):
        Catalog(tmp_path / "c.db")


def test_an_older_schema_is_brought_up(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "c.db")
    put(catalog, "a", "one fact")
    with catalog.write() as connection:
        connection.execute(text("ALTER TABLE documents DROP COLUMN file_state"))
        connection.execute(update(facts).where(facts.c.name == "schema_version").values(value=1))
    catalog.close()
    catalog = Catalog(tmp_path / "c.db")
    with catalog.write() as connection:
        ((stamp,),) = catalog.stamps(connection).values()
        assert stamp.file_state is None
        catalog.note_file_states(connection, {stamp.id: "size and times"})
        assert catalog.stamps(connection)["a"][0].file_state == "size and times"
    catalog.close()


def test_a_file_that_is_no_catalog_is_told(tmp_path: Path) -> None:
    (tmp_path / "c.db").write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(CatalogError, match="restore"):
        Catalog(tmp_path / "c.db")


def test_reading_needs_no_write_lock(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "c.db")
    with catalog.write() as connection:
        connection.execute(insert(facts).values(name="x", value=1))
        other = Catalog(tmp_path / "c.db", busy_seconds=0.1)  # opens while the write goes on
        with other.read() as reading:
            assert reading.execute(select(facts.c.name).where(facts.c.name == "x")).first() is None
        other.close()
    catalog.close()
