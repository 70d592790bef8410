"""What was trained on this machine: one small pointer a run, to the run's own manifest, which is the truth.

Called by ``run`` when a run ends, and by ``lunheng models trained``. It is the machine's and no knowledge base's: a
model serves many of them. A run that was moved or deleted falls out of the list and is named as gone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lunheng.config import data_dir
from lunheng.errors import NotFoundError
from lunheng.tuning.manifest import Manifest, read_manifest


@dataclass(frozen=True, slots=True)
class Listed:
    """A run in the list."""

    output: Path
    manifest: Manifest | None
    """None where the run's folder is gone."""


def register(output: Path) -> None:
    """Remember the run in ``output``."""
    place = str(output.absolute())
    name = hashlib.blake2b(place.encode(), digest_size=8).hexdigest()
    _folder().mkdir(parents=True, exist_ok=True)
    (_folder() / name).write_text(place, encoding="utf-8")


def listed() -> list[Listed]:
    """Every run, the newest first; those that are gone last."""
    found = []
    for pointer in sorted(_folder().iterdir()) if _folder().is_dir() else ():
        output = Path(pointer.read_text(encoding="utf-8"))
        try:
            found.append(Listed(output, read_manifest(output)))
        except NotFoundError:
            found.append(Listed(output, None))
    return sorted(found, key=lambda run: run.manifest.started if run.manifest else "", reverse=True)


def forget_gone() -> int:
    """Drop the pointers whose run is gone, and give their number."""
    gone = 0
    for pointer in list(_folder().iterdir()) if _folder().is_dir() else ():
        try:
            read_manifest(Path(pointer.read_text(encoding="utf-8")))
        except NotFoundError:
            pointer.unlink()
            gone += 1
    return gone


def _folder() -> Path:
    return data_dir() / "trained"
