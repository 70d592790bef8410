"""LlamaIndex: ``VectorStoreIndex`` and ``BM25Retriever`` under ``QueryFusionRetriever``, kept by its storage context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llama_index.core import (
    Settings,
    SimpleDirectoryReader,
    StorageContext,
    VectorStoreIndex,
    load_index_from_storage,
)
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import TextNode
from llama_index.retrievers.bm25 import BM25Retriever
from side import Model, main


class Embedding(BaseEmbedding):
    """The framework's interface over the shared model."""

    _model: Any

    def __init__(self, model: Model) -> None:
        super().__init__(embed_batch_size=256)
        self._model = model

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._model.embed(texts, "passage").tolist()

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._model.embed([text], "passage")[0].tolist()

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._model.embed([query], "query")[0].tolist()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


class LlamaIndex:
    def __init__(self, model: Model, state: Path) -> None:
        Settings.embed_model = Embedding(model)
        Settings.llm = MockLLM()
        self._state = str(state)

    def _documents(self, folder: Path) -> list[Any]:
        return SimpleDirectoryReader(str(folder), filename_as_id=True, exclude_hidden=False).load_data()

    def add_folder(self, folder: Path) -> None:
        self._index = VectorStoreIndex.from_documents(self._documents(folder))
        self._index.storage_context.persist(self._state)

    def add_folder_again(self, folder: Path) -> None:
        self._index = load_index_from_storage(StorageContext.from_defaults(persist_dir=self._state))
        self._index.refresh_ref_docs(self._documents(folder))
        self._index.storage_context.persist(self._state)

    def add_texts(self, texts: list[str]) -> None:
        self._index = VectorStoreIndex([TextNode(text=t) for t in texts])
        self._index.storage_context.persist(self._state)

    def ready(self) -> None:
        words = BM25Retriever.from_defaults(docstore=self._index.docstore, similarity_top_k=10)
        vectors = self._index.as_retriever(similarity_top_k=10)
        self._retriever = QueryFusionRetriever(
            [vectors, words], num_queries=1, mode="reciprocal_rerank", similarity_top_k=10, use_async=False
        )

    def count(self) -> int:
        return len(self._index.docstore.docs)

    def search(self, query: str, k: int) -> list[str]:
        return [n.node.get_content() for n in self._retriever.retrieve(query)[:k]]

    def close(self) -> None:
        pass


main(LlamaIndex)
