"""The catalog's tables. Called by the catalog's other files; the filters compile to ``chunks.metadata``."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

tables = MetaData()

facts = Table(
    "facts",
    tables,
    Column("name", String, primary_key=True),
    Column("value", JSON, nullable=False),
    comment="schema_version, sequence, embedder, embedder_fingerprint, dimension",
)

documents = Table(
    "documents",
    tables,
    Column("id", String, primary_key=True),
    Column("source", Text, nullable=False),
    Column("collection", String, nullable=False),
    Column("source_type", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("author", Text),
    Column("created_at", String),
    Column("last_modified", String),
    Column("language", String, nullable=False),
    Column("content_hash", String, nullable=False),
    Column("fingerprint", String, nullable=False, comment="of the settings that shaped its chunks"),
    Column("version", Integer, nullable=False),
    Column("added_at", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("elements", JSON, nullable=False),
    Column("acl", JSON, nullable=False),
    Column("extra", JSON, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("inferred", JSON, comment="fields taken from the file system; null in rows of older versions"),
    Column("file_state", String, comment="size and times of the file when it was read; null where they say nothing"),
    UniqueConstraint("collection", "source"),
)

chunks = Table(
    "chunks",
    tables,
    # Keys are never used again (AUTOINCREMENT), so that a lagging index cannot point at another chunk.
    Column("key", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("document_id", String, ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    Column("chunk_index", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("kind", String, nullable=False),
    Column("language", String, nullable=False, comment="as in metadata: each language is searched for itself"),
    Column("element_ids", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("text_hash", String, nullable=False, comment="of prefix and text: names its vector"),
    Column("sequence", Integer, nullable=False, comment="of the transaction that added it"),
    Index("chunks_document", "document_id", "chunk_index"),
    Index("chunks_sequence", "sequence"),
    Index("chunks_text_hash", "text_hash"),
    sqlite_autoincrement=True,
)

tombstones = Table(
    "tombstones",
    tables,
    Column("key", Integer, primary_key=True),
    Column("sequence", Integer, nullable=False, index=True),
    comment="Keys of removed chunks: how an index learns what to forget",
)

grants = Table(
    "grants",
    tables,
    Column("document_id", String, ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("grant", String, primary_key=True),
    Index("grants_grant", "grant", "document_id"),
)

vectors = Table(
    "vectors",
    tables,
    Column("fingerprint", String, primary_key=True),
    Column("text_hash", String, primary_key=True),
    Column("scale", Float, comment="null for float32; for int8 the value of one step"),
    Column("data", LargeBinary, nullable=False),
    Column("tokens", LargeBinary, comment="packed token vectors for late interaction, where the embedder gives them"),
    comment="Content-addressed, so the same passage is embedded once: the embedding cache and the truth in one",
)

index_positions = Table(
    "index_positions",
    tables,
    Column("name", String, primary_key=True),
    Column("sequence", Integer, nullable=False),
)

jobs = Table(
    "jobs",
    tables,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("state", String, nullable=False, comment="running, done, failed, interrupted"),
    Column("started_at", String, nullable=False),
    Column("ended_at", String),
    Column("detail", JSON, nullable=False),
)

completions = Table(
    "completions",
    tables,
    Column("fingerprint", String, primary_key=True),
    Column("prompt_hash", String, primary_key=True),
    Column("completion", JSON, nullable=False),
    comment="The language model's cache; emptied whenever a document is removed or replaced, since it may quote it",
)
