"""What tells that a file is unchanged: one hash over its bytes and its sidecar's.

Called by ``dispatch`` and by ingest, which skips a file whose hash the catalog already has.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from lunheng.errors import ParseError
from lunheng.parsing.metadata import sidecar_of

BLOCK = 1 << 20


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
