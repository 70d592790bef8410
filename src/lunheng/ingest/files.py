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
        path = Path(os.path.normpath(Path(given).expanduser().absolute()))
        if path.is_dir():
            found: Iterable[tuple[Path, bool]] = ((Path(f), False) for f in _walk(str(path), os.path.normpath(exclude)))
        elif path.exists():
            found = [(path, True)]
        else:
            raise NotFoundError(f"{given}: no such file or folder")
        for item in found:
            if item[0] not in seen:
                seen.add(item[0])
                yield item


def _walk(folder: str, exclude: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError as error:
        raise NotFoundError(f"{folder}: cannot be read ({error.strerror}); nothing below it was changed") from error
    folders = []
    for entry in entries:
        if entry.is_dir():
            named_so = entry.name.startswith(".") or entry.name in _SKIPPED_FOLDERS
            if not named_so and entry.path != exclude and not entry.is_symlink():
                folders.append(entry.path)
        elif not entry.name.startswith((".", "~$")) and not is_sidecar(entry.name) and entry.is_file():
            yield entry.path
    for path in folders:
        yield from _walk(path, exclude)
