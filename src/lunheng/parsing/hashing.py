"""What tells that a file is unchanged: its size and times, else one hash over its bytes and its sidecar's.

Called by ``dispatch`` and by ingest, which skips a file whose state or hash the catalog already has.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from lunheng.errors import ParseError
from lunheng.parsing.metadata import SIDECAR_SUFFIX, sidecar_of

BLOCK = 1 << 20


SETTLED_SECONDS = 2.0
"""A file that changed more lately than this may change again without its times telling so, which are as coarse as 2 s
on some file systems."""


def file_state(source: Path) -> str | None:
    """Size, times and inode of the file and of its sidecar: while they stay, so do the bytes.

    None where that is not sure: the file changed a moment ago, or cannot be looked at. To be taken before the
    bytes are read, so that what changes afterwards changes the state.
    """
    parts = []
    for path in (str(source), f"{source}{SIDECAR_SUFFIX}"):
        try:
            stat = os.stat(path)  # noqa: PTH116  a folder may hold a million files, and pathlib takes its time
        except FileNotFoundError:
            parts.append("none")
            continue
        except OSError:
            return None
        if time.time() - max(stat.st_mtime, stat.st_ctime) < SETTLED_SECONDS:
            return None
        parts.append(f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ctime_ns}-{stat.st_ino}")
    return " ".join(parts)


def hash_file(source: Path) -> str:
    """The hex BLAKE2b of the file's bytes, and of its sidecar's where it has one.

    Raises:
        ParseError: if the file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    sidecar = sidecar_of(source)
    try:
        for path in (source, sidecar) if sidecar.is_file() else (source,):
            digest.update(path.stat().st_size.to_bytes(8, "little"))
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
    except OSError as error:
        raise ParseError(
            f"{source}: cannot be read ({error.strerror or error}); check its path and permissions"
        ) from error
    return digest.hexdigest()
