"""Haystack: ``InMemoryDocumentStore`` with its BM25 and embedding retrievers, joined by rank, kept by save_to_disk."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from haystack import Document, Pipeline, component
from haystack.components.converters import TextFileToDocument
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy
from side import Model, main

logging.disable(logging.WARNING)


@component
class DocumentEmbedder:
    """The framework's interface over the shared model, for documents."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        vectors = self._model.embed([d.content or "" for d in documents], "passage").tolist()
        for document, vector in zip(documents, vectors, strict=True):
            document.embedding = vector
        return {"documents": documents}


@component
class TextEmbedder:
    """The same for a question."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        return {"embedding": self._model.embed([text], "query")[0].tolist()}


class Haystack:
    def __init__(self, model: Model, state: Path) -> None:
        self._model = model
        self._path = str(state / "store.json")
        self._store = InMemoryDocumentStore(embedding_similarity_function="cosine")

    def _indexing(self, convert: bool) -> Pipeline:
        pipeline = Pipeline()
        pipeline.add_component("embedder", DocumentEmbedder(self._model))
        pipeline.add_component("writer", DocumentWriter(self._store, policy=DuplicatePolicy.SKIP))
        pipeline.connect("embedder.documents", "writer.documents")
        if convert:
            pipeline.add_component("converter", TextFileToDocument())
            pipeline.connect("converter.documents", "embedder.documents")
        return pipeline

    def add_folder(self, folder: Path) -> None:
        self._indexing(convert=True).run({"converter": {"sources": sorted(folder.glob("**/*.txt"))}})
        self._store.save_to_disk(self._path)

    def add_folder_again(self, folder: Path) -> None:
        self._store = InMemoryDocumentStore.load_from_disk(self._path)
        self.add_folder(folder)

    def add_texts(self, texts: list[str]) -> None:
        self._indexing(convert=False).run({"embedder": {"documents": [Document(content=t) for t in texts]}})
        self._store.save_to_disk(self._path)

    def ready(self) -> None:
        pipeline = Pipeline()
        pipeline.add_component("embedder", TextEmbedder(self._model))
        pipeline.add_component("vectors", InMemoryEmbeddingRetriever(self._store, top_k=10))
        pipeline.add_component("words", InMemoryBM25Retriever(self._store, top_k=10))
        pipeline.add_component("joiner", DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=10))
        pipeline.connect("embedder.embedding", "vectors.query_embedding")
        pipeline.connect("vectors", "joiner")
        pipeline.connect("words", "joiner")
        self._pipeline = pipeline

    def count(self) -> int:
        return self._store.count_documents()

    def search(self, query: str, k: int) -> list[str]:
        found = self._pipeline.run({"embedder": {"text": query}, "words": {"query": query}})
        return [d.content or "" for d in found["joiner"]["documents"][:k]]

    def close(self) -> None:
        pass


main(Haystack)
