"""Questions with their answers, made of a knowledge base's chunks and checked to be answerable by search.

Called by ``lunheng tune data qa`` and by raft. Of each chunk: drafts by a language model or by templates, without those
asked before, and of the rest those for which the search gives the chunk back among its first k (the round-trip filter;
compare consistency filtering, Alberti et al. 2019, and Promptagator, Dai et al. 2022).

A row reads as a triple (``query``: question, positive: the passage) and as a conversation (question, answer): the kind
that a method needs decides.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lunheng.protocols import LLM
from lunheng.text.segmentation import terms
from lunheng.tuning.data.similarity import key_of
from lunheng.tuning.rag.asking import ask_model
from lunheng.tuning.rag.journal import Journal, Outcome, Rejected, Row, Written, in_seeded_order
from lunheng.tuning.rag.templates import Draft, template_questions
from lunheng.types import Chunk, Hit, content_id

Search = Callable[[str, int], Sequence[Hit]]
"""A question and k to hits, best first: ``KnowledgeBase.search``."""
Progress = Callable[[int, int], None]
NOT_FOUND = "the search does not give the passage back"
ASKED_BEFORE = "asked before"
NOTHING = "a passage that nothing can be asked of"


@dataclass(frozen=True, slots=True)
class QuestionSettings:
    """What the questions depend on."""

    per_chunk: int = 3
    """Questions of one chunk at the most."""
    k: int = 10
    """Among so many hits the chunk must be."""
    seed: int = 0


def make_questions(
    chunks: Iterable[Chunk],
    search: Search,
    output: Path,
    settings: QuestionSettings,
    llm: LLM | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Written:
    """Ask questions of ``chunks`` into ``output``, going on where an earlier run stopped.

    Args:
        search: over the same chunks.
        llm: writes the questions; None: templates do.
        limit: chunks that are asked; which, follows from the seed. A later run with a higher one goes on.

    Raises:
        DataError: the output was begun with other settings.
        ModelError: the model failed; what was made until then is kept.
    """
    known = {chunk.id: chunk for chunk in chunks}
    wanted = in_seeded_order(known, settings.seed)[:limit]
    depends_on = {
        "what": "questions",
        "per_chunk": settings.per_chunk,
        "k": settings.k,
        "seed": settings.seed,
        "made_by": llm.fingerprint if llm is not None else "templates",
    }
    with Journal(output, depends_on, still_there=lambda item: item in known) as journal:
        asked: set[str] = set()
        for row in journal.rows():
            asked.update(_keys(row["question"]))
        for done, item in enumerate(wanted, start=1):
            if item not in journal.done:
                journal.add(item, _of_chunk(known[item], search, settings, llm, asked))
            if progress is not None:
                progress(done, len(wanted))
    return journal.written()


def _of_chunk(chunk: Chunk, search: Search, settings: QuestionSettings, llm: LLM | None, asked: set[str]) -> Outcome:
    rejected: list[Rejected] = []
    if llm is not None:
        drafts, rejected = ask_model(llm, chunk, settings.per_chunk)
    else:
        drafts = template_questions(chunk)
        random.Random(f"{settings.seed}/{chunk.id}").shuffle(drafts)
    about = {"chunk_id": chunk.id, "document_id": chunk.metadata.document_id, "source": chunk.metadata.source}
    rejected = [Rejected(r.reason, {**r.what, **about}) for r in rejected]
    if not drafts and not rejected:
        rejected.append(Rejected(NOTHING, {**about, "passage": chunk.text[:200]}))
    counts: Counter[str] = Counter()
    rows: list[Row] = []
    for draft in drafts:
        if len(rows) == settings.per_chunk:
            counts["drafts not needed"] += 1
            continue
        counts["drafts checked"] += 1
        what = {"question": draft.question, "answer": draft.answer, "made_by": draft.made_by, **about}
        keys = _keys(draft.question)
        if not asked.isdisjoint(keys):
            rejected.append(Rejected(ASKED_BEFORE, what))
            continue
        hits = search(draft.question, settings.k)
        rank = _rank(chunk, hits)
        if rank is None:
            rejected.append(Rejected(NOT_FOUND, {**what, "found": [hit.chunk.id for hit in hits]}))
            continue
        counts["found first"] += rank == 1
        asked.update(keys)
        rows.append(_row(draft, chunk, rank))
    return Outcome(rows, rejected, counts)


def _row(draft: Draft, chunk: Chunk, rank: int) -> Row:
    return {
        "question": draft.question,
        "answer": draft.answer,
        "positive": chunk.full_text,
        "group": chunk.metadata.document_id,
        "document_id": chunk.metadata.document_id,
        "chunk_id": chunk.id,
        "source": chunk.metadata.source,
        "language": chunk.metadata.language,
        "made_by": draft.made_by,
        "rank": rank,
    }


def _rank(chunk: Chunk, hits: Sequence[Hit]) -> int | None:
    """Where the chunk, or another of the very same text, stands among the hits."""
    for rank, hit in enumerate(hits, start=1):
        if hit.chunk.id == chunk.id or hit.chunk.text == chunk.text:
            return rank
    return None


def _keys(question: str) -> tuple[str, str]:
    """Two questions that share one of these are the same: in their letters, or in all words that carry a topic,
    whatever their order. (Questions that differ in a name or number alone look alike to n-grams, and ask different
    things.)"""
    return key_of(question), content_id(*sorted(set(terms(question, for_query=True))))
