"""Opens the catalog's SQLite file as it must be opened: WAL, foreign keys, immediate write transactions.

Called by ``Catalog``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from lunheng.errors import BusyError, CatalogError


def open_engine(path: Path, busy_seconds: float) -> Engine:
    """An engine over the SQLite file at ``path``; every connection waits ``busy_seconds`` for a lock."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": busy_seconds, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:
        # SQLAlchemy's recipe for real transactions on sqlite3: the driver begins none of its own.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # FULL: a commit that was acknowledged survives a power cut, not only a kill.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA secure_delete=FAST")
        cursor.execute("PRAGMA cache_size=-16384")
        cursor.execute("PRAGMA mmap_size=1073741824")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the database's errors into ours, with the remedy."""
    try:
        yield
    except OperationalError as error:
        text = str(error.orig)
        if "locked" in text or "busy" in text:
            raise BusyError(f"{path}: another process is writing to this knowledge base; try again shortly") from error
        if "full" in text or "disk I/O" in text:
            raise CatalogError(
                f"{path}: the disk is full or failing ({text}); nothing of this document was stored. "
                "Free some space and run the same command again"
            ) from error
        if "readonly" in text:
            raise CatalogError(f"{path}: cannot be written ({text}); check the folder's permissions") from error
        raise CatalogError(f"{path}: {text}; run: lunheng check") from error
    except DatabaseError as error:
        raise CatalogError(
            f"{path}: the catalog is damaged ({error.orig}); restore a backup: lunheng restore FILE"
        ) from error
