"""RAFT: questions with sources of which one answers, or none, and the answer that cites it, or says so.

Called by ``lunheng tune data raft``. Zhang et al. 2024 (RAFT: Adapting Language Model to Domain Specific RAG) train on a
question, its gold passage and distractors, with a share of cases without the gold one. Here the prompt and the citations
are those of ``ask`` to the letter, so that what is learnt is what is served; without the gold passage the answer is the
sentence with which ``ask`` says that the documents do not say (the paper has the model answer from memory there, which is
what a system of cited answers must not do). The paper's chain of thought is left out for the same reason.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lunheng.answering.context import prompt_order
from lunheng.answering.passages import overlap
from lunheng.answering.prompts import answer_messages, phrases
from lunheng.answering.statements import split_statements
from lunheng.answering.verification import cited
from lunheng.text.language import is_chinese
from lunheng.text.sentences import split_sentences
from lunheng.tuning.rag.answers import holds_answer
from lunheng.tuning.rag.asking import HELD
from lunheng.tuning.rag.false_negatives import near_copies
from lunheng.tuning.rag.journal import Journal, Outcome, Rejected, Row, Written, in_seeded_order
from lunheng.types import Chunk, Hit, Message, Source

Search = Callable[[str, int], Sequence[Hit]]
"""A question and k to hits, best first: ``KnowledgeBase.search``."""
_LABEL_TOKENS = 24
"""Of a source's number, title and headings."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its answer and the passage that it stands in."""

    id: str
    question: str
    answer: str
    gold: Chunk
    made_by: str = ""


@dataclass(frozen=True, slots=True)
class RaftSettings:
    """What the rows depend on."""

    distractors: int = 3
    without_gold: float = 0.2
    """The share of the questions whose sources do not answer them (the paper's 1 - P)."""
    depth: int = 20
    """Distractors are taken of so many hits, the nearest first."""
    context_tokens: int = 700
    """Of all sources together."""
    seed: int = 0


def make_raft(
    questions: Sequence[Question],
    search: Search,
    count: Callable[[str], int],
    output: Path,
    settings: RaftSettings,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write one conversation for each of ``questions`` into ``output``, going on where an earlier run stopped.

    Args:
        count: tokens of a text, for ``context_tokens``.
        limit: questions; which, follows from the seed.

    Raises:
        DataError: the output was begun with other settings.
    """
    by_id = {q.id: q for q in questions}
    chosen = in_seeded_order(by_id, settings.seed)[:limit]
    depends_on = {"what": "raft", **asdict(settings)}
    with Journal(output, depends_on, still_there=lambda item: item in by_id) as journal:
        for done, item in enumerate(chosen, start=1):
            if item not in journal.done:
                journal.add(item, _of_question(by_id[item], search, count, settings))
            if progress is not None:
                progress(done, len(chosen))
    return journal.written()


def _of_question(asked: Question, search: Search, count: Callable[[str], int], settings: RaftSettings) -> Outcome:
    about = {"id": asked.id, "question": asked.question, "answer": asked.answer, "chunk_id": asked.gold.id}
    if not holds_answer(asked.gold.full_text, asked.answer, asked.question, HELD):
        return Outcome(rejected=[Rejected("the passage does not hold the answer", about)])
    counts: Counter[str] = Counter()
    distractors = _distractors(asked, search(asked.question, settings.depth), counts)
    # A case without the gold passage has as many sources as one with it, so that their number tells nothing.
    chance = random.Random(f"{settings.seed}/{asked.id}")
    gold = chance.random() >= settings.without_gold
    wanted = settings.distractors + (not gold)
    if settings.distractors and not distractors:
        return Outcome(rejected=[Rejected("no distractor was found", about)], counts=counts)
    chunks = distractors[:wanted] + [asked.gold] * gold
    counts["fewer sources than wanted"] += len(chunks) < settings.distractors + 1
    chance.shuffle(chunks)
    room = settings.context_tokens // len(chunks) - _LABEL_TOKENS
    sources = [_source(n, chunk, asked, count, room) for n, chunk in enumerate(chunks, start=1)]
    number = next((s.n for s in sources if gold and s.hit.chunk.id == asked.gold.id), None)
    if number is not None:
        shown = "\n".join([asked.gold.prefix, *sources[number - 1].shown])
        if not holds_answer(shown, asked.answer, asked.question, HELD):
            return Outcome(rejected=[Rejected("the answer does not fit into the context", about)], counts=counts)
    counts["with the gold passage" if gold else "without the gold passage"] += 1
    language = "zh" if is_chinese(asked.question) else "en"
    answer = (
        _cited(asked.answer, number)
        if number is not None
        else phrases(language).missing.format(question=asked.question)
    )
    messages = [*answer_messages(asked.question, prompt_order(sources), language)]
    row: Row = {
        "messages": [_plain(m) for m in messages] + [{"role": "assistant", "content": answer}],
        "group": asked.gold.metadata.document_id,
        "document_id": asked.gold.metadata.document_id,
        "chunk_id": asked.gold.id,
        "gold": number,
        "source_ids": [s.hit.chunk.id for s in sources],
        "made_by": asked.made_by,
    }
    return Outcome([row], counts=counts)


def _distractors(asked: Question, hits: Sequence[Hit], counts: Counter[str]) -> list[Chunk]:
    """The hits that do not answer, nearest first."""
    found: list[Chunk] = []
    for hit in hits:
        chunk = hit.chunk
        if chunk.id == asked.gold.id:
            continue
        if near_copies([chunk.text], [asked.gold.text, *(d.text for d in found)]):
            counts["distractors dropped: a copy, or nearly"] += 1
        elif holds_answer(chunk.full_text, asked.answer, asked.question):
            counts["distractors dropped: holds the answer"] += 1
        else:
            found.append(chunk)
    return found


def _source(n: int, chunk: Chunk, asked: Question, count: Callable[[str], int], room: int) -> Source:
    """The chunk as ``ask`` shows it: the statements that say most to the question, in the document's order."""
    statements = split_statements(chunk)
    about = f"{asked.question} {asked.answer}" if chunk.id == asked.gold.id else asked.question
    ranked = sorted(range(len(statements)), key=lambda i: -overlap(about, statements[i].reading))
    kept: list[int] = []
    for i in ranked:
        cost = count(statements[i].reading)
        if cost <= room:
            kept.append(i)
            room -= cost
    shown = [statements[i] for i in sorted(kept)] or [statements[ranked[0]]]
    start, end = shown[0].start, shown[-1].end
    return Source(
        n,
        Hit(chunk, 0.0, "evidence"),
        chunk.start + start,
        chunk.start + end,
        chunk.text[start:end],
        tuple(s.reading for s in shown),
    )


def _cited(answer: str, number: int) -> str:
    """Every sentence of the answer with its source."""
    parts: list[str] = []
    last = 0
    for start, end in split_sentences(answer):
        parts.append((answer[last:start] if parts else "") + cited(answer[start:end], [number]))
        last = end
    return "".join(parts)


def _plain(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}
