"""One filter language over chunk metadata: text or JSON form, evaluated in Python or in SQL alike.

Called by the knowledge base and retrieval: ``parse_filter`` turns what the user wrote into the frozen
syntax tree below; ``to_sql`` compiles it to a condition on the catalog's chunks; ``matches`` is the
reference that a property test holds ``to_sql`` to.

Text form: ``author == "王芳" and page_number > 3 and not tags contains "draft"``; ``in`` takes a list:
``language in ["zh", "en"]``. JSON form: ``{"field": "page_number", "op": ">", "value": 3}``,
``{"and": [...]}``, ``{"or": [...]}``, ``{"not": {...}}``.

Fields are those of ``lunheng.types.Metadata``; any other name, or ``extra.NAME``, is the user's own key.

The truth table. Every comparison is true or false, never unknown, so ``not`` always flips:

=====================  ============================================================================
field missing or null  ``== null`` true, ``!= null`` false; ``==`` else false, ``!=`` else true;
                       ``< <= > >= in contains`` false (``in`` a list that has null: true)
types differ           number against text, boolean against number ...: not equal (``!=`` true),
                       ``< <= > >= contains`` false. 1 and 1.0 are equal; true and 1 are not
text                   compared by code point, case and width as they stand; ``contains``: substring
list fields            (tags, heading_path, acl, bbox, lists in extra) ``contains x``: an element
                       equals x. ``==`` and ``!=`` compare the whole list with a list, elements in
                       order. ``< <= > >=`` false; ``in`` compares the whole list with each entry
time fields            (created_at, last_modified) compared as instants; a time without a zone is UTC,
                       a date alone its first moment. ``contains``, or a value that is no time: FilterError
objects in extra       equal nothing; not null
=====================  ============================================================================
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import JSON, ColumnElement, and_, case, cast, column, false, func, literal, not_, or_, select, true
from sqlalchemy import Integer as SqlInteger

from lunheng.errors import FilterError
from lunheng.types import Metadata, to_jsonable

Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "contains"]
Scalar = str | int | float | bool | None
Value = Scalar | tuple[Scalar, ...]

FIELDS = frozenset(f.name for f in dataclasses.fields(Metadata)) - {"extra"}
TIME_FIELDS = frozenset({"created_at", "last_modified"})
_OPERATORS = get_args(Operator)
_MAX_NODES = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field operator value``. ``field`` is a Metadata field or ``extra.NAME``; build with ``compare``."""

    field: str
    operator: Operator
    value: Value | tuple[Value, ...]


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


def compare(field: str, operator: str, value: Any) -> Comparison:
    """Make a checked ``Comparison``.

    Raises:
        FilterError: for an unknown operator, or a value that the field or the operator cannot take.
    """
    if operator not in _OPERATORS:
        raise FilterError(f"{operator!r} is no filter operator; there are {', '.join(_OPERATORS)}, and, or, not")
    name = _field(field)
    if operator == "in":
        if isinstance(value, str) or not isinstance(value, (Sequence, set, frozenset)):
            raise FilterError(f"{field} in: the right side must be a list, as in {field} in [1, 2]")
        return Comparison(name, "in", tuple(_value(name, item) for item in value))
    if operator == "contains":
        if name in TIME_FIELDS:
            raise FilterError(f"{field} is a time: compare it with == != < <= > >=, not contains")
        if isinstance(value, (list, tuple)):
            raise FilterError(f"{field} contains: the right side must be one value; join several with and, or")
    return Comparison(name, operator, _value(name, value))  # type: ignore[arg-type]


def parse_filter(given: str | Mapping[str, Any] | Filter | None) -> Filter | None:
    """Turn the text form, the JSON form or a ready tree into a tree; an empty one into None: everything.

    Raises:
        FilterError: names the place in the text, or the part of the JSON, that does not parse.
    """
    if isinstance(given, str):
        given = given.strip()
    if given is None or given == "" or given == {}:
        return None
    if isinstance(given, (Comparison, And, Or, Not)):
        parsed: Filter = given
    elif isinstance(given, str):
        parsed = _TextParser(given).parse()
    elif isinstance(given, Mapping):
        parsed = _from_json(given, 0)
    else:
        raise FilterError(f"a filter is text or a JSON object, not {type(given).__name__}")
    if _nodes(parsed) > _MAX_NODES:
        raise FilterError(f"the filter has over {_MAX_NODES} conditions; use `in` with a list instead of many `or`")
    return parsed


def matches(filter: Filter, metadata: Metadata) -> bool:
    """Tell whether ``metadata`` satisfies ``filter``, by the truth table above."""
    match filter:
        case And(parts):
            return all(matches(part, metadata) for part in parts)
        case Or(parts):
            return any(matches(part, metadata) for part in parts)
        case Not(part):
            return not matches(part, metadata)
        case Comparison(field, operator, value):
            stored = _stored(field, metadata)
            if field in TIME_FIELDS and isinstance(stored, str):
                stored = _microseconds(stored, field)
            return _compare(stored, operator, value)


def to_sql(filter: Filter, metadata: ColumnElement[Any] | None = None) -> ColumnElement[bool]:
    """Compile ``filter`` to a condition on a JSON column of ``to_jsonable(Metadata)``; SQLite.

    ``metadata`` is by default the column of that name. The condition is never null, and every value
    is bound.
    """
    document = column("metadata", JSON) if metadata is None else metadata
    match filter:
        case And(parts):
            return and_(true(), *(to_sql(part, document) for part in parts))
        case Or(parts):
            return or_(false(), *(to_sql(part, document) for part in parts))
        case Not(part):
            return not_(to_sql(part, document))
        case Comparison(field, operator, value):
            condition = _compare_sql(*_located(field, document), operator, value)
            return func.coalesce(condition, literal(0)) == 1


# -- fields and values ---------------------------------------------------------------------------------


def _field(name: Any) -> str:
    if not isinstance(name, str) or not name or name in ("extra", "extra."):
        raise FilterError(f"{name!r} names no field; the fields are {', '.join(sorted(FIELDS))}, or extra.NAME")
    return name if name in FIELDS or name.startswith("extra.") else f"extra.{name}"


def _value(field: str, value: Any) -> Any:
    """Check a value and bring it to the form that is compared: times as microseconds, tuples for lists."""
    if field in TIME_FIELDS and value is not None:
        return _microseconds(value, field)
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


def _microseconds(value: Any, field: str) -> int:
    """Microseconds since 1970 in UTC."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return int((moment - _EPOCH) // _MICROSECOND)
    except (ValueError, AttributeError, TypeError) as error:
        raise FilterError(f"{field}: {value!r} is no time; write 2024-05-01 or 2024-05-01T08:00:00+08:00") from error


def _nodes(filter: Filter) -> int:
    match filter:
        case And(parts) | Or(parts):
            return 1 + sum(_nodes(part) for part in parts)
        case Not(part):
            return 1 + _nodes(part)
    return 1


# -- the reference -------------------------------------------------------------------------------------


def _stored(field: str, metadata: Metadata) -> Any:
    if field in FIELDS:
        return to_jsonable(getattr(metadata, field))
    return to_jsonable(metadata.extra).get(field.removeprefix("extra."))


def _kind(value: Any) -> str:
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
    return _kind(stored) == _kind(value) and bool(stored == value)


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
    if _kind(stored) != _kind(value) or _kind(stored) not in ("number", "str"):
        return False
    return bool({"<": stored < value, "<=": stored <= value, ">": stored > value, ">=": stored >= value}[operator])


# -- SQL -----------------------------------------------------------------------------------------------

Located = tuple[ColumnElement[Any], ColumnElement[Any]]
"""The json_type (null where missing) and the value of something stored."""


def _located(field: str, document: ColumnElement[Any]) -> Located:
    if field in TIME_FIELDS:
        kind = func.json_type(document, f"$.{field}")
        return case((kind == "text", "integer"), else_=kind), _microseconds_sql(
            func.json_extract(document, f"$.{field}")
        )
    if field in FIELDS:
        return func.json_type(document, f"$.{field}"), func.json_extract(document, f"$.{field}")
    # By json_each and not by a path: keys may hold quotes, and JSON may hold them escaped.
    each = func.json_each(document, "$.extra").table_valued("key", "value", "type", name="own")
    own = each.c.key == field.removeprefix("extra.")
    return select(each.c.type).where(own).scalar_subquery(), select(each.c.value).where(own).scalar_subquery()


def _microseconds_sql(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Of ISO text as ``datetime.isoformat`` writes it. The fraction is cut off first: strftime would round it."""
    has_fraction = func.substr(text, 20, 1) == "."
    whole = case((has_fraction, func.substr(text, 1, 19).concat(func.substr(text, 27))), else_=text)
    fraction = case((has_fraction, cast(func.substr(text, 21, 6), SqlInteger)), else_=0)
    return cast(func.strftime("%s", whole), SqlInteger) * 1_000_000 + fraction


def _bound(value: Scalar) -> ColumnElement[Any]:
    """Numbers go through SQLite's JSON reader like the stored ones, so that equal digits are equal values."""
    return func.json_extract(json.dumps([value]), "$[0]") if isinstance(value, float) else literal(value)


def _numeric(kind: ColumnElement[Any]) -> ColumnElement[bool]:
    return kind.in_(("integer", "real"))


def _equal_sql(kind: ColumnElement[Any], stored: ColumnElement[Any], value: Any) -> ColumnElement[bool]:
    match value:
        case None:
            return func.coalesce(kind, "null") == "null"
        case bool():
            return kind == ("true" if value else "false")
        case str():
            return and_(kind == "text", stored == literal(value))
        case tuple():
            # Only an array may reach the JSON functions: text such as "[" would be an error.
            array = case((kind == "array", stored), else_="[]")
            return and_(
                kind == "array",
                func.json_array_length(array) == len(value),
                *(
                    _equal_sql(func.json_type(array, f"$[{n}]"), func.json_extract(array, f"$[{n}]"), item)
                    for n, item in enumerate(value)
                ),
            )
    return and_(_numeric(kind), stored == _bound(value))


def _in_sql(kind: ColumnElement[Any], stored: ColumnElement[Any], values: tuple[Any, ...]) -> ColumnElement[bool]:
    """Texts and numbers as one bound JSON list each, so that the list may be as long as it likes."""
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if _kind(value) == "number"]
    others = {value for value in values if _kind(value) not in ("number", "str")}

    def listed(items: list[Any]) -> ColumnElement[bool]:
        each = func.json_each(json.dumps(items)).table_valued("value", name="listed")
        return stored.in_(select(each.c.value))

    return or_(
        false(),
        and_(kind == "text", listed(texts)),
        and_(_numeric(kind), listed(numbers)),
        *(_equal_sql(kind, stored, value) for value in others),
    )


def _compare_sql(
    kind: ColumnElement[Any], stored: ColumnElement[Any], operator: Operator, value: Any
) -> ColumnElement[bool]:
    match operator:
        case "==":
            return _equal_sql(kind, stored, value)
        case "!=":
            return not_(func.coalesce(_equal_sql(kind, stored, value), literal(0)) == 1)
        case "in":
            return _in_sql(kind, stored, value)
        case "contains":
            array = case((kind == "array", stored), else_="[]")
            each = func.json_each(array).table_valued("value", "type", name="element")
            held = select(literal(1)).select_from(each).where(_equal_sql(each.c.type, each.c.value, value)).exists()
            within = and_(kind == "text", func.instr(stored, value) > 0) if isinstance(value, str) else false()
            return or_(within, and_(kind == "array", held))
    if _kind(value) not in ("number", "str"):
        return false()
    right_kind = _numeric(kind) if _kind(value) == "number" else kind == "text"
    right = _bound(value)
    ordered = {"<": stored < right, "<=": stored <= right, ">": stored > right, ">=": stored >= right}[operator]
    return and_(right_kind, ordered)


# -- the JSON form -------------------------------------------------------------------------------------


def _from_json(given: Any, depth: int) -> Filter:
    if not isinstance(given, Mapping):
        raise FilterError(f"filter: expected an object, found {given!r}")
    if depth > _MAX_NODES:
        raise FilterError("the filter is nested too deeply")
    keys = set(given)
    if keys in ({"and"}, {"or"}):
        (name, parts), *_ = given.items()
        if not isinstance(parts, (list, tuple)):
            raise FilterError(f"filter: {name} takes a list of filters, not {parts!r}")
        made = tuple(_from_json(part, depth + 1) for part in parts)
        return And(made) if name == "and" else Or(made)
    if keys == {"not"}:
        return Not(_from_json(given["not"], depth + 1))
    if keys == {"field", "op", "value"}:
        return compare(given["field"], given["op"], given["value"])
    raise FilterError(
        f'filter: {dict(given)!r} is none of {{"field", "op", "value"}}, {{"and": []}}, {{"or": []}}, {{"not": {{}}}}'
    )


# -- the text form -------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|“[^”]*”)
    |(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<name>[^\W\d][\w.-]*)
    |(?P<operator>==|!=|<=|>=|<|>)
    |(?P<mark>[()\[\],])
    )""",
    re.VERBOSE | re.DOTALL,
)
_CONSTANTS: Mapping[str, Scalar] = {"true": True, "false": False, "null": None}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class _TextParser:
    """Recursive descent: ``or`` binds loosest, then ``and``, then ``not``."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens: list[tuple[str, str, int]] = []
        at, end = 0, len(source.rstrip())
        while at < end:
            found = _TOKEN.match(source, at)
            if not found:
                rest = source[at:end].lstrip()
                raise self._error(end - len(rest), f"cannot read {rest[:20]!r}")
            kind = found.lastgroup or ""
            self._tokens.append((kind, found.group(kind), found.start(kind)))
            at = found.end()
        self._tokens.append(("end", "", end))
        self._next = 0
        self._depth = 0

    def parse(self) -> Filter:
        parsed = self._either()
        kind, token, at = self._tokens[self._next]
        if kind != "end":
            raise self._error(at, f"expected and, or, or the end, found {token!r}")
        return parsed

    def _error(self, at: int, why: str) -> FilterError:
        return FilterError(
            f'filter: {why} at character {at + 1} of {self._source!r}; write like author == "王芳" and page_number > 3'
        )

    def _take(self, *wanted: str) -> bool:
        """Step over the next token if it is one of ``wanted`` (a word or a mark, not a quoted text)."""
        kind, token, _ = self._tokens[self._next]
        if kind in ("name", "mark") and token.lower() in wanted:
            self._next += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            _, token, at = self._tokens[self._next]
            raise self._error(at, f"expected {mark!r}, found {token or 'the end'!r}")

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self) -> Filter:
        parts = [self._single()]
        while self._take("and"):
            parts.append(self._single())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _single(self) -> Filter:
        self._depth += 1
        if self._depth > _MAX_NODES:
            raise FilterError("the filter is nested too deeply")
        try:
            if self._take("not"):
                return Not(self._single())
            if self._take("("):
                inner = self._either()
                self._expect(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Filter:
        kind, field, at = self._tokens[self._next]
        if kind != "name":
            raise self._error(at, f"expected a field, found {field or 'the end'!r}")
        self._next += 1
        negated = self._take("not")
        kind, operator, at = self._tokens[self._next]
        operator = operator.lower()
        if operator not in (("in", "contains") if negated else _OPERATORS) or kind not in ("operator", "name"):
            raise self._error(
                at, f"expected one of {' '.join(_OPERATORS)} after {field!r}, found {operator or 'the end'!r}"
            )
        self._next += 1
        compared = compare(field, operator, self._value())
        return Not(compared) if negated else compared

    def _value(self) -> Any:
        if not self._take("["):
            return self._scalar()
        items: list[Any] = []
        while not self._take("]"):
            if items:
                self._expect(",")
            items.append(self._value())
        return items

    def _scalar(self) -> Scalar:
        kind, token, at = self._tokens[self._next]
        self._next += 1
        if kind == "text":
            return token[1:-1] if token[0] == "“" else _ESCAPE.sub(r"\1", token[1:-1])
        if kind == "number":
            return int(token) if re.fullmatch(r"-?\d+", token) else float(token)
        if kind == "name" and token.lower() in _CONSTANTS:
            return _CONSTANTS[token.lower()]
        raise self._error(
            at, f"expected a quoted text, a number, true, false, null or a list, found {token or 'the end'!r}"
        )
