"""How many knowledge bases of labelled sets are kept, and which."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lunheng.evaluation.cache import KEPT, evaluation_folder


def test_the_least_recently_used_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNHENG_CACHE", str(tmp_path))
    made = [evaluation_folder(f"{n:016d}") for n in range(KEPT)]
    for age, folder in enumerate(reversed(made)):
        (folder / "catalog.db").touch()
        for path in (folder / "catalog.db", folder):
            os.utime(path, (1e9 - age, 1e9 - age))
    assert evaluation_folder(f"{0:016d}") == made[0]  # used again: now the latest
    os.utime(made[1] / "catalog.db")  # opened without asking
    evaluation_folder("new" * 8)
    assert {f.name for f in made if not f.exists()} == {made[2].name}
    assert len(list((tmp_path / "evaluation").iterdir())) == KEPT
