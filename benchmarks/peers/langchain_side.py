"""LangChain: FAISS and ``BM25Retriever`` under ``EnsembleRetriever``, kept up to date by the indexing API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
from langchain_classic.indexes import SQLRecordManager, index
from langchain_classic.retrievers import EnsembleRetriever
from langchain_community.docstore.in_memory import InMemoryDocstore
from langchain_community.document_loaders import DirectoryLoader, TextLoader
from langchain_community.retrievers import BM25Retriever
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from side import DIMENSION, Model, main


class SharedModel(Embeddings):
    """The framework's interface over the shared model."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._model.embed(texts, "passage").tolist()

    def embed_query(self, text: str) -> list[float]:
        return self._model.embed([text], "query")[0].tolist()


class LangChain:
    def __init__(self, model: Model, state: Path) -> None:
        self._embeddings = SharedModel(model)
        self._state = state
        self._store = FAISS(self._embeddings, faiss.IndexFlatL2(DIMENSION), InMemoryDocstore(), {})

    def _index(self, folder: Path) -> None:
        loader = DirectoryLoader(
            str(folder), glob="**/*.txt", loader_cls=TextLoader, loader_kwargs={"encoding": "utf-8"}
        )
        self._documents = loader.load()
        records = SQLRecordManager("faiss/benchmark", db_url=f"sqlite:///{self._state / 'records.db'}")
        records.create_schema()
        index(
            self._documents,
            records,
            self._store,
            cleanup="full",
            source_id_key="source",
            batch_size=256,
            key_encoder="blake2b",
        )
        self._store.save_local(str(self._state))

    def add_folder(self, folder: Path) -> None:
        self._index(folder)

    def add_folder_again(self, folder: Path) -> None:
        self._store = FAISS.load_local(str(self._state), self._embeddings, allow_dangerous_deserialization=True)
        self._index(folder)

    def add_texts(self, texts: list[str]) -> None:
        self._documents = [Document(t) for t in texts]
        self._store.add_documents(self._documents)
        self._store.save_local(str(self._state))

    def ready(self) -> None:
        words = BM25Retriever.from_documents(self._documents, k=10)
        vectors = self._store.as_retriever(search_kwargs={"k": 10})
        self._retriever = EnsembleRetriever(retrievers=[words, vectors], weights=[0.5, 0.5])

    def count(self) -> int:
        return int(self._store.index.ntotal)

    def search(self, query: str, k: int) -> list[str]:
        found: list[Any] = self._retriever.invoke(query)
        return [d.page_content for d in found[:k]]

    def close(self) -> None:
        pass


main(LangChain)
