"""Looks at a zip container before any library unpacks it: total size, ratio, number of members.

Called by the parsers of docx, pptx and xlsx. The sizes in the directory are the file's own claim;
a claim that is false is caught by the child's memory limit, since zipfile stops at the claimed size.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from lunheng.errors import EncryptedError, LimitError, ParseError
from lunheng.types import Limits

MAX_MEMBERS = 50_000
RATIO_FLOOR = 10_000_000
"""A member smaller than this may be packed as tightly as it likes."""


def check_zip(source: Path, limits: Limits) -> None:
    """Raise unless ``source`` is a sound zip that unpacks within the limits.

    Raises:
        ParseError: for a damaged container.
        EncryptedError: for a member with a password.
        LimitError: for too many members, too large a total, or too high a ratio.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ParseError(f"{source}: a damaged or truncated zip container ({error}); fetch it again") from error
    total = sum(m.file_size for m in members)
    if len(members) > MAX_MEMBERS:
        raise LimitError(f"{source}: {len(members):,} members, over the limit of {MAX_MEMBERS:,}; not a document")
    if total > limits.max_expanded_bytes:
        raise LimitError(
            f"{source}: unpacks to {total:,} bytes, over the limit of {limits.max_expanded_bytes:,}; "
            "if you trust it, raise parsing.max_expanded_bytes"
        )
    for member in members:
        if member.flag_bits & 1:
            raise EncryptedError(f"{source}: {member.filename} is locked with a password; save it without one")
        ratio = member.file_size / max(member.compress_size, 1)
        if member.file_size > RATIO_FLOOR and ratio > limits.max_expansion_ratio:
            raise LimitError(
                f"{source}: {member.filename} unpacks to {ratio:.0f} times its size, over the limit of "
                f"{limits.max_expansion_ratio:.0f}; if you trust it, raise parsing.max_expansion_ratio"
            )
