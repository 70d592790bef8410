"""The rows of a file of questions, each with the chunk of the knowledge base that it was made of.

Called by ``lunheng tune data raft``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lunheng.tuning.data.examples import Problem
from lunheng.tuning.data.reading import files_of, read_records
from lunheng.tuning.rag.journal import Rejected
from lunheng.tuning.rag.raft import Question
from lunheng.types import Chunk, content_id


def read_questions(path: Path, chunks: Iterable[Chunk]) -> tuple[list[Question], list[Rejected]]:
    """(questions, what could not be taken): rows with ``question``, ``answer`` and the id or the text of their passage.

    Raises:
        DataError: there is no such file.
    """
    by_id = {chunk.id: chunk for chunk in chunks}
    by_text = {chunk.full_text: chunk for chunk in by_id.values()}
    found: dict[str, Question] = {}
    rejected: list[Rejected] = []
    for file in files_of(path):
        for item in read_records(file):
            if isinstance(item, Problem):
                rejected.append(Rejected("a line that does not parse", {"at": str(item.origin), "why": item.message}))
                continue
            origin, record = item
            question, answer = record.get("question") or record.get("query"), record.get("answer")
            if not (isinstance(question, str) and isinstance(answer, str) and question.strip() and answer.strip()):
                rejected.append(Rejected("a row without a question and an answer", {"at": str(origin)}))
                continue
            chunk = by_id.get(str(record.get("chunk_id"))) or by_text.get(str(record.get("positive")))
            if chunk is None:
                rejected.append(
                    Rejected("its passage is not in the knowledge base", {"at": str(origin), "question": question})
                )
                continue
            name = content_id(question, answer, chunk.id)
            found[name] = Question(name, question, answer, chunk, str(record.get("made_by", "")))
    return list(found.values()), rejected
