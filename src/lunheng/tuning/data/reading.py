"""Files to records: JSON, JSONL, CSV, TSV, Parquet, plain text, and folders of them, one record at a time.

Called by ``loading``. A record is what the file holds at one place, with that place; what it means is for ``formats``.
A line that does not parse is a problem of that line, not of the file.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lunheng.errors import DataError, MissingExtraError
from lunheng.tuning.data.examples import Origin, Problem

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".txt", ".md")
Record = tuple[Origin, dict[str, Any]]


def files_of(path: Path) -> list[Path]:
    """The data files that ``path`` names: itself, or those in the folder, sorted.

    Raises:
        DataError: there is none.
    """
    if path.is_file():
        return [path]
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; check the data path of the recipe")
    found = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES and p.name[0] != ".")
    if not found:
        raise DataError(f"{path}: holds no data file; the endings known are {' '.join(SUFFIXES)}")
    return found


def read_records(path: Path) -> Iterator[Record | Problem]:
    """The records of one file, and a problem for each line that is none.

    Raises:
        DataError: the file as a whole is of no form that is known.
        MissingExtraError: Parquet is read by pyarrow.
    """
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        yield from _json_lines(path)
    elif suffix == ".json":
        yield from _json_array(path)
    elif suffix in (".csv", ".tsv"):
        yield from _delimited(path, "\t" if suffix == ".tsv" else ",")
    elif suffix == ".parquet":
        yield from _parquet(path)
    elif suffix in (".txt", ".md"):
        yield from _paragraphs(path)
    else:
        raise DataError(
            f"{path}: {suffix or 'no ending'} is no data format; the endings known are {' '.join(SUFFIXES)}"
        )


def _text(path: Path) -> io.TextIOWrapper:
    return path.open(encoding="utf-8-sig", errors="strict", newline="")


def _json_lines(path: Path) -> Iterator[Record | Problem]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            origin = Origin(str(path), number)
            try:
                value = json.loads(raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
            except (ValueError, RecursionError) as error:
                yield Problem(origin, "unreadable", f"not JSON in UTF-8 ({error})")
                continue
            yield _record(origin, value)


def _json_array(path: Path) -> Iterator[Record | Problem]:
    try:
        with _text(path) as file:
            values = json.load(file)
    except (ValueError, RecursionError) as error:
        hint = "; if each line is an object of its own, call it .jsonl" if "Extra data" in str(error) else ""
        raise DataError(f"{path}: not JSON ({error}){hint}") from error
    if isinstance(values, dict):  # {"data": [...]}: the one list in it
        lists = [v for v in values.values() if isinstance(v, list)]
        values = lists[0] if len(lists) == 1 else [values]
    if not isinstance(values, list):
        raise DataError(f"{path}: holds {type(values).__name__}, where a list of objects is expected")
    for number, value in enumerate(values, start=1):
        yield _record(Origin(str(path), number), value)


def _record(origin: Origin, value: Any) -> Record | Problem:
    if isinstance(value, dict):
        return origin, value
    if isinstance(value, str):
        return origin, {"text": value}
    return Problem(origin, "unreadable", f"holds {type(value).__name__}, where an object is expected")


def _delimited(path: Path, delimiter: str) -> Iterator[Record | Problem]:
    with _text(path) as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(rows, None)
            if not header:
                raise DataError(f"{path}: is empty; its first line must name the columns")
            names = [name.strip() for name in header]
            for row in rows:
                origin = Origin(str(path), rows.line_num)
                if len(row) != len(names):
                    yield Problem(origin, "unreadable", f"has {len(row)} cells, where the header has {len(names)}")
                else:
                    yield origin, dict(zip(names, row, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path}:{rows.line_num + 1}: {error}; save it as CSV in UTF-8") from error


def _parquet(path: Path) -> Iterator[Record | Problem]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow, which reads Parquet,", "tune") from error
    number = 0
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1_000):
            for row in batch.to_pylist():
                number += 1
                yield Origin(str(path), number), {k: v for k, v in row.items() if v is not None}


def _paragraphs(path: Path) -> Iterator[Record | Problem]:
    """Plain text by paragraphs, which keeps the order: packing puts them together again."""
    paragraph: list[str] = []
    first = 1
    try:
        with _text(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    first = first if paragraph else number
                    paragraph.append(line.rstrip("\r\n"))
                elif paragraph:
                    yield Origin(str(path), first), {"text": "\n".join(paragraph)}
                    paragraph = []
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    if paragraph:
        yield Origin(str(path), first), {"text": "\n".join(paragraph)}
