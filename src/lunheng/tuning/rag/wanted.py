"""What negatives are looked for: the queries of a file of triples, or of a labelled retrieval set.

Called by ``lunheng tune data negatives``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lunheng.errors import DataError
from lunheng.evaluation.datasets import RetrievalDataset
from lunheng.tuning.data.examples import Problem, Triple
from lunheng.tuning.data.formats import to_example
from lunheng.tuning.data.reading import files_of, read_records
from lunheng.tuning.data.similarity import key_of
from lunheng.tuning.rag.false_negatives import Wanted
from lunheng.tuning.rag.searching import Found
from lunheng.types import content_id


def of_triples(path: Path) -> tuple[list[Wanted], list[Problem]]:
    """The queries of a file or folder of triples, as ``data qa`` writes them, and the lines that are none.

    What another line calls a positive of the same query is one here too.
    """
    rows: list[tuple[Triple, Mapping[str, Any]]] = []
    problems: list[Problem] = []
    for file in files_of(path):
        for item in read_records(file):
            made = item if isinstance(item, Problem) else to_example(*item, "triple")
            if isinstance(made, Triple) and not isinstance(item, Problem):
                rows.append((made, item[1]))
            elif isinstance(made, Problem):
                problems.append(made)
    positives: dict[str, list[str]] = defaultdict(list)
    ids: dict[str, set[str]] = defaultdict(set)
    for triple, record in rows:
        positives[key_of(triple.query)].append(triple.positive)
        ids[key_of(triple.query)].update(str(record[n]) for n in ("chunk_id", "positive_id") if record.get(n))
    found: dict[str, Wanted] = {}
    for triple, record in rows:
        key = key_of(triple.query)
        others = [p for p in dict.fromkeys(positives[key]) if p != triple.positive]
        answer = record.get("answer")
        name = content_id(triple.query, triple.positive)
        found[name] = Wanted(
            name,
            triple.query,
            (triple.positive, *others),
            frozenset(ids[key]),
            (answer,) if isinstance(answer, str) and answer.strip() else (),
            triple.group,
        )
    return list(found.values()), problems


def of_dataset(dataset: RetrievalDataset, answers: Mapping[str, Sequence[str]]) -> list[Wanted]:
    """One for each query and relevant passage, the better graded first."""
    texts = {p.id: p.full_text for p in dataset.passages}
    found: list[Wanted] = []
    for query in dataset.judged:
        graded = sorted((-grade, passage) for passage, grade in dataset.qrels[query.id].items() if grade > 0)
        relevant = [passage for _, passage in graded]
        for passage in relevant:
            others = [texts[p] for p in relevant if p != passage]
            known = (texts[passage], *others)
            name = f"{query.id}/{passage}"
            found.append(
                Wanted(name, query.text, known, frozenset(relevant), tuple(answers.get(query.id, ())), query.id)
            )
    return found


def passages_of(dataset: RetrievalDataset) -> list[Found]:
    """The set's passages, as a search gives them."""
    return [Found(p.id, p.full_text) for p in dataset.passages if p.full_text.strip()]


def distinct_positives(wanted: Sequence[Wanted]) -> list[Found]:
    """All positives of all queries: what negatives are mined among where there is no other set."""
    texts = dict.fromkeys(text for one in wanted for text in one.positives)
    return [Found(content_id(text), text) for text in texts]


def read_answers(path: Path) -> dict[str, list[str]]:
    """Answers by query id: ``{"id": ..., "answers": [...]}`` a line.

    Raises:
        DataError: a line is not of this form.
    """
    found: dict[str, list[str]] = {}
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                found[str(row["id"])] = [str(answer) for answer in row["answers"]]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise DataError(f'{path}, line {number}: is not {{"id": ..., "answers": [...]}} ({error})') from error
    return found
