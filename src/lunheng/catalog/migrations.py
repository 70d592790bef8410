"""Schema versions as a plain list of functions, each run once inside one transaction.

Called when a catalog is opened. Add a function at the end; never change one that was released.
(The style of simonw/llm.)
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, insert, inspect, select, update

from lunheng.catalog.schema import facts, tables
from lunheng.errors import CatalogError


def create_tables(connection: Connection) -> None:
    tables.create_all(connection)
    connection.execute(insert(facts), [{"name": "schema_version", "value": 0}, {"name": "sequence", "value": 0}])


def add_file_state(connection: Connection) -> None:
    _add_to_documents(connection, "file_state", "VARCHAR")


def add_inferred(connection: Connection) -> None:
    _add_to_documents(connection, "inferred", "JSON")


def _add_to_documents(connection: Connection, name: str, kind: str) -> None:
    if name not in {column["name"] for column in inspect(connection).get_columns("documents")}:
        connection.exec_driver_sql(f"ALTER TABLE documents ADD COLUMN {name} {kind}")


MIGRATIONS: list[Callable[[Connection], None]] = [create_tables, add_file_state, add_inferred]


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table("facts"):
        return 0
    return int(connection.execute(select(facts.c.value).where(facts.c.name == "schema_version")).scalar_one())


def needs_migration(connection: Connection) -> bool:
    """Whether the catalog is of another version than this Lunheng's."""
    return _version(connection) != len(MIGRATIONS)


def migrate(connection: Connection) -> None:
    """Bring the catalog to the newest version.

    Raises:
        CatalogError: where a newer Lunheng wrote it.
    """
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise CatalogError(
            f"this knowledge base has schema version {version}, and this Lunheng knows {len(MIGRATIONS)}; "
            "upgrade it: pip install -U lunheng"
        )
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        step(connection)
        connection.execute(update(facts).where(facts.c.name == "schema_version").values(value=number))
