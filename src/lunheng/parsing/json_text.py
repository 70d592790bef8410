"""JSON and JSON lines: each record as readable ``key: value`` lines.

Called by ``dispatch`` for json and jsonl, and by the XML parser for data. A record is one paragraph, so a chunk holds whole records
where they fit; keys are spelled as paths (``owner.name``), which is what people search for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lunheng.errors import LimitError, ParseError
from lunheng.parsing.builder import DocumentBuilder, read_bytes
from lunheng.parsing.encoding import decode
from lunheng.types import Document, Limits


class JsonParser:
    """Reads json: an array gives one paragraph a record, an object one paragraph a top-level key."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        text, _, warnings = decode(data, str(source))
        builder = DocumentBuilder(source, "json", data)
        for warning in warnings:
            builder.warn(warning)
        value = _load(text, str(source))
        builder.title = source.stem
        add_value(builder, value, Budget(source, limits))
        return builder.build()


def add_value(builder: DocumentBuilder, value: Any, budget: Budget) -> None:
    """Add one paragraph for each record of an array, and for each top-level key of an object."""
    if isinstance(value, list):
        for record in value:
            _add_record(builder, record, "", budget)
    elif isinstance(value, dict):
        simple = {k: v for k, v in value.items() if not isinstance(v, (dict, list))}
        _add_record(builder, simple, "", budget)
        for key, inner in value.items():
            if isinstance(inner, list) and any(isinstance(x, dict) for x in inner):
                for record in inner:
                    _add_record(builder, record, key, budget)
            elif isinstance(inner, (dict, list)):
                _add_record(builder, inner, key, budget)
    else:
        builder.add("paragraph", str(value))


class JsonLinesParser:
    """Reads jsonl: one paragraph a line; a line that is not JSON is named in the warnings."""

    def parse(self, source: Path, limits: Limits) -> Document:
        data = read_bytes(source, limits)
        text, _, warnings = decode(data, str(source))
        builder = DocumentBuilder(source, "jsonl", data)
        for warning in warnings:
            builder.warn(warning)
        builder.title = source.stem
        budget = Budget(source, limits)
        bad: list[int] = []
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                _add_record(builder, json.loads(line), "", budget)
            except (ValueError, RecursionError):
                bad.append(number)
                builder.add("paragraph", line)
        if bad:
            shown = ", ".join(map(str, bad[:5]))
            builder.warn(f"{len(bad)} lines are not JSON and were kept as text (line {shown})")
        return builder.build()


class Budget:
    """Counts values against the limit on cells."""

    def __init__(self, source: Path, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._left = limits.max_cells

    def spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise LimitError(
                f"{self._source}: over {self._limits.max_cells:,} values; split the file or raise parsing.max_cells"
            )


def _load(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise LimitError(f"{name}: nested deeper than can be read; flatten it") from error
    except ValueError as error:
        raise ParseError(f"{name}: not valid JSON ({error}); mend it, or name it .txt or .jsonl") from error


def _add_record(builder: DocumentBuilder, record: Any, path: str, budget: Budget) -> None:
    builder.add("paragraph", "\n".join(_lines(record, path, budget)))


def _lines(value: Any, path: str, budget: Budget) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _lines(inner, f"{path}.{key}" if path else str(key), budget)
    elif isinstance(value, list):
        if any(isinstance(x, (dict, list)) for x in value):
            for i, inner in enumerate(value, 1):
                yield from _lines(inner, f"{path}[{i}]", budget)
        elif value:
            budget.spend()
            yield f"{path}: {', '.join(map(_scalar, value))}" if path else ", ".join(map(_scalar, value))
    elif value is not None and value != "":
        budget.spend()
        yield f"{path}: {_scalar(value)}" if path else _scalar(value)


def _scalar(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (bool, float)) else "null" if value is None else str(value)
