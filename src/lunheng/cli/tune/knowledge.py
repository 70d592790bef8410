"""A knowledge base as fine-tuning sees it: its passages, questions of them, its search, and the change to a model that was promoted.

Called by ``lunheng tune embed|rerank --kb``; the rooms of fine-tuning do not know of knowledge bases.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lunheng.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from lunheng.evaluation.datasets import RetrievalDataset
    from lunheng.evaluation.runner import RetrievalReport
    from lunheng.knowledge import KnowledgeBase
    from lunheng.tuning.encoders.lift import Comparison

TRIPLES = "triples.jsonl"
"""Questions with their passages and hard negatives, in the run's folder."""
NEGATIVES = 4
MINED_DEPTH = 20
"""The last rank of each search in which negatives are looked for."""


def corpus_of(base: KnowledgeBase) -> dict[str, str]:
    """Each passage's text, as it is quoted, to what the models read of it.

    Raises:
        NotFoundError: there is none.
    """
    chunks = {chunk.text: chunk.full_text for chunk in base.chunks()}
    if not chunks:
        raise NotFoundError(f"{base.folder}: holds no passages yet; add documents with: lunheng add")
    return chunks


def questions_of(base: KnowledgeBase, output: Path, templates: bool, limit: int | None, progress: Any) -> Path:
    """Questions of its passages, each of which the search answers, in ``output``; goes on where an earlier run stopped.

    Raises:
        DataError: there is not one.
    """
    from lunheng.cli.tune.data.common import writer
    from lunheng.tuning.rag.qa import QuestionSettings, make_questions

    llm = writer(base, templates)
    written = make_questions(base.chunks(), base.search, output, QuestionSettings(), llm, limit, progress)
    if not written.rows:
        raise DataError(f"{base.folder}: no question could be made of its passages; see {written.rejected_file}")
    return output


def with_hard_negatives(base: KnowledgeBase, questions: Path, progress: Any) -> Path:
    """The rows of ``questions`` with passages that its search takes for the answer and that are none, beside the file.

    A question for which none is left by the filters keeps its row without.
    """
    from lunheng.cli.tune.data.negatives import search_of
    from lunheng.tuning.rag.negatives import MiningSettings, mine_negatives
    from lunheng.tuning.rag.scoring import CosineScorer
    from lunheng.tuning.rag.wanted import of_triples

    wanted, _ = of_triples(questions)
    embedder = base.embedder
    searches = {name: search_of(base, name) for name in ("bm25", "dense")}
    settings = MiningSettings(count=NEGATIVES, depth=MINED_DEPTH)
    mined = questions.with_name("negatives.jsonl")
    mine_negatives(wanted, searches, CosineScorer(embedder), embedder.fingerprint, mined, settings, None, progress)
    found = {row["query"]: row["negatives"] for row in map(json.loads, mined.read_text(encoding="utf-8").splitlines())}
    rows = map(json.loads, questions.read_text(encoding="utf-8").splitlines())
    output = questions.with_name(TRIPLES)
    with output.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({**row, "negatives": found.get(row["question"], [])}, ensure_ascii=False) + "\n")
    return output


def first_stage_of(base: KnowledgeBase) -> Callable[[str, int], Sequence[str]]:
    """Its search without a reranker, giving what the models read of each passage."""

    def search(question: str, count: int) -> list[str]:
        return [hit.chunk.full_text for hit in base.search(question, k=count, rerank=False)]

    return search


def put_to_use(
    base: KnowledgeBase,
    held_out: RetrievalDataset,
    task: Literal["embedder", "reranker"],
    change: Callable[[], None],
) -> tuple[Comparison, bool]:
    """Change the model that serves, and change back where the whole search, by words and by rank too, is worse for it.

    Returns:
        The search on the held-out questions before and after, and whether the change stands.
    """
    from lunheng.tuning.encoders.lift import CHANCE, compare

    before = _searched(base, held_out)
    change()
    found = compare(before, _searched(base, held_out))
    if found.difference.mean < 0 and found.p < CHANCE:
        base.roll_back(task)
        return found, False
    return found, True


def _searched(base: KnowledgeBase, dataset: RetrievalDataset) -> RetrievalReport:
    from lunheng.evaluation.runner import evaluate_retrieval

    ids = {passage.full_text: passage.id for passage in dataset.passages}

    def search(question: str, count: int) -> list[str]:
        texts = [hit.chunk.full_text for hit in base.search(question, k=count)]
        return [ids.get(text, text) for text in texts]

    return evaluate_retrieval(search, dataset)
