"""Which files a path names. Called by the knowledge base."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lunheng.errors import NotFoundError
from lunheng.parsing import is_sidecar

_SKIPPED_FOLDERS = {"__pycache__", "node_modules"}


def expand(paths: Iterable[Path | str], exclude: Path) -> Iterator[tuple[Path, bool]]:
    """Every file that ``paths`` name, absolute, sorted within a folder, none twice; whether it was named itself.

    Hidden files, sidecars and what lies below ``exclude`` (the knowledge base's own folder) are left out.

    Raises:
        NotFoundError: a path does not exist, or a folder cannot be read (it would look empty, and a sync
            would take its documents for removed).
    """
    seen: set[Path] = set()
    for given in paths:
        path = Path(given).expanduser().absolute()
        if path.is_dir():
            found: Iterable[tuple[Path, bool]] = ((f, False) for f in _walk(path, exclude))
        elif path.exists():
            found = [(path, True)]
        else:
            raise NotFoundError(f"{given}: no such file or folder")
        for item in found:
            normal = Path(os.path.normpath(item[0]))
            if normal not in seen:
                seen.add(normal)
                yield normal, item[1]


def _walk(folder: Path, exclude: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise NotFoundError(
            f"{error.filename}: cannot be read ({error.strerror}); nothing below it was changed"
        ) from error

    for root, folders, names in os.walk(folder, onerror=fail):
        here = Path(root)
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and f not in _SKIPPED_FOLDERS and here / f != exclude
        )
        for name in sorted(names):
            if not name.startswith((".", "~$")) and not is_sidecar(here / name) and (here / name).is_file():
                yield here / name
