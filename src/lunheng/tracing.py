"""Builds a ``Trace`` while a question is answered: one ``with`` block a stage.

Called by retrieval, answering and the knowledge base. Warnings also go to the log, so that no
degraded stage is silent (DESIGN's fourth invariant).
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lunheng.types import Stage, Trace

log = logging.getLogger("lunheng")

_watcher: ContextVar[Callable[[str], None] | None] = ContextVar("lunheng_stage_watcher", default=None)


@contextmanager
def watching(on_stage: Callable[[str], None]) -> Iterator[None]:
    """Within the block, ``on_stage`` hears the name of every stage as it begins: what a person who waits is shown."""
    token = _watcher.set(on_stage)
    try:
        yield
    finally:
        _watcher.reset(token)


@dataclass
class StageRecord:
    """A stage under way: fill ``result``, call ``warn``."""

    name: str
    given: dict[str, Any]
    result: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, message: str) -> None:
        log.warning("%s: %s", self.name, message)
        self.warnings.append(message)


class Tracer:
    """Collects the stages of one answer; not shared between answers."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self._started = datetime.now(UTC)
        self._stages: list[Stage] = []

    @contextmanager
    def stage(self, name: str, **given: Any) -> Iterator[StageRecord]:
        """Time a stage; it is recorded also when it raises."""
        record = StageRecord(name, given)
        if (watcher := _watcher.get()) is not None:
            watcher(name)
        start = time.perf_counter()
        try:
            yield record
        except BaseException as error:
            record.result["error"] = f"{type(error).__name__}: {error}"
            raise
        finally:
            seconds = time.perf_counter() - start
            self._stages.append(
                Stage(name, round(seconds, 6), dict(record.given), dict(record.result), tuple(record.warnings))
            )

    def trace(self) -> Trace:
        return Trace(self.id, self._started, tuple(self._stages))
