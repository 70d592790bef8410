"""Retrieval data sets on disk: passages, questions, and which passages answer which question.

Called by ``lunheng eval retrieval`` and the benchmarks. The form is BEIR's (Thakur et al. 2021), in
plain files: ``corpus.jsonl`` {"id", "title", "text"}, ``queries.jsonl`` {"id", "text"} and
``qrels.tsv`` with query id, passage id and grade between tabs (a header line is allowed).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lunheng.errors import DataError

CORPUS, QUERIES, QRELS = "corpus.jsonl", "queries.jsonl", "qrels.tsv"


@dataclass(frozen=True, slots=True)
class Passage:
    """One text that can be found."""

    id: str
    title: str
    text: str

    @property
    def full_text(self) -> str:
        """Title and text: what is embedded and indexed."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True, slots=True)
class Query:
    """One question."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class RetrievalDataset:
    """A labelled set. ``qrels`` gives, by query id, the grade (> 0 is relevant) of each judged passage."""

    name: str
    passages: tuple[Passage, ...]
    queries: tuple[Query, ...]
    qrels: Mapping[str, Mapping[str, int]]
    digest: str
    """The first 16 hex digits of the SHA-256 over the three files."""

    @property
    def judged(self) -> tuple[Query, ...]:
        """The queries that have a relevant passage; the others have no defined score (as in trec_eval)."""
        return tuple(q for q in self.queries if any(grade > 0 for grade in self.qrels.get(q.id, {}).values()))

    def part(self, first: int, count: int | None) -> RetrievalDataset:
        """The set of ``count`` passages from ``first`` on, with the queries whose relevant passages are all among them."""
        passages = self.passages[first : None if count is None else first + count]
        kept = {p.id for p in passages}
        queries = tuple(q for q in self.judged if {p for p, g in self.qrels[q.id].items() if g > 0} <= kept)
        qrels = {q.id: {p: g for p, g in self.qrels[q.id].items() if p in kept} for q in queries}
        return replace(self, passages=passages, queries=queries, qrels=qrels)


def load_dataset(folder: Path | str, corpus: Path | str | None = None) -> RetrievalDataset:
    """Read the set in ``folder``; with ``corpus``, its questions over the passages of that other folder.

    The passage ids of ``qrels.tsv`` must exist in the corpus in use (cross-lingual pairs have parallel ids).

    Raises:
        DataError: names the file and the line that is not of the form above, or the file that is missing.
    """
    home, other = Path(folder), Path(corpus) if corpus else Path(folder)
    passages = tuple(
        Passage(_string(row, "id", where), str(row.get("title") or ""), _string(row, "text", where, empty=True))
        for where, row in _rows(other / CORPUS)
    )
    queries = tuple(
        Query(_string(row, "id", where), _string(row, "text", where)) for where, row in _rows(home / QUERIES)
    )
    _unique((p.id for p in passages), other / CORPUS)
    _unique((q.id for q in queries), home / QUERIES)
    qrels = _qrels(home / QRELS, {q.id for q in queries}, {p.id for p in passages}, other / CORPUS)
    name = home.resolve().name if other == home else f"{home.resolve().name} over {other.resolve().name}"
    dataset = RetrievalDataset(name, passages, queries, qrels, _digest(other / CORPUS, home / QUERIES, home / QRELS))
    if not dataset.judged:
        raise DataError(f"{home / QRELS}: no query has a relevant passage (grade over 0), so nothing can be measured")
    return dataset


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Give (file and line number, line) for each line that is not blank."""
    if not path.is_file():
        raise DataError(f"{path} is missing; a retrieval set has {CORPUS}, {QUERIES} and {QRELS}")
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            where = f"{path}, line {number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(f"{where}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
            if line.strip():
                yield where, line.rstrip("\r\n")


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    empty = True
    for where, line in _lines(path):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: not JSON ({error.msg} at column {error.colno})") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: a JSON object is needed, this is a {type(row).__name__}")
        empty = False
        yield where, row
    if empty:
        raise DataError(f"{path} is empty")


def _string(row: Mapping[str, Any], key: str, where: str, empty: bool = False) -> str:
    value = row.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not (value or empty):
        raise DataError(f'{where}: "{key}" must be a {"" if empty else "non-empty "}string')
    return value


def _unique(ids: Iterator[str], path: Path) -> None:
    seen: set[str] = set()
    for position, given in enumerate(ids, 1):
        if given in seen:
            raise DataError(f'{path}, row {position}: the id "{given}" occurs twice')
        seen.add(given)


def _qrels(path: Path, queries: set[str], passages: set[str], corpus: Path) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for number, (where, line) in enumerate(_lines(path)):
        fields = line.split("\t")
        if len(fields) != 3:
            raise DataError(
                f"{where}: query id, passage id and grade between tabs are needed, found {len(fields)} fields"
            )
        query, passage, grade = (field.strip() for field in fields)
        try:
            value = int(grade)
        except ValueError as error:
            if number == 0:
                continue  # a header
            raise DataError(f'{where}: the grade "{grade}" is not a whole number') from error
        if query not in queries:
            raise DataError(f'{where}: no query has the id "{query}"')
        if passage not in passages:
            raise DataError(f'{where}: no passage of {corpus} has the id "{passage}"')
        qrels.setdefault(query, {})[passage] = value
    return qrels


def _digest(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
