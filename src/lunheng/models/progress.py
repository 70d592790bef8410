"""What a download reports while it runs, and checksums over files.

Called by the fetchers and by ``models.download``; the CLI draws a bar from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lunheng.errors import ModelError

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Progress:
    """One report. The first of a place has ``done`` 0 and the size, before anything is fetched."""

    model: str
    place: str
    step: str
    """``fetch``, ``join``, ``convert`` or ``done``."""
    done: int
    """Bytes."""
    total: int | None
    """Bytes; None where the place does not say."""


OnProgress = Callable[[Progress], None]


@dataclass
class Reporter:
    """Counts the bytes of one attempt at one place."""

    model: str
    place: str
    total: int | None
    on_progress: OnProgress
    done: int = 0

    def step(self, name: str) -> None:
        """Report that a step begins."""
        self.on_progress(Progress(self.model, self.place, name, self.done, self.total))

    def add(self, count: int) -> None:
        """Report ``count`` more bytes."""
        self.done += count
        self.step("fetch")


def sha256_of(path: Path) -> str:
    """The hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, sha256: str, what: str) -> None:
    """Check a file; a wrong one is deleted, so that the next attempt begins afresh.

    Raises:
        ModelError: the checksum differs.
    """
    found = sha256_of(path)
    if found != sha256:
        path.unlink()
        raise ModelError(f"{what}: sha256 is {found}, expected {sha256}. The file was changed or cut; it was deleted.")


def verify_git_blob(path: Path, blob: str, what: str) -> None:
    """As ``verify``, by git's id of the content (SHA-1 over a header and the bytes)."""
    data = path.read_bytes()
    found = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    if found != blob:
        path.unlink()
        raise ModelError(f"{what}: git's checksum is {found}, expected {blob}. It was deleted.")
