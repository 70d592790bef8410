"""Damaged files through the parsers, as a user's would go: in child processes, under limits.

Called by ``scripts/fuzz.py`` (``make fuzz``) and, with few files, by the tests. A document or an error that names the
file is right. A finding is anything else: an exception that is none of ours, a document whose parts do not agree, a
parse that had to be ended by the clock, an error that does not say which file. A child that native code killed costs
its file an error and is counted apart, as contained.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

from lunheng.config import ParsingSettings
from lunheng.errors import LimitError, LunhengError, ParseError
from lunheng.parsing import parse_file
from lunheng.parsing.detect import CODE_SUFFIXES, detect
from lunheng.parsing.dispatch import PARSERS
from lunheng.testing.mutations import mutate
from lunheng.testing.parser import check_document
from lunheng.testing.samples import MAKERS, STORIES
from lunheng.types import Document

MAX_SEED_BYTES = 400_000
MAX_SEEDS = 24
SETTINGS = ParsingSettings(
    max_bytes=20_000_000,
    max_pages=200,
    max_expanded_bytes=50_000_000,
    max_nesting=100,
    max_pixels=4_000_000,
    max_cells=200_000,
    max_seconds=20,
    max_memory_bytes=1_000_000_000,
    ocr="off",
)
"""Tight enough that a runaway ends soon, on a busy machine too."""
TOO_SLOW = "parsing took over"
CRASHED = "the parser crashed on it"

Outcome = Literal["document", "error", "limit", "contained", "finding"]
Parse = Callable[[Path, ParsingSettings], Document]


@dataclass(frozen=True, slots=True)
class Finding:
    """A file that did what none may do."""

    format: str
    case: int
    reason: str
    file: Path | None = None
    """Where the file was saved."""


@dataclass(slots=True)
class Tally:
    """What became of the damaged files of one format."""

    format: str
    seeds: int
    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unforeseen: dict[str, int] = field(default_factory=dict)
    """Complaints of libraries that no parser has words of its own for."""
    slowest: float = 0.0

    @property
    def cases(self) -> int:
        return sum(self.counts.values())


def formats() -> list[str]:
    """Every format that has a parser; all source code is read by one, for which Python stands."""
    return [name for name in PARSERS if name not in CODE_SUFFIXES or name == "py"]


def gather_seeds(folder: Path, data: Iterable[Path] = ()) -> dict[str, list[bytes]]:
    """Sound files to damage, by format: the samples, made in ``folder``, and the files below ``data``."""
    seeds: dict[str, list[bytes]] = {}
    for name, make in MAKERS.items():
        for story in STORIES:
            seeds.setdefault(name, []).append(make(folder, story).path.read_bytes())
    if "csv" in seeds:
        seeds["tsv"] = [seed.replace(b",", b"\t") for seed in seeds["csv"]]
    for root in data:
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            if not 0 < path.stat().st_size <= MAX_SEED_BYTES:
                continue
            try:
                found = detect(path).format
            except LunhengError:
                continue
            if len(seeds.setdefault(found, [])) < MAX_SEEDS:
                seeds[found].append(path.read_bytes())
    return seeds


def fuzz_format(
    format_name: str,
    seeds: list[bytes],
    count: int,
    seed: int = 0,
    save: Path | None = None,
    parse: Parse = parse_file,
    settings: ParsingSettings = SETTINGS,
) -> Iterator[Tally]:
    """Damage and parse ``count`` files of a format; gives the tally after each, and saves offenders below ``save``."""
    tally = Tally(format_name, len(seeds))
    with tempfile.TemporaryDirectory(prefix="lunheng-fuzz-") as folder:
        path = Path(folder) / f"case.{format_name}"
        for case in range(count):
            random = Random(f"{seed}/{format_name}/{case}")
            data = mutate(random.choice(seeds), format_name, random)
            path.write_bytes(data)
            begun = time.perf_counter()
            outcome, reason = _try(path, parse, settings, tally)
            tally.slowest = max(tally.slowest, time.perf_counter() - begun)
            tally.counts[outcome] = tally.counts.get(outcome, 0) + 1
            if outcome in ("finding", "contained"):
                kept = None
                if save is not None:
                    save.mkdir(parents=True, exist_ok=True)
                    kept = save / f"{outcome}-{seed}-{case}.{format_name}"
                    kept.write_bytes(data)
                if outcome == "finding":
                    tally.findings.append(Finding(format_name, case, reason, kept))
            yield tally


def _try(path: Path, parse: Parse, settings: ParsingSettings, tally: Tally) -> tuple[Outcome, str]:
    try:
        document = parse(path, settings)
    except LimitError as error:
        return ("finding" if TOO_SLOW in str(error) else "limit"), str(error)
    except ParseError as error:
        text = str(error)
        if str(path) not in text:
            return "finding", f"an error that does not name the file: {text}"
        if CRASHED in text:
            return "contained", text
        if "could not be read as" in text:
            kind = text.partition(" (")[2].partition("; it may be damaged")[0][:100]
            tally.unforeseen[kind] = tally.unforeseen.get(kind, 0) + 1
        return "error", text
    except LunhengError as error:
        return "finding", f"{type(error).__name__} is no parse error: {error}"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return "finding", f"{type(error).__name__}: {error}"
    try:
        check_document(document)
    except AssertionError as error:
        return "finding", f"the document's parts do not agree: {error or _line(error)}"
    return "document", ""


def _line(error: AssertionError) -> str:
    """Where an assertion without a message stands."""
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.line} ({Path(last.filename).name}:{last.lineno})"
