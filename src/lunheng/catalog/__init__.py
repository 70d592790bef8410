"""The truth: documents, chunks, vectors, permissions, index positions, jobs and caches, in transactions.

Called by ingest, indexes, retrieval and the knowledge base. Everything else that holds chunks is
derived from here and can be deleted (DESIGN's first invariant).
"""

from lunheng.catalog.catalog import Catalog, LiveChunk, Stamp, StoredDocument

__all__ = ["Catalog", "LiveChunk", "Stamp", "StoredDocument"]
