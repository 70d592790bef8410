"""The lexical index against the suite, in memory and in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine

from lunheng.indexes.lexical import SqliteLexicalIndex
from lunheng.testing import lexical_index
from lunheng.testing.lexical_index import Make


@pytest.mark.parametrize("place", ["memory", "file"])
@pytest.mark.parametrize("check", lexical_index.CHECKS, ids=lambda check: check.__name__)
def test_conforms(place: str, check: Callable[[Make, Connection], None], tmp_path: Path) -> None:
    url = "sqlite://" if place == "memory" else f"sqlite:///{tmp_path / 'catalog.db'}"
    with create_engine(url).connect() as connection:
        check(SqliteLexicalIndex, connection)
