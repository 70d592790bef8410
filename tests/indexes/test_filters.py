"""The filter language: its two forms, its truth table, and that SQL and Python agree on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import JSON, Column, Connection, Integer, MetaData, Table, create_engine, insert, select

from lunheng.errors import FilterError
from lunheng.indexes.filters import And, Comparison, Filter, Not, Or, matches, parse_filter, to_sql
from lunheng.types import Metadata, to_jsonable

TABLE = Table("chunks", MetaData(), Column("key", Integer, primary_key=True), Column("metadata", JSON, nullable=False))


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with create_engine("sqlite://").connect() as connection:
        TABLE.create(connection)
        yield connection


def admitted(connection: Connection, filter: Filter, metadata: list[Metadata]) -> list[bool]:
    """What the SQL form says of each."""
    connection.execute(TABLE.delete())
    rows = [{"key": n, "metadata": to_jsonable(m)} for n, m in enumerate(metadata)]
    connection.execute(insert(TABLE), rows)
    found = set(connection.execute(select(TABLE.c.key).where(to_sql(filter, TABLE.c.metadata))).scalars())
    return [n in found for n in range(len(metadata))]


def chunk(**known: Any) -> Metadata:
    return Metadata(**{"source": "手册.pdf", "source_type": "pdf", "document_id": "d", "chunk_index": 0} | known)


TRUTH = [
    # filter, metadata, verdict
    ('author == "王芳" and page_number > 3', chunk(author="王芳", page_number=4), True),
    ('author == "王芳" and page_number > 3', chunk(author="王芳", page_number=3), False),
    ('not tags contains "draft"', chunk(tags=("final",)), True),
    ('not tags contains "draft"', chunk(tags=("draft", "final")), False),
    ('tags contains "dra"', chunk(tags=("draft",)), False),
    ('source contains "手册"', chunk(), True),
    ('source contains ""', chunk(), True),
    ("author == null", chunk(), True),
    ("author != null", chunk(), False),
    ('author != "王芳"', chunk(), True),
    ('author < "王"', chunk(), False),
    ('not author < "王"', chunk(), True),
    ('author in ["王芳", null]', chunk(), True),
    ('author not in ["王芳"]', chunk(author="李伟"), True),
    ('page_number == "4"', chunk(page_number=4), False),
    ('page_number != "4"', chunk(page_number=4), True),
    ('page_number > "3"', chunk(page_number=4), False),
    ("page_number == 4.0", chunk(page_number=4), True),
    ("page_number in [3, 4.0]", chunk(page_number=4), True),
    ("is_ocr == true", chunk(is_ocr=True), True),
    ("is_ocr == 1", chunk(is_ocr=True), False),
    ("is_ocr in [1]", chunk(is_ocr=True), False),
    ("is_ocr in [true]", chunk(is_ocr=True), True),
    ("is_ocr > false", chunk(is_ocr=True), False),
    ('author == "alice"', chunk(author="Alice"), False),
    ('tags == ["a", "b"]', chunk(tags=("a", "b")), True),
    ('tags == ["b", "a"]', chunk(tags=("a", "b")), False),
    ("tags == []", chunk(), True),
    ('tags in [["a"], ["b"]]', chunk(tags=("b",)), True),
    ('tags == "a"', chunk(tags=("a",)), False),
    ('created_at < "2024-05-01"', chunk(created_at=datetime(2024, 4, 30, 23, 59, 59, 999999)), True),
    (
        'created_at == "2024-05-01T00:00:00Z"',
        chunk(created_at=datetime(2024, 5, 1, 8, tzinfo=timezone(timedelta(hours=8)))),
        True,
    ),
    (
        'created_at > "2024-05-01T00:00:00.000001Z"',
        chunk(created_at=datetime(2024, 5, 1, 0, 0, 0, 2, tzinfo=UTC)),
        True,
    ),
    ('created_at in ["2024-05-01"]', chunk(created_at=datetime(2024, 5, 1)), True),
    ("created_at == null", chunk(), True),
    ('created_at < "2024-05-01"', chunk(), False),
    ('部门 == "研发"', chunk(extra={"部门": "研发"}), True),
    ('extra.部门 == "研发"', chunk(extra={"部门": "研发"}), True),
    ("priority >= 2", chunk(extra={"priority": 2.5}), True),
    ("priority >= 2", chunk(extra={"priority": "high"}), False),
    ("box == null", chunk(extra={"box": {"a": 1}}), False),
    ("box != 1", chunk(extra={"box": {"a": 1}}), True),
    ("codes contains 7", chunk(extra={"codes": [1, "7"]}), False),
    ("codes contains 7", chunk(extra={"codes": [1, 7.0]}), True),
    ('note == ["["]', chunk(extra={"note": "["}), False),
    ('note contains "["', chunk(extra={"note": "["}), True),
    ("legal == “第十条”", chunk(extra={"legal": "第十条"}), True),
    ("a == 1 or b == 1 and c == 1", chunk(extra={"a": 1}), True),
    ("(a == 1 or b == 1) and c == 1", chunk(extra={"a": 1}), False),
]


@pytest.mark.parametrize(("text", "metadata", "verdict"), TRUTH, ids=lambda v: v if isinstance(v, str) else None)
def test_truth_table(connection: Connection, text: str, metadata: Metadata, verdict: bool) -> None:
    filter = parse_filter(text)
    assert filter is not None
    assert matches(filter, metadata) is verdict
    assert admitted(connection, filter, [metadata]) == [verdict]


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, 1.0, -2.25, 1e-7, 1e300]),
    st.sampled_from(["", "a", "A", "ab", "王芳", "王", "1", "true", "[", '"quoted"', "a\\b", "é", "𠮷"]),
)
times = st.one_of(
    st.none(),
    st.datetimes(
        datetime(1969, 12, 30),
        datetime(2031, 1, 1),
        timezones=st.sampled_from(
            [None, UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-3, minutes=-30))]
        ),
    ),
)
keys = st.sampled_from(["部门", "k", 'a "b"', "x.y"])
metadata = st.builds(
    chunk,
    page_number=st.one_of(st.none(), st.integers(0, 3)),
    author=st.one_of(st.none(), st.sampled_from(["", "a", "王芳"])),
    tags=st.lists(st.sampled_from(["a", "ab", "王", "1"]), max_size=3).map(tuple),
    bbox=st.one_of(st.none(), st.just((1.0, 2.0, 0.5, 3.0))),
    is_ocr=st.booleans(),
    created_at=times,
    extra=st.dictionaries(
        keys,
        st.one_of(scalars, st.lists(st.one_of(scalars, st.lists(scalars, max_size=1)), max_size=3), st.just({"a": 1})),
        max_size=3,
    ),
)
fields = st.one_of(st.sampled_from(["page_number", "author", "tags", "bbox", "is_ocr"]), keys.map("extra.{}".format))
lists = st.lists(scalars, max_size=3)
comparisons = st.one_of(
    st.builds(Comparison, fields, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), st.one_of(scalars, lists)),
    st.builds(Comparison, fields, st.just("in"), st.lists(st.one_of(scalars, lists), max_size=4)),
    st.builds(Comparison, fields, st.just("contains"), scalars),
    st.builds(Comparison, st.just("created_at"), st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), times),
)
filters = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda parts: And(tuple(parts)), st.lists(inner, max_size=3)),
        st.builds(lambda parts: Or(tuple(parts)), st.lists(inner, max_size=3)),
    ),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None)
@given(filters, st.lists(metadata, min_size=1, max_size=6))
def test_sql_and_python_agree(connection: Connection, filter: Filter, rows: list[Metadata]) -> None:
    assert admitted(connection, filter, rows) == [matches(filter, row) for row in rows]


@given(filters, metadata)
def test_not_always_flips(filter: Filter, row: Metadata) -> None:
    assert matches(Not(filter), row) is not matches(filter, row)


def test_json_form_is_the_text_form() -> None:
    text = 'author == "王芳" and (page_number > 3 or not tags contains "draft") and language in ["zh", "en"]'
    given_json = {
        "and": [
            {"field": "author", "op": "==", "value": "王芳"},
            {
                "or": [
                    {"field": "page_number", "op": ">", "value": 3},
                    {"not": {"field": "tags", "op": "contains", "value": "draft"}},
                ]
            },
            {"field": "language", "op": "in", "value": ["zh", "en"]},
        ]
    }
    assert parse_filter(text) == parse_filter(given_json)
    assert parse_filter(parse_filter(text)) == parse_filter(text)
    assert parse_filter({"and": []}) == And(())
    assert parse_filter(None) is parse_filter("  ") is parse_filter({}) is None


def test_a_tree_made_by_hand_is_checked_too() -> None:
    made = Comparison("created_at", "<", "2024-05-01T08:00:00+08:00")
    assert made == parse_filter('created_at < "2024-05-01"') == Comparison("created_at", "<", datetime(2024, 5, 1))
    assert Comparison("部门", "==", "研发").field == "extra.部门"
    with pytest.raises(FilterError):
        Comparison("created_at", "<", "soon")


def test_escapes_and_signs() -> None:
    assert parse_filter(r"""k == "say \"hi\" \\ now" """) == Comparison("extra.k", "==", 'say "hi" \\ now')
    assert parse_filter("k == -1.5e3") == Comparison("extra.k", "==", -1500.0)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("page_number >", "the end"),
        ("page_number 3", "page_number"),
        ("page_number = 3", "character 13"),
        ("(page_number > 3", "')'"),
        ("page_number > 3 page_number", "character 17"),
        ("and", "expected"),
        ('author == "王芳', "character 11"),
        ("author == 王芳", "quoted text"),
        ("created_at > 'yesterday'", "no time"),
        ('created_at contains "2024"', "contains"),
        ("language in 'zh'", "list"),
        ("tags contains ['a']", "one value"),
        ("extra == 1", "names no field"),
        ("not " * 300 + "a == 1", "nested"),
        (" or ".join(["a == 1"] * 300), "conditions"),
    ],
)
def test_says_what_is_wrong_and_where(text: str, place: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    "given_json",
    [
        {"field": "a"},
        {"and": {}},
        {"not": []},
        {"field": "a", "op": "~", "value": 1},
        {"field": "a", "op": "==", "value": {}},
    ],
)
def test_refuses_other_json(given_json: dict[str, Any]) -> None:
    with pytest.raises(FilterError):
        parse_filter(given_json)


def test_long_lists_and_hostile_values_are_bound(connection: Connection) -> None:
    filter = Comparison("author", "in", [f"a{n}" for n in range(50_000)] + ["'; DROP TABLE chunks; --"])
    rows = [chunk(author="a49999"), chunk(author="b"), chunk(author="'; DROP TABLE chunks; --")]
    assert admitted(connection, filter, rows) == [True, False, True]
    assert "DROP" not in str(to_sql(filter))
