"""Files inside files: members of archives and attachments of mails, each read by its own parser.

Called by the parsers of zip, eml and msg. A member's bytes go to a private temporary file under a name
made here (the name that the member claims never becomes a path), its elements come below a heading with
that name, and whatever is wrong with it costs a warning that names it, not the document.
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from lunheng.errors import LunhengError
from lunheng.parsing.builder import DocumentBuilder
from lunheng.types import Limits

MAX_DEPTH = 4
"""Files in files in files: deeper ones are left out."""
MAX_MEMBERS = 10_000
MAX_WARNINGS = 100
TIME_SHARE = 0.8
"""Members may use so much of the time of the whole file: what was read by then is kept, not ended with the rest."""


@dataclass
class Allowance:
    """What all members of one file may still use, those of nested files included."""

    bytes_left: int
    members_left: int = MAX_MEMBERS
    depth: int = 0
    ocr: str = "auto"
    ends: float = float("inf")
    """When, on the monotonic clock, no further member is begun."""


def new_allowance(limits: Limits, ocr: str) -> Allowance:
    """The allowance of a file that is not inside another."""
    return Allowance(limits.max_expanded_bytes, ocr=ocr, ends=time.monotonic() + TIME_SHARE * limits.max_seconds)


def add_member(
    builder: DocumentBuilder, name: str, data: bytes, level: int, limits: Limits, allowance: Allowance
) -> None:
    """Parse ``data`` as a file called ``name`` and add it below a heading of ``level``."""
    from lunheng.parsing.dispatch import parse_here

    shown = shown_name(name)
    if not data:
        _warn(builder, f"{shown}: left out, it is empty")
        return
    if allowance.depth >= MAX_DEPTH:
        _warn(builder, f"{shown}: left out, it is nested over {MAX_DEPTH} files deep; unpack it and add it by itself")
        return
    if allowance.members_left <= 0 or len(data) > allowance.bytes_left:
        _warn(builder, f"{shown}: left out, the file holds over {MAX_MEMBERS:,} files or parsing.max_expanded_bytes")
        return
    seconds = allowance.ends - time.monotonic()
    if seconds <= 0:
        _warn(builder, f"{shown}: left out, the time for the whole file is used up (parsing.max_seconds)")
        return
    pictures = limits.describe_figures - len(builder.pictures)
    if limits.describe_figures and pictures <= 0:
        _warn(builder, f"only {limits.describe_figures} pictures were described; raise parsing.describe_figures")
    limits = replace(limits, max_seconds=min(limits.max_seconds, seconds), describe_figures=max(pictures, 0))
    allowance.members_left -= 1
    allowance.bytes_left -= len(data)
    allowance.depth += 1
    try:
        with tempfile.TemporaryDirectory(prefix="lunheng-") as folder:
            path = Path(folder) / safe_name(name)
            path.write_bytes(data)
            try:
                document = parse_here(path, limits, allowance.ocr, allowance)
            except LunhengError as error:
                _warn(builder, f"{shown}: {_without_path(str(error), path)}")
                return
    finally:
        allowance.depth -= 1
    for warning in document.warnings:
        _warn(builder, f"{shown}: {_without_path(warning, path)}")
    if document.elements:
        builder.heading(shown, level)
        builder.graft(document.elements, level, document.pictures)


def shown_name(name: str) -> str:
    """A member's name as people read it: one line, forward slashes, no way out of the archive."""
    parts = [part for part in re.split(r"[/\\]+", " ".join(name.split())) if part not in ("", ".", "..")]
    return "/".join(parts) or "unnamed"


def safe_name(name: str) -> str:
    """A file name that keeps a member's ending, which tells kinds of text apart, and nothing that could harm."""
    last = shown_name(name).rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9.-]", "_", last).lstrip(".-")[-60:].lstrip(".-") or "member"


def _without_path(message: str, path: Path) -> str:
    return message.replace(f"{path}: ", "").replace(str(path), path.name)


def _warn(builder: DocumentBuilder, message: str) -> None:
    """Add a warning; a thousand broken members do not need a thousand of them."""
    if len(builder.warnings) < MAX_WARNINGS:
        builder.warn(message)
    elif len(builder.warnings) == MAX_WARNINGS:
        builder.warn(f"over {MAX_WARNINGS} warnings about the files inside it: the rest are not listed")
