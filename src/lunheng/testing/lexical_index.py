"""What every lexical index must do. Called by tests/conformance and by authors of their own index.

Each check takes ``make()``, which gives an index with ``SqliteLexicalIndex``'s methods, and a
connection to an empty database.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from sqlalchemy import Connection

from lunheng.protocols import Keys

PASSAGES = {
    3: "向量数据库支持近似最近邻检索。",
    5: "The vector database supports approximate nearest neighbour search.",
    8: "数据库每天凌晨两点备份。",
    13: "GPU服务器型号 XG-2000，固件 3.11.7。",
    21: "王芳负责GPU服务器的采购，GPU服务器在三号机房。",
    34: "備份資料需要管理員帳號。",
}


class LexicalIndex(Protocol):
    """BM25 inside the catalog's database, in the caller's transaction."""

    def create(self, connection: Connection) -> None: ...
    def drop(self, connection: Connection) -> None: ...
    def add(self, connection: Connection, keys: Sequence[int], texts: Sequence[str]) -> None: ...
    def remove(self, connection: Connection, keys: Sequence[int]) -> None: ...
    def search(
        self, connection: Connection, query: str, k: int, allowed: Keys | None = None
    ) -> list[tuple[int, float]]: ...
    def count(self, connection: Connection) -> int: ...
    def keys(self, connection: Connection) -> Keys: ...


Make = Callable[[], LexicalIndex]


def _filled(make: Make, connection: Connection) -> LexicalIndex:
    index = make()
    index.create(connection)
    index.add(connection, list(PASSAGES), list(PASSAGES.values()))
    return index


def _found(index: LexicalIndex, connection: Connection, query: str, allowed: Keys | None = None) -> list[int]:
    return [key for key, _ in index.search(connection, query, 10, allowed)]


def check_empty(make: Make, connection: Connection) -> None:
    index = make()
    index.create(connection)
    index.create(connection)
    assert index.count(connection) == 0
    assert index.keys(connection).tolist() == []
    assert index.search(connection, "数据库", 5) == []
    index.remove(connection, [1, 2])
    index.add(connection, [], [])


def check_finds_in_both_languages(make: Make, connection: Connection) -> None:
    index = _filled(make, connection)
    assert set(_found(index, connection, "数据库")) == {3, 8}
    assert _found(index, connection, "向量資料庫與数据库")[0] == 3
    assert _found(index, connection, "ＧＰＵ服务器 采购")[0] == 21
    assert _found(index, connection, "Databases searching")[0] == 5
    assert _found(index, connection, "xg2000") == [13]
    assert 34 in _found(index, connection, "备份资料")
    assert _found(index, connection, "elephants") == []
    assert _found(index, connection, "") == []
    scores = [score for _, score in index.search(connection, "GPU服务器", 10)]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0


def check_replace_and_remove(make: Make, connection: Connection) -> None:
    index = _filled(make, connection)
    index.add(connection, [8], ["打印机在二楼。"])
    assert _found(index, connection, "数据库") == [3]
    assert _found(index, connection, "打印机") == [8]
    index.remove(connection, [8, 13, 999])
    assert _found(index, connection, "打印机") == []
    assert index.keys(connection).tolist() == [3, 5, 21, 34]
    assert index.count(connection) == 4


def check_history_does_not_matter(make: Make, connection: Connection) -> None:
    """Scores depend on what is held and not on how it came there."""
    index = _filled(make, connection)
    straight = index.search(connection, "GPU服务器 数据库 database", 10)
    for key, text in PASSAGES.items():
        index.add(connection, [key], ["something else 另外的内容"])
        index.remove(connection, [key])
        index.add(connection, [key], [text])
    again = index.search(connection, "GPU服务器 数据库 database", 10)
    assert [key for key, _ in again] == [key for key, _ in straight]
    np.testing.assert_allclose([s for _, s in again], [s for _, s in straight], atol=1e-9)


def check_allowed(make: Make, connection: Connection) -> None:
    """k rows whenever k allowed ones match, with the scores that they have without the filter."""
    index = make()
    index.create(connection)
    count = 3000
    index.add(connection, range(1, count + 1), [f"服务器 number {n} " + "数据库 " * (n % 7) for n in range(count)])
    everything = dict(index.search(connection, "数据库 服务器", count))
    assert len(everything) == count
    for allowed in (np.arange(1, 3001, 7), np.arange(2990, 3500), np.array([1]), np.arange(1, 3001)):
        wanted = min(10, int((allowed <= count).sum()))
        found = index.search(connection, "数据库 服务器", 10, allowed.astype(np.int64))
        assert len(found) == wanted
        best = sorted(
            ((k, s) for k, s in everything.items() if k in set(allowed.tolist())), key=lambda h: (-h[1], h[0])
        )
        assert found == best[:10]
    assert index.search(connection, "数据库", 10, np.empty(0, dtype=np.int64)) == []


def check_transaction(make: Make, connection: Connection) -> None:
    index = _filled(make, connection)
    connection.commit()
    before = index.search(connection, "数据库 GPU", 10)
    index.remove(connection, [3])
    index.add(connection, [99], ["数据库 GPU 数据库"])
    connection.rollback()
    assert index.search(connection, "数据库 GPU", 10) == before
    assert index.keys(connection).tolist() == list(PASSAGES)


def check_drop(make: Make, connection: Connection) -> None:
    index = _filled(make, connection)
    index.drop(connection)
    left = connection.exec_driver_sql("SELECT name FROM sqlite_master").fetchall()
    assert left == []
    index.create(connection)
    assert index.count(connection) == 0


CHECKS = (
    check_empty,
    check_finds_in_both_languages,
    check_replace_and_remove,
    check_history_does_not_matter,
    check_allowed,
    check_transaction,
    check_drop,
)
