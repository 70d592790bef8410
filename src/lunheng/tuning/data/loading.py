"""Data sets to examples: several sources mixed by weight, every bad line counted and kept in a quarantine file.

Called by the trainers and by ``lunheng tune check``.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lunheng.errors import DataError
from lunheng.tuning.data.examples import Example, Kind, Problem
from lunheng.tuning.data.formats import to_example
from lunheng.tuning.data.reading import files_of, read_records


@dataclass(frozen=True, slots=True)
class DataSource:
    """One set: a file or a folder, and how much of it counts."""

    path: Path
    weight: float = 1.0
    """How often each example counts in a mix: 0.5 takes a seeded half, 2 takes each twice."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """The data's own names for the keys of a known form, as {"instruction": "问题"}."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read."""

    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]
    digest: str
    """SHA-256 over the bytes of the files, in order: names the data in a manifest."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many lines were left out, by reason."""
        return Counter(p.kind for p in self.problems if p.fatal)


def load(sources: Sequence[DataSource], kind: Kind | None = None, seed: int = 0) -> Loaded:
    """Read ``sources`` in order; with ``kind``, only examples of that kind are of use.

    Raises:
        DataError: a file cannot be read at all, or there is not one good example in all of them.
    """
    examples: list[Example] = []
    problems: list[Problem] = []
    digest = hashlib.sha256()
    for number, source in enumerate(sources):
        found: list[Example] = []
        for file in files_of(source.path):
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
            for item in read_records(file):
                made = item if isinstance(item, Problem) else to_example(*item, kind, source.columns)
                (problems if isinstance(made, Problem) else found).append(made)  # type: ignore[arg-type]
        examples += weighed(found, source.weight, random.Random(f"{seed}/{number}"))
    if not examples:
        first = f"; the first: {problems[0].origin}: {problems[0].message}" if problems else ""
        raise DataError(f"{', '.join(str(s.path) for s in sources)}: holds no example of use{first}")
    return Loaded(tuple(examples), tuple(problems), digest.hexdigest())


def weighed(examples: Sequence[Example], weight: float, chance: random.Random) -> list[Example]:
    """Each example ``weight`` times: whole rounds, and of the rest a seeded share, in the order of the data."""
    if weight <= 0:
        raise DataError(f"the weight of a data set must be above 0, not {weight}")
    whole, rest = int(weight), weight - int(weight)
    kept = sorted(chance.sample(range(len(examples)), round(rest * len(examples))))
    return [*examples] * whole + [examples[i] for i in kept]


def write_quarantine(problems: Sequence[Problem], path: Path) -> int:
    """Write every fatal problem to ``path``, a JSON object a line, and give their number."""
    fatal = [p for p in problems if p.fatal]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for p in fatal:
            row = {"source": p.origin.source, "line": p.origin.line, "kind": p.kind, "message": p.message}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return len(fatal)
