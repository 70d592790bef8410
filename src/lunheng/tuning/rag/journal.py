"""What was made of each item so far, on disk: a job that is interrupted goes on where it stopped.

Called by every maker of this package. The journal is the one truth (a line an item, appended and synced); the data file
and the file of what was rejected are written from it, whole, at the end of every run. So a kill loses one item at most,
and nothing is ever in one file and not in the other.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from lunheng.errors import DataError

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rejected:
    """What is no training data, and why: counted by ``reason``, written with ``what``."""

    reason: str
    """One of few, in plain words: what the counts are kept by."""
    what: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item."""

    rows: Sequence[Row] = ()
    rejected: Sequence[Rejected] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Whatever else is counted, as how often a filter struck."""


@dataclass(frozen=True, slots=True)
class Written:
    """What all runs into one file have made together."""

    output: str
    items: int
    rows: int
    rejected: Mapping[str, int]
    """By reason; each stands in ``rejected_file``."""
    counts: Mapping[str, int]
    rejected_file: str
    resumed: int
    """Items that an earlier run had done."""
    stale: int
    """Items of an earlier run that are no more, as chunks of a document that has changed: their rows are gone."""


class Journal:
    """The work into ``output``; use it as a context manager, which writes the files at the end, come what may.

    Args:
        settings: what the rows depend on; a journal that was begun with others is not continued.
        still_there: whether an item of an earlier run still exists; None: all do.

    Raises:
        DataError: the journal was begun with other settings, or is not one.
    """

    def __init__(
        self,
        output: Path,
        settings: Mapping[str, Any],
        still_there: Callable[[str], bool] | None = None,
    ) -> None:
        self.output = output
        self.path = output.with_name(output.name + ".journal")
        self._settings = json.loads(json.dumps(settings))
        self.done: set[str] = set()
        self.stale = 0
        output.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self._reopen(still_there)
        elif output.exists():
            raise DataError(f"{output}: exists and was not begun by this command; name another file, or delete it")
        else:
            self._rewrite(lambda item: True)
        self.resumed = len(self.done)
        self._file = self.path.open("a", encoding="utf-8")

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self.written()

    def add(self, item: str, outcome: Outcome) -> None:
        """Note what became of ``item``, for good."""
        entry = {
            "item": item,
            "rows": list(outcome.rows),
            "rejected": [{"reason": r.reason, **r.what} for r in outcome.rejected],
            "counts": dict(outcome.counts),
        }
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.done.add(item)

    def rows(self) -> Iterator[Row]:
        """Every row so far, in the order of the items."""
        for entry in self._entries():
            yield from entry["rows"]

    def written(self) -> Written:
        """Write the data file and the file of what was rejected; count both."""
        rejected_file = self.output.with_name(self.output.name + ".rejected")
        rejected: Counter[str] = Counter()
        counts: Counter[str] = Counter()
        items = rows = 0
        drafts = [p.with_name(p.name + ".part") for p in (self.output, rejected_file)]
        with drafts[0].open("w", encoding="utf-8") as good, drafts[1].open("w", encoding="utf-8") as bad:
            for entry in self._entries():
                items += 1
                counts.update(entry["counts"])
                for row in entry["rows"]:
                    rows += 1
                    good.write(json.dumps(row, ensure_ascii=False) + "\n")
                for row in entry["rejected"]:
                    rejected[row["reason"]] += 1
                    bad.write(json.dumps(row, ensure_ascii=False) + "\n")
        drafts[0].replace(self.output)
        drafts[1].replace(rejected_file)
        return Written(
            str(self.output),
            items,
            rows,
            dict(rejected.most_common()),
            dict(sorted(counts.items())),
            str(rejected_file),
            self.resumed,
            self.stale,
        )

    def _reopen(self, still_there: Callable[[str], bool] | None) -> None:
        with self.path.open(encoding="utf-8") as file:
            head = _parsed(file.readline())
        if head is None or "settings" not in head:
            raise DataError(f"{self.path}: is not a journal of this command; delete it, or name another output")
        differing = [
            f"{name} was {head['settings'].get(name)!r} and is now {self._settings.get(name)!r}"
            for name in sorted({*head["settings"], *self._settings})
            if head["settings"].get(name) != self._settings.get(name)
        ]
        if differing:
            raise DataError(
                f"{self.output}: was begun with other settings ({'; '.join(differing)}); name another output, or "
                f"delete {self.path.name} to begin anew"
            )
        gone = {e["item"] for e in self._entries() if still_there is not None and not still_there(e["item"])}
        self.stale = len(gone)
        self._rewrite(lambda item: item not in gone)  # which also drops a line that a kill cut in two
        self.done = {entry["item"] for entry in self._entries()}

    def _rewrite(self, keep: Callable[[str], bool]) -> None:
        draft = self.path.with_name(self.path.name + ".part")
        with draft.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"settings": self._settings}, ensure_ascii=False) + "\n")
            for entry in self._entries():
                if keep(entry["item"]):
                    file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)

    def _entries(self) -> Iterator[Mapping[str, Any]]:
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8") as file:
            file.readline()
            for line in file:
                entry = _parsed(line)
                if entry is not None:
                    yield entry


def _parsed(line: str) -> dict[str, Any] | None:
    """The object of a line; None for one that a kill cut in two."""
    if not line.endswith("\n"):
        return None
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def in_seeded_order(items: Collection[str], seed: int) -> list[str]:
    """``items`` in an order that follows from their names and the seed alone: data that grows keeps it."""
    import hashlib

    return sorted(items, key=lambda item: hashlib.blake2b(f"{seed}/{item}".encode(), digest_size=8).digest())
