"""Which models served before: what ``lunheng models rollback`` puts back.

Called by ``KnowledgeBase`` whenever another embedder, reranker or language model is put to use, in whatever way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from lunheng.catalog.catalog import Catalog

_FACT = "models_before"
_KEPT = 50
"""Changes that can be undone, at the most."""


@dataclass(frozen=True, slots=True)
class Change:
    """A model that was replaced by another."""

    task: str
    """embedder, reranker or llm."""
    before: str
    after: str
    at: str
    """UTC, ISO 8601."""


def changes(catalog: Catalog, connection: Connection) -> list[Change]:
    """Those that can be undone, the oldest first."""
    return [Change(**plain) for plain in catalog.fact(connection, _FACT, [])]


def note(catalog: Catalog, connection: Connection, task: str, before: str, after: str) -> None:
    """Remember that ``after`` serves in the place of ``before``; nothing where they are the same."""
    if before == after:
        return
    made = Change(task, before, after, datetime.now(UTC).isoformat(timespec="seconds"))
    _write(catalog, connection, [*changes(catalog, connection), made][-_KEPT:])


def drop(catalog: Catalog, connection: Connection, undone: Change) -> None:
    """Forget ``undone``, and that it was undone: the change of its task that was noted after it."""
    known = changes(catalog, connection)
    at = max(number for number, change in enumerate(known) if change == undone)
    _write(catalog, connection, [c for number, c in enumerate(known) if number < at or c.task != undone.task])


def _write(catalog: Catalog, connection: Connection, known: list[Change]) -> None:
    plain = [{"task": c.task, "before": c.before, "after": c.after, "at": c.at} for c in known]
    catalog.set_fact(connection, _FACT, plain)
