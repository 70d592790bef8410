"""Jobs: what was being done, so that a run that was cut off is known and told.

Called by ingest and maintenance. A job that is still ``running`` when its process holds no lock any
more was interrupted.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, text, update

from lunheng.catalog.schema import jobs


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def start(connection: Connection, kind: str, detail: Mapping[str, Any]) -> str:
    """Note that a job began, and that any other still running was interrupted; the caller is the only writer."""
    connection.execute(update(jobs).where(jobs.c.state == "running").values(state="interrupted", ended_at=_now()))
    job = uuid.uuid4().hex
    connection.execute(insert(jobs).values(id=job, kind=kind, state="running", started_at=_now(), detail=dict(detail)))
    return job


def finish(connection: Connection, job: str, state: str, detail: Mapping[str, Any]) -> None:
    """Note how a job ended: ``done``, ``failed`` or ``interrupted``."""
    connection.execute(update(jobs).where(jobs.c.id == job).values(state=state, ended_at=_now(), detail=dict(detail)))


def latest(connection: Connection, count: int = 5) -> list[dict[str, Any]]:
    """The newest jobs, newest first."""
    found = connection.execute(select(jobs).order_by(jobs.c.started_at.desc(), text("rowid DESC")).limit(count))
    return [dict(r._mapping) for r in found]
