"""A cache of its own for tests that pull, and servers to pull from."""

from pathlib import Path

import pytest


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No model is here."""
    monkeypatch.setenv("LUNHENG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
