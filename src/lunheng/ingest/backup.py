"""A knowledge base in one file: the catalog as of one moment, its settings, and their hashes.

Called by ``lunheng backup`` and ``restore``. Indexes are not in it: they are remade when first needed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from lunheng.config import CONFIG_NAME
from lunheng.errors import BusyError, CatalogError, DataError, NotFoundError

CATALOG_NAME = "catalog.db"
INDEX_FOLDER = "indexes"
WRITER_LOCK = "writer.lock"
_MANIFEST = "manifest.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_backup(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {_MANIFEST, CATALOG_NAME} <= set(archive.namelist())


def backup(folder: Path, target: Path) -> dict[str, object]:
    """Write ``folder``'s knowledge base to ``target``; readers and a writer may go on meanwhile.

    An earlier backup there is replaced, once the new one is whole.

    Raises:
        DataError: ``target`` is another kind of file.
        NotFoundError: ``folder`` holds no knowledge base.
        CatalogError: it could not be read, or the backup not be written.
    """
    if target.exists() and not _is_backup(target):
        raise DataError(f"{target}: is there already and is no Lunheng backup; name another file")
    source = folder / CATALOG_NAME
    if not source.is_file():
        raise NotFoundError(f"{folder}: holds no knowledge base")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".lunheng-backup-") as scratch:
        copy = Path(scratch) / CATALOG_NAME
        try:
            live = sqlite3.connect(source)
            with sqlite3.connect(copy) as snapshot:
                live.backup(snapshot)
            snapshot.close()
            live.close()
        except sqlite3.Error as error:
            raise CatalogError(f"{target}: the backup could not be written ({error})") from error
        members = {CATALOG_NAME: copy}
        if (folder / CONFIG_NAME).is_file():
            members[CONFIG_NAME] = folder / CONFIG_NAME
        manifest = {
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "sha256": {name: _sha256(path) for name, path in members.items()},
        }
        whole = Path(scratch) / "backup.zip"
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(_MANIFEST, json.dumps(manifest, indent=2))
            for name, path in members.items():
                archive.write(path, name)
        whole.replace(target)
    return {"file": str(target), "bytes": target.stat().st_size, **manifest}


def restore(source: Path, folder: Path, force: bool = False) -> dict[str, object]:
    """Lay ``source`` down as the knowledge base in ``folder``.

    Raises:
        DataError: it is no backup, or a byte of it differs from what was written.
        CatalogError: ``folder`` holds a knowledge base already and ``force`` is not given.
    """
    if not source.is_file():
        raise NotFoundError(f"{source}: no such file")
    if (folder / CATALOG_NAME).exists() and not force:
        raise CatalogError(f"{folder}: holds a knowledge base already; restore into another folder, or add --force")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / WRITER_LOCK).acquire(timeout=0)
    except Timeout as error:
        raise BusyError(f"{folder}: another process is writing to it; restore when it has ended") from error
    try:
        with (
            lock,
            zipfile.ZipFile(source) as archive,
            tempfile.TemporaryDirectory(dir=folder, prefix=".restore-") as scratch,
        ):
            manifest = json.loads(archive.read(_MANIFEST))
            wanted: dict[str, str] = manifest["sha256"]
            if set(wanted) - {CATALOG_NAME, CONFIG_NAME} or CATALOG_NAME not in wanted:
                raise DataError(f"{source}: is not a Lunheng backup (unexpected members)")
            for name, digest in wanted.items():
                archive.extract(name, scratch)
                if _sha256(Path(scratch) / name) != digest:
                    raise DataError(f"{source}: {name} is damaged (its sha256 differs); use another backup")
            for leftover in (f"{CATALOG_NAME}-wal", f"{CATALOG_NAME}-shm"):
                (folder / leftover).unlink(missing_ok=True)
            for name in wanted:
                (Path(scratch) / name).replace(folder / name)
            shutil.rmtree(folder / INDEX_FOLDER, ignore_errors=True)  # of the former catalog: remade when needed
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise DataError(f"{source}: is not a Lunheng backup, or is damaged ({error})") from error
    return {"folder": str(folder), **manifest}
