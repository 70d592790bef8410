"""Reads the files that tasks are given: jsonl, json, csv or tsv, or a folder of them; and the usual names of columns.

Called by the tasks. A line that is not of the task's form is an error that names it: half a set measured as a whole
would be a wrong number.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.errors import DataError
from lunheng.types import Message

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv")
_QUESTIONS = ("prompt", "question", "query", "instruction", "input")
_ANSWERS = ("references", "answers", "reference", "answer", "output", "target", "response", "completion")


@dataclass(frozen=True, slots=True)
class Row:
    """One item of a set."""

    where: str
    """The file and the line, for errors."""
    group: str
    """The file's name without its ending: a folder has one file a subject."""
    values: Mapping[str, Any]
    """Keys in small letters."""

    def text(self, *names: str) -> str:
        """The first of the columns ``names`` that holds text.

        Raises:
            DataError: none does.
        """
        for name in names:
            value = self.values.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                value = str(value)
            if isinstance(value, str) and value.strip():
                return value
        raise DataError(f"{self.where}: needs {' or '.join(names)}; it has {', '.join(self.values) or 'nothing'}")

    def conversation(self) -> tuple[Message, ...]:
        """What the model is asked: ``messages`` up to the last answer, or ``prompt``, ``question``, ``instruction``.

        Raises:
            DataError: there is nothing to ask.
        """
        messages = self.values.get("messages")
        if isinstance(messages, list):
            try:
                turns = [Message(m["role"], str(m["content"])) for m in messages]
            except (KeyError, TypeError) as error:
                raise DataError(f"{self.where}: each of messages needs role and content") from error
            while turns and turns[-1].role == "assistant":
                turns.pop()
            if turns:
                return tuple(turns)
        question = self.text(*_QUESTIONS)
        more = self.values.get("input")
        if "instruction" in self.values and isinstance(more, str) and more.strip() and more != question:
            question = f"{question}\n{more}"
        return (Message("user", question),)

    def references(self) -> tuple[str, ...]:
        """What a good answer says: one or several texts.

        Raises:
            DataError: there is none.
        """
        messages = self.values.get("messages")
        if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
            last = messages[-1]
            if last.get("role") == "assistant" and str(last.get("content") or "").strip():
                return (str(last["content"]),)
        for name in _ANSWERS:
            value = self.values.get(name)
            if isinstance(value, list) and value:
                return tuple(str(v) for v in value)
            if isinstance(value, (str, int, float)) and str(value).strip():
                return (str(value),)
        raise DataError(f"{self.where}: needs {' or '.join(_ANSWERS)}; it has {', '.join(self.values) or 'nothing'}")


def read_rows(path: Path, columns: Sequence[str] = ()) -> list[Row]:
    """Every row of ``path``.

    Args:
        columns: what a csv's columns are where its first line does not name them.

    Raises:
        DataError: the file is missing, empty, of another form, or holds a line that is no row.
    """
    if path.is_dir():
        files = sorted(f for f in path.rglob("*") if f.suffix in SUFFIXES and f.is_file())
        if not files:
            raise DataError(f"{path}: holds no {', '.join(SUFFIXES)} file")
        return [row for file in files for row in read_rows(file, columns)]
    text = read_text(path)
    match path.suffix:
        case ".jsonl":
            rows = _jsonl(path, text)
        case ".json":
            rows = _json(path, text)
        case ".csv" | ".tsv":
            rows = _csv(path, text, columns)
        case other:
            raise DataError(f"{path}: {other or 'a file without an ending'} is not one of {', '.join(SUFFIXES)}")
    if not rows:
        raise DataError(f"{path}: is empty; there is nothing to measure")
    return rows


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        DataError: it is missing or not UTF-8.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason}); save the file as UTF-8") from error


def digest(path: Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a file, or of all files of a folder."""
    made = hashlib.sha256()
    for file in sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else [path]:
        made.update(hashlib.sha256(file.read_bytes()).digest())
    return made.hexdigest()[:16]


def _row(path: Path, where: str, value: Any) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"{where}: a JSON object is needed, this is a {type(value).__name__}")
    return Row(where, path.stem, {str(key).strip().lower(): v for key, v in value.items()})


def _jsonl(path: Path, text: str) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            rows.append(_row(path, where, json.loads(line)))
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: not JSON ({error.msg} at column {error.colno})") from error
    return rows


def _json(path: Path, text: str) -> list[Row]:
    try:
        plain = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from error
    if isinstance(plain, dict):
        plain = next(
            (plain[key] for key in ("examples", "data", "questions") if isinstance(plain.get(key), list)), None
        )
    if not isinstance(plain, list):
        raise DataError(f'{path}: a list is needed, or an object with the list "examples" or "data"')
    return [_row(path, f"{path}, item {number}", value) for number, value in enumerate(plain, 1)]


def _csv(path: Path, text: str, columns: Sequence[str]) -> list[Row]:
    lines = list(csv.reader(io.StringIO(text), delimiter="\t" if path.suffix == ".tsv" else ","))
    lines = [line for line in lines if any(cell.strip() for cell in line)]
    if not lines:
        return []
    names = [cell.strip().lower() for cell in lines[0]]
    named = not columns or set(columns) <= set(names)
    rows: list[Row] = []
    for number, line in enumerate(lines[1:] if named else lines, 2 if named else 1):
        heads = names if named else list(columns)
        if len(line) != len(heads):
            raise DataError(f"{path}, row {number}: {len(line)} columns instead of {len(heads)} ({', '.join(heads)})")
        rows.append(_row(path, f"{path}, row {number}", dict(zip(heads, line, strict=True))))
    return rows
