"""A filter as a condition on the catalog's JSON metadata. Called through ``lunheng.indexes.filters``.

SQLite's JSON functions give the type beside the value, and the truth table is about types first.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import JSON, ColumnElement, and_, case, cast, column, false, func, literal, not_, or_, select, true
from sqlalchemy import Integer as SqlInteger

from lunheng.indexes.filter_tree import (
    FIELDS,
    TIME_FIELDS,
    And,
    Comparison,
    Filter,
    Not,
    Operator,
    Or,
    Scalar,
    comparable,
    kind_of,
)

Located = tuple[ColumnElement[Any], ColumnElement[Any]]
"""The json_type (null where missing) and the value of something stored."""


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
        case Comparison(field, operator, _):
            condition = _compare_sql(*_located(field, document), operator, comparable(filter))
            return func.coalesce(condition, literal(0)) == 1


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
    numbers = [value for value in values if kind_of(value) == "number"]
    others = {value for value in values if kind_of(value) not in ("number", "str")}

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
    if kind_of(value) not in ("number", "str"):
        return false()
    right_kind = _numeric(kind) if kind_of(value) == "number" else kind == "text"
    right = _bound(value)
    ordered = {"<": stored < right, "<=": stored <= right, ">": stored > right, ">=": stored >= right}[operator]
    return and_(right_kind, ordered)
