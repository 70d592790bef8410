"""A knowledge base as fine-tuning sees it: its passages, its search, and the change to a model that was promoted.

Called by ``lunheng tune embed|rerank --kb``; the rooms of fine-tuning do not know of knowledge bases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lunheng.errors import NotFoundError

if TYPE_CHECKING:
    from lunheng.evaluation.datasets import RetrievalDataset
    from lunheng.evaluation.runner import RetrievalReport
    from lunheng.knowledge import KnowledgeBase
    from lunheng.tuning.lift import Comparison


def corpus_of(base: KnowledgeBase) -> dict[str, str]:
    """Each passage's text, as it is quoted, to what the models read of it.

    Raises:
        NotFoundError: there is none.
    """
    from lunheng.catalog import Catalog
    from lunheng.ingest.backup import CATALOG_NAME
    from lunheng.types import Principal

    catalog = Catalog(base.folder / CATALOG_NAME)
    try:
        with catalog.read() as connection:
            keys = catalog.live_keys(connection).tolist()
            chunks = catalog.chunks_by_key(connection, keys, Principal.local())
    finally:
        catalog.close()
    if not chunks:
        raise NotFoundError(f"{base.folder}: holds no passages yet; add documents with: lunheng add")
    return {chunk.text: chunk.full_text for chunk in chunks.values()}


def first_stage_of(base: KnowledgeBase) -> Callable[[str, int], Sequence[str]]:
    """Its search without a reranker, giving what the models read of each passage."""

    def search(question: str, count: int) -> list[str]:
        return [hit.chunk.full_text for hit in base.search(question, k=count, rerank=False)]

    return search


def put_to_use(
    base: KnowledgeBase,
    held_out: RetrievalDataset,
    change: Callable[[], None],
    back: Callable[[], None],
) -> tuple[Comparison, bool]:
    """Change the model that serves, and change back where the whole search, by words and by rank too, is worse for it.

    Returns:
        The search on the held-out questions before and after, and whether the change stands.
    """
    from lunheng.tuning.lift import CHANCE, compare

    before = _searched(base, held_out)
    change()
    found = compare(before, _searched(base, held_out))
    if found.difference.mean < 0 and found.p < CHANCE:
        back()
        return found, False
    return found, True


def _searched(base: KnowledgeBase, dataset: RetrievalDataset) -> RetrievalReport:
    from lunheng.evaluation.runner import evaluate_retrieval

    ids = {passage.full_text: passage.id for passage in dataset.passages}

    def search(question: str, count: int) -> list[str]:
        texts = [hit.chunk.full_text for hit in base.search(question, k=count)]
        return [ids.get(text, text) for text in texts]

    return evaluate_retrieval(search, dataset)
