"""The lexical index: scores against bm25s, increments, removal, filters, evidence."""

from __future__ import annotations

from collections.abc import Iterator

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine

from lunheng.errors import IndexDamagedError
from lunheng.indexes import lexical
from lunheng.indexes.lexical import K1, B, SqliteLexicalIndex
from lunheng.text import terms

TEXTS = [
    "向量数据库支持近似最近邻检索。",
    "The vector database supports approximate nearest neighbour search.",
    "数据库的备份与恢复，每天凌晨两点进行。",
    "GPU服务器型号 XG-2000，固件 3.11.7。",
    "王芳负责GPU服务器的采购。",
    "The Who played in London; the band who played was loud.",
    "備份資料庫需要使用管理員帳號 ___。",
    "",
]
QUERIES = ["数据库", "向量数据库检索", "GPU服务器 XG2000", "nearest neighbours database", "the who", "王芳", "备份"]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with create_engine("sqlite://").connect() as connection:
        SqliteLexicalIndex().create(connection)
        yield connection


@pytest.fixture(params=["waiting", "merged", "both"])
def filled(request: pytest.FixtureRequest, connection: Connection) -> Connection:
    """The texts in each state that they can be in: not yet merged, merged, some of each."""
    index = SqliteLexicalIndex()
    keys = [3, 5, 8191, 8192, 8200, 20000, 20001, 50000]
    half = 4 if request.param == "both" else len(TEXTS)
    index.add(connection, keys[:half], TEXTS[:half])
    if request.param != "waiting":
        index.merge(connection)
    index.add(connection, keys[half:], TEXTS[half:])
    return connection


KEYS = [3, 5, 8191, 8192, 8200, 20000, 20001, 50000]


def reference(texts: list[str], query: str) -> np.ndarray:
    corpus = [terms(text) for text in texts]
    model = bm25s.BM25(method="lucene", k1=K1, b=B, dtype="float64")
    model.index(corpus, show_progress=False)
    wanted = [term for term in terms(query, for_query=True) if term in model.vocab_dict]
    return model.get_scores(wanted) if wanted else np.zeros(len(texts))


@pytest.mark.parametrize("query", QUERIES)
def test_agrees_with_bm25s(filled: Connection, query: str) -> None:
    expected = {key: score for key, score in zip(KEYS, reference(TEXTS, query), strict=True) if score > 0}
    found = dict(SqliteLexicalIndex().search(filled, query, 100))
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7)), max_size=25), st.sampled_from(QUERIES), st.data())
def test_any_history_gives_the_scores_of_what_is_left(
    history: list[tuple[bool, int]], query: str, data: st.DataObject
) -> None:
    index = SqliteLexicalIndex()
    with create_engine("sqlite://").connect() as connection:
        index.create(connection)
        held: dict[int, str] = {}
        for adds, n in history:
            key, text = KEYS[n], TEXTS[data.draw(st.integers(0, 6))]
            if adds:
                index.add(connection, [key], [text])
                held[key] = text
            else:
                index.remove(connection, [key])
                held.pop(key, None)
            if data.draw(st.booleans()):
                index.merge(connection)
        assert index.count(connection) == len(held)
        assert index.keys(connection).tolist() == sorted(held)
        found = dict(index.search(connection, query, 100))
        if not held:
            assert found == {}
            return
        order = sorted(held)
        expected = dict(zip(order, reference([held[key] for key in order], query), strict=True))
        assert found == pytest.approx({key: score for key, score in expected.items() if score > 0}, abs=1e-4)


def test_merges_by_itself(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "_MERGE_AT", 3)
    index = SqliteLexicalIndex()
    for key, text in enumerate(TEXTS):
        index.add(connection, [key], [text])
    waiting = connection.exec_driver_sql("SELECT count(*) FROM lexical_chunks WHERE merged = 0").scalar_one()
    assert waiting == len(TEXTS) % 3
    assert len(index.search(connection, "数据库", 10)) == 2


def test_settling_folds_in_what_waits_where_it_is_much(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    index = SqliteLexicalIndex()
    index.add(connection, KEYS, TEXTS)
    before = index.search(connection, "数据库", 10)
    waiting = "SELECT count(*) FROM lexical_chunks WHERE merged = 0"
    index.settle(connection)
    assert connection.exec_driver_sql(waiting).scalar_one() == len(TEXTS), "a few may wait"
    monkeypatch.setattr(lexical, "_SETTLE_AT", len(TEXTS))
    index.settle(connection)
    assert connection.exec_driver_sql(waiting).scalar_one() == 0
    assert index.search(connection, "数据库", 10) == before


def test_removing_all_leaves_no_postings(filled: Connection) -> None:
    index = SqliteLexicalIndex()
    index.remove(filled, KEYS)
    assert filled.exec_driver_sql("SELECT count(*) FROM lexical_postings").scalar_one() == 0
    assert index.search(filled, "数据库", 10) == []
    assert index.count(filled) == 0


def test_rolls_back_with_the_transaction(connection: Connection) -> None:
    index = SqliteLexicalIndex()
    index.add(connection, [1], TEXTS[:1])
    connection.commit()
    index.add(connection, [2], TEXTS[1:2])
    index.remove(connection, [1])
    connection.rollback()
    assert index.keys(connection).tolist() == [1]


def test_statistics_tell_how_much_of_the_query_is_known(filled: Connection) -> None:
    index = SqliteLexicalIndex()
    whole = index.query_statistics(filled, "王芳负责采购")
    assert whole.found == whole.terms
    assert whole.covered == pytest.approx(1.0)
    foreign = index.query_statistics(filled, "elephant population of Botswana")
    assert (foreign.found, foreign.covered, foreign.found_idf) == (0, 0.0, 0.0)
    assert foreign.terms == 3
    assert foreign.idf_sum > 0
    partial = index.search_with_evidence(filled, "database elephant", 10)
    assert 0 < partial.statistics.covered < 1
    assert len(partial.coverage) == len(partial.hits)


def test_empty_query_finds_nothing(filled: Connection) -> None:
    assert SqliteLexicalIndex().search(filled, "，。 ", 10) == []


def test_damage_names_the_remedy(filled: Connection) -> None:
    SqliteLexicalIndex().merge(filled)
    filled.exec_driver_sql("UPDATE lexical_postings SET data = x'01'")
    with pytest.raises(IndexDamagedError, match="lunheng rebuild"):
        SqliteLexicalIndex().search(filled, "数据库", 10)
