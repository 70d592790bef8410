"""Whether a model that is asked for JSON gives JSON, and JSON that fits a schema.

Called by ``tasks``. The model is asked freely: held to a grammar, every model would pass.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from lunheng.errors import DataError, MissingExtraError
from lunheng.evaluation.model.asking import Progress, answers, silent
from lunheng.evaluation.model.rows import Row
from lunheng.evaluation.model.scores import Metric, given, mean
from lunheng.protocols import LLM

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL | re.IGNORECASE)


def parse_json(text: str, *, fenced: bool = False) -> tuple[bool, Any]:
    """Whether ``text`` is JSON by RFC 8259 (no NaN), and its value; with ``fenced``, or the first code block in it is."""
    candidates = [text.strip()]
    if fenced and (block := _FENCED.search(text)):
        candidates.append(block.group(1).strip())
    for candidate in candidates:
        try:
            return True, json.loads(candidate, parse_constant=_refuse)
        except (ValueError, RecursionError):
            continue
    return False, None


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether ``value`` is valid under a JSON Schema.

    Raises:
        MissingExtraError: the extra ``eval`` is not installed.
        DataError: the schema itself is not valid.
    """
    try:
        from jsonschema import SchemaError, validators
    except ImportError as error:
        raise MissingExtraError("jsonschema", "eval") from error
    validator = validators.validator_for(schema)
    try:
        validator.check_schema(schema)
    except SchemaError as error:
        raise DataError(f"the JSON schema is not valid: {error.message}") from error
    return bool(validator(schema).is_valid(value))


def measure_json(
    model: LLM,
    rows: Sequence[Row],
    max_tokens: int,
    schema: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> tuple[tuple[Metric, ...], list[dict[str, Any]]]:
    """``valid``: the whole answer is JSON; ``valid_in_block``: or a code block in it; ``fits_schema``: and it fits.

    Args:
        schema: for rows that bring none of their own in ``schema``.

    Raises:
        DataError: a row has no question, or its schema is no object.
        ModelError: the model cannot be asked.
    """
    asked = [row.conversation() for row in rows]
    schemas = [_schema(row, schema) for row in rows]
    texts = answers(model, asked, max_tokens, progress)
    strict = [parse_json(text)[0] for text in texts]
    loose = [parse_json(text, fenced=True) for text in texts]
    fitting = [
        None if wanted is None else valid and fits(value, wanted)
        for (valid, value), wanted in zip(loose, schemas, strict=True)
    ]
    records = [
        {"question": asked[n][-1].content, "answer": texts[n], "valid": strict[n], "fits_schema": fitting[n]}
        for n in range(len(rows))
    ]
    metrics = given(
        mean("valid", strict), mean("valid_in_block", [valid for valid, _ in loose]), mean("fits_schema", fitting)
    )
    return metrics, records


def _schema(row: Row, other: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    own = row.values.get("schema", other)
    if isinstance(own, str):
        own = parse_json(own)[1]
    if own is not None and not isinstance(own, Mapping):
        raise DataError(f"{row.where}: schema must be a JSON object")
    return own


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
