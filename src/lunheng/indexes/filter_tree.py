"""The filter's syntax tree, its checked construction, and its meaning in Python.

Called by the other filter files; users of filters import from ``lunheng.indexes.filters``, where the
truth table stands.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from lunheng.errors import FilterError
from lunheng.types import Metadata, to_jsonable

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "contains"]
Scalar = str | int | float | bool | None

FIELDS = frozenset(f.name for f in dataclasses.fields(Metadata)) - {"extra"}
TIME_FIELDS = frozenset({"created_at", "last_modified"})
OPERATORS = get_args(Operator)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field operator value``, checked and brought to one form when it is made.

    ``field`` becomes a Metadata field or ``extra.NAME``; a list becomes a tuple; a time becomes ISO text
    in UTC.

    Raises:
        FilterError: for an unknown operator, or a value that the field or the operator cannot take.
    """

    field: str
    operator: Operator
    value: Any
    named_own: bool = dataclasses.field(init=False, compare=False, repr=False)
    """Whether the field was given as ``extra.NAME``: then it is no misspelt field."""

    def __post_init__(self) -> None:
        name = _field(self.field)
        object.__setattr__(self, "named_own", name == self.field and name not in FIELDS)
        object.__setattr__(self, "field", name)
        object.__setattr__(self, "value", _operand(name, self.operator, self.value))


@dataclass(frozen=True, slots=True)
class And:
    """True where every part is; true without parts."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True where any part is; false without parts."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Filter


Filter = Comparison | And | Or | Not


def matches(filter: Filter, metadata: Metadata) -> bool:
    """Tell whether ``metadata`` satisfies ``filter``, by the truth table above."""
    match filter:
        case And(parts):
            return all(matches(part, metadata) for part in parts)
        case Or(parts):
            return any(matches(part, metadata) for part in parts)
        case Not(part):
            return not matches(part, metadata)
        case Comparison(field, operator, _):
            stored = _stored(field, metadata)
            if field in TIME_FIELDS and isinstance(stored, str):
                stored = microseconds(stored, field)
            return _compare(stored, operator, comparable(filter))


def _field(name: Any) -> str:
    if not isinstance(name, str) or not name or name in ("extra", "extra."):
        raise FilterError(f"{name!r} names no field; the fields are {', '.join(sorted(FIELDS))}, or extra.NAME")
    return name if name in FIELDS or name.startswith("extra.") else f"extra.{name}"


def _operand(field: str, operator: str, value: Any) -> Any:
    if operator not in OPERATORS:
        raise FilterError(f"{operator!r} is no filter operator; there are {', '.join(OPERATORS)}, and, or, not")
    if operator == "in":
        if isinstance(value, str) or not isinstance(value, (Sequence, set, frozenset)):
            raise FilterError(f"{field} in: the right side must be a list, as in {field} in [1, 2]")
        return tuple(_value(field, item) for item in value)
    if operator == "contains":
        if field in TIME_FIELDS:
            raise FilterError(f"{field} is a time: compare it with == != < <= > >=, not contains")
        if isinstance(value, (list, tuple)):
            raise FilterError(f"{field} contains: the right side must be one value; join several with and, or")
    return _value(field, value)


def _value(field: str, value: Any) -> Any:
    if field in TIME_FIELDS and value is not None:
        return (_EPOCH + microseconds(value, field) * _MICROSECOND).isoformat()
    if isinstance(value, (list, tuple)):
        return tuple(_scalar(field, item) for item in value)
    return _scalar(field, value)


def _scalar(field: str, value: Any) -> Scalar:
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, (bool, str)):
        if isinstance(value, str) and "\0" in value:
            raise FilterError(f"{field}: a filter value cannot hold the character NUL")
        return value
    if isinstance(value, (int, float)):
        if not math.isfinite(value) or (isinstance(value, int) and abs(value) >= 2**63):
            raise FilterError(f"{field}: {value} is no number that can be stored; give a finite one of 64 bits")
        return value
    raise FilterError(f"{field}: a filter value is text, a number, true, false, null or a time, not {value!r}")


def microseconds(value: Any, field: str) -> int:
    """Microseconds since 1970 in UTC."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return int((moment - _EPOCH) // _MICROSECOND)
    except (ValueError, AttributeError, TypeError) as error:
        raise FilterError(f"{field}: {value!r} is no time; write 2024-05-01 or 2024-05-01T08:00:00+08:00") from error


def comparable(comparison: Comparison) -> Any:
    """The value as it is compared: a time as microseconds since 1970."""
    field, value = comparison.field, comparison.value
    if field not in TIME_FIELDS:
        return value
    if isinstance(value, tuple):
        return tuple(None if item is None else microseconds(item, field) for item in value)
    return None if value is None else microseconds(value, field)


def _stored(field: str, metadata: Metadata) -> Any:
    if field in FIELDS:
        return to_jsonable(getattr(metadata, field))
    return to_jsonable(metadata.extra).get(field.removeprefix("extra."))


def kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return type(value).__name__


def _equal(stored: Any, value: Any) -> bool:
    if isinstance(value, tuple):
        return (
            isinstance(stored, list)
            and len(stored) == len(value)
            and all(_equal(a, b) for a, b in zip(stored, value, strict=True))
        )
    return kind_of(stored) == kind_of(value) and bool(stored == value)


def _compare(stored: Any, operator: Operator, value: Any) -> bool:
    match operator:
        case "==":
            return _equal(stored, value)
        case "!=":
            return not _equal(stored, value)
        case "in":
            return any(_equal(stored, item) for item in value)
        case "contains":
            if isinstance(stored, list):
                return any(_equal(item, value) for item in stored)
            return isinstance(stored, str) and isinstance(value, str) and value in stored
    if kind_of(stored) != kind_of(value) or kind_of(stored) not in ("number", "str"):
        return False
    return bool({"<": stored < value, "<=": stored <= value, ">": stored > value, ">=": stored >= value}[operator])
