"""The text and the JSON form of a filter. Called through ``lunheng.indexes.filters``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from lunheng.errors import FilterError
from lunheng.indexes.filter_tree import OPERATORS, And, Comparison, Filter, Not, Operator, Or, Scalar

_MAX_NODES = 200
"""Conditions of one filter; SQLite's limit on the depth of an expression is 1,000."""

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


def _nodes(filter: Filter) -> int:
    match filter:
        case And(parts) | Or(parts):
            return 1 + sum(_nodes(part) for part in parts)
        case Not(part):
            return 1 + _nodes(part)
    return 1


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
        return Comparison(given["field"], given["op"], given["value"])
    raise FilterError(
        f'filter: {dict(given)!r} is none of {{"field", "op", "value"}}, {{"and": []}}, {{"or": []}}, {{"not": {{}}}}'
    )


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
        if operator not in (("in", "contains") if negated else OPERATORS) or kind not in ("operator", "name"):
            raise self._error(
                at, f"expected one of {' '.join(OPERATORS)} after {field!r}, found {operator or 'the end'!r}"
            )
        self._next += 1
        compared = Comparison(field, cast(Operator, operator), self._value())
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
