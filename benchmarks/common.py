"""What benchmark reports share: the machine, checksums, and passages that no set has enough of.

Called by the drivers beside it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import random
import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from itertools import cycle
from pathlib import Path


def machine() -> str:
    """Processor, cores, memory, system and Python, in one line."""
    info = Path("/proc/cpuinfo")
    name = platform.processor() or platform.machine()
    if info.exists():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text())
        name = found[1] if found else name
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def file_digest(path: Path) -> str:
    """The first 16 hex digits of the file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def mixed_passages(pools: Sequence[Sequence[str]], seed: int = 7, size: int = 300) -> Iterator[str]:
    """Passages without end, of about ``size`` Chinese characters or a third of that in words, each from one pool.

    ``pools`` hold sentences; neighbours follow one another, from two random places, so that a pool of n sentences
    gives some n² passages.
    """
    pick = random.Random(seed)
    for pool in cycle(pools):
        length, parts = 0, []
        for enough in (size // 2, size):
            at = pick.randrange(len(pool))
            while length < enough:
                parts.append(sentence := pool[at % len(pool)])
                length += len(sentence) // 3 if sentence.isascii() else len(sentence)
                at += 1
        yield " ".join(parts)[:1000].strip()


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is set to the right."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, *rows)]
    lines.insert(1, "|---|" + "---:|" * (len(header) - 1))
    return "\n".join(lines)


def write_part(name: str, text: str) -> None:
    """Write one part of the report, and say where."""
    path = Path(__file__).parent / "reports" / f"{name}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.strip() + "\n", encoding="utf-8")
    print(f"\n{path} is written")


def versions(*packages: str) -> str:
    """The packages with the versions that are installed."""
    return ", ".join(f"{package} {metadata.version(package)}" for package in packages)
