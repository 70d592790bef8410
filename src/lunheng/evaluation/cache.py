"""Where the knowledge bases of labelled sets are kept between runs, and how many of them.

Called by ``lunheng eval retrieval``. They are made from the set and the settings, so that losing one costs time only.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lunheng.config import cache_dir

KEPT = 12
"""Knowledge bases that stay: those of the benchmarks, and a few of the user's own."""


def evaluation_folder(digest: str) -> Path:
    """The folder for the set and settings that ``digest`` stands for, now the latest used; beyond ``KEPT``, the
    least recently used of the others are deleted."""
    home = cache_dir() / "evaluation"
    folder = home / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    others = sorted((f for f in home.iterdir() if f.is_dir() and f != folder), key=_last_used, reverse=True)
    for old in others[KEPT - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _last_used(folder: Path) -> float:
    """Seconds since 1970; the files count too, for who opened it without asking here."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except FileNotFoundError:  # another process is deleting it
        return 0.0
