"""Files to documents: one module a format, each run in a child process under limits.

``parse_file`` is the way in. ``SUFFIXES`` tells a folder scan what to offer, ``is_sidecar`` what to
leave out, ``file_state`` and ``hash_file`` what has not changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lunheng.parsing.detect import SUFFIXES
from lunheng.parsing.hashing import file_state, hash_file
from lunheng.parsing.metadata import is_sidecar
from lunheng.types import Document

if TYPE_CHECKING:
    from lunheng.config import ParsingSettings

VERSION = "2"
"""Raised whenever a parser gives other text or structure than before, so that documents are parsed again."""

__all__ = ["SUFFIXES", "VERSION", "file_state", "fingerprint", "hash_file", "is_sidecar", "parse_file"]


def parse_file(path: Path | str, settings: ParsingSettings | None = None) -> Document:
    """Parse a file in a child process, within the limits of ``settings``.

    The type is read from the bytes. Safe to call from many threads: each call has its own child.

    Raises:
        UnsupportedFormatError: no parser reads this type.
        EncryptedError: it is locked with a password.
        LimitError: it asks for more bytes, pages, cells, nesting, memory or time than allowed.
        ParseError: it is missing, empty, truncated or damaged.
    """
    from lunheng.config import ParsingSettings
    from lunheng.parsing.sandbox import shared

    settings = settings or ParsingSettings()
    return shared().parse(Path(path).absolute(), settings.limits(), settings.ocr)


def fingerprint(settings: ParsingSettings) -> str:
    """Changes whenever the same file may parse differently: parser version, OCR engine in use, how sheets and figures are read."""
    from lunheng.parsing.ocr import engine_name

    read_as = (settings.wide_sheet_columns, settings.ocr_figures, settings.describe_figures)
    return "-".join(("parsing", VERSION, engine_name(settings.ocr) or "no-ocr", *map(str, read_as)))
