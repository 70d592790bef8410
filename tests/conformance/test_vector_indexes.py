"""Every embedded vector index against the suite, and what a kill or damage does to its files."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lunheng.errors import IndexDamagedError, MissingExtraError
from lunheng.indexes.vectors import open_vector_index
from lunheng.testing import vector_index
from lunheng.testing.vector_index import DIMENSION, OpenIndex, clustered

KINDS = ("exact", "qdrant", "faiss")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", vector_index.CHECKS, ids=lambda check: check.__name__)
def test_conforms(kind: str, check: Callable[[OpenIndex, Path], None], tmp_path: Path) -> None:
    check(partial(open_vector_index, kind), tmp_path / "index")


_KILLED = """
import os, sys, pathlib, numpy as np
from lunheng.indexes.vectors import open_vector_index
from lunheng.testing.vector_index import DIMENSION, clustered
rows, _ = clustered(3000, 10)
keys = np.arange(3000)
index = open_vector_index(sys.argv[1], pathlib.Path(sys.argv[2]), DIMENSION)
index.upsert(keys[:1000], rows[:1000])
index.delete(keys[:100])
index.flush()
index.upsert(keys[1000:], rows[1000:])
index.delete(keys[100:200])
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_holds_after_a_kill_what_was_flushed(kind: str, tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", _KILLED, kind, str(tmp_path)], check=False)
    assert run.returncode == -signal.SIGKILL
    rows, _ = clustered(3000, 10)
    index = open_vector_index(kind, tmp_path, DIMENSION)
    held = set(index.keys().tolist())
    assert set(range(200, 1000)) <= held
    assert not held & set(range(100))
    assert index.search(rows[500], 1)[0] == (500, pytest.approx(1.0, abs=1e-5))
    # The caller repeats the batch that it had not marked.
    index.upsert(np.arange(1000, 3000), rows[1000:])
    index.delete(np.arange(100, 200))
    assert index.keys().tolist() == list(range(200, 3000))
    index.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_damage_is_told_with_its_remedy(kind: str, share: float, tmp_path: Path) -> None:
    rows, _ = clustered(500, 5)
    index = open_vector_index(kind, tmp_path, DIMENSION)
    index.upsert(np.arange(500), rows)
    index.flush()
    index.close()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(IndexDamagedError, match="lunheng rebuild"):
        open_vector_index(kind, tmp_path, DIMENSION)


def test_qdrant_answers_while_its_graph_is_built(tmp_path: Path) -> None:
    """The library itself would hold Python's global lock all the while."""
    rows, _ = clustered(12_000, 10)
    index = open_vector_index("qdrant", tmp_path, DIMENSION)
    index.upsert(np.arange(12_000), rows)
    building = threading.Thread(target=index.flush)
    building.start()
    answers = 0
    while building.is_alive():
        assert len(index.search(rows[0], 5)) == 5
        answers += 1
    building.join()
    assert answers > 5
    assert index.search(rows[0], 1)[0][0] == 0
    index.close()


def test_qdrant_builds_its_graph_when_flushed(tmp_path: Path) -> None:
    """So that the filtered check above has met a graph, and not only scans."""
    rows, _ = clustered(12_000, 10)
    index = open_vector_index("qdrant", tmp_path, DIMENSION)
    index.upsert(np.arange(12_000), rows)
    index.flush()
    config = next((tmp_path / "shard").rglob("hnsw_config.json"))
    assert config.parent.joinpath("links_compressed.bin").stat().st_size > 100_000
    assert index.count() == 12_000
    index.close()


def test_qdrant_survives_a_kill_between_the_two_renames(tmp_path: Path) -> None:
    rows, _ = clustered(100, 5)
    index = open_vector_index("qdrant", tmp_path, DIMENSION)
    index.upsert(np.arange(100), rows)
    index.flush()
    index.close()
    (tmp_path / "shard").rename(tmp_path / "shard.old")
    (tmp_path / "shard.copy-0").mkdir()
    again = open_vector_index("qdrant", tmp_path, DIMENSION)
    assert again.count() == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shard"]
    again.close()


def test_missing_faiss_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lunheng\[faiss\]'"):
        open_vector_index("faiss", tmp_path, DIMENSION)


def test_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exact, qdrant and faiss"):
        open_vector_index("annoy", tmp_path, DIMENSION)
