"""What every ``VectorIndex`` must do. Called by tests/conformance and by authors of their own index.

Each check takes ``open_index(folder, dimension)`` and an empty folder.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lunheng.errors import DimensionError
from lunheng.protocols import Keys, VectorIndex, Vectors

OpenIndex = Callable[[Path, int], VectorIndex]

DIMENSION = 32


def clustered(n: int, clusters: int, seed: int = 0) -> tuple[Vectors, Keys]:
    """``n`` unit vectors in uneven clusters (sizes fall as 1/rank), and the cluster of each."""
    random = np.random.default_rng(seed)
    weights = 1 / np.arange(1, clusters + 1)
    labels = random.choice(clusters, size=n, p=weights / weights.sum())
    centres = random.normal(size=(clusters, DIMENSION))
    rows = centres[labels] + 0.5 * random.normal(size=(n, DIMENSION))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), labels.astype(np.int64)


def nearest(rows: Vectors, keys: Keys, vector: Vectors, k: int, allowed: Keys | None = None) -> list[int]:
    """The truth: the keys of the ``k`` highest cosines."""
    scores = rows @ vector
    if allowed is not None:
        scores = np.where(np.isin(keys, allowed), scores, -np.inf)
    order = np.argsort(-scores, kind="stable")[:k]
    return [int(keys[i]) for i in order if scores[i] > -np.inf]


def check_empty(open_index: OpenIndex, folder: Path) -> None:
    index = open_index(folder, DIMENSION)
    vector = np.ones(DIMENSION, dtype=np.float32)
    assert index.count() == 0
    assert index.keys().tolist() == []
    assert index.search(vector, 5) == []
    assert index.search(vector, 5, np.array([1, 2])) == []
    index.delete(np.array([1], dtype=np.int64))
    index.upsert(np.empty(0, dtype=np.int64), np.empty((0, DIMENSION), dtype=np.float32))
    index.flush()
    index.close()


def check_scores_and_order(open_index: OpenIndex, folder: Path) -> None:
    """Cosines to 1e-5, best first, and the whole index when k is larger than it."""
    rows, _ = clustered(50, 5)
    keys = np.arange(100, 150, dtype=np.int64)
    index = open_index(folder, DIMENSION)
    index.upsert(keys, rows)
    found = index.search(rows[7], 500)
    assert sorted(key for key, _ in found) == keys.tolist()
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert found[0][0] == 107
    truth = dict(zip(keys.tolist(), (rows @ rows[7]).tolist(), strict=True))
    assert dict(found) == pytest.approx(truth, abs=1e-5)
    assert index.search(rows[7], 0) == []
    # A query of another length has the same cosines.
    assert index.search(3 * rows[7], 1)[0][1] == pytest.approx(1.0, abs=1e-5)
    index.close()


def check_upsert_replaces(open_index: OpenIndex, folder: Path) -> None:
    rows, _ = clustered(20, 3)
    index = open_index(folder, DIMENSION)
    index.upsert(np.arange(20, dtype=np.int64), rows)
    index.upsert(np.array([3, 99, 3], dtype=np.int64), np.stack([rows[0], rows[1], -rows[3]]))
    assert index.count() == 21
    assert index.keys().tolist() == [*range(20), 99]
    assert dict(index.search(-rows[3], 1)) == pytest.approx({3: 1.0}, abs=1e-5)
    assert dict(index.search(rows[3], 21))[3] == pytest.approx(-1.0, abs=1e-5)
    index.close()


def check_delete(open_index: OpenIndex, folder: Path) -> None:
    """Deleted keys vanish at once, k rows stay k rows, also when most are gone."""
    rows, _ = clustered(400, 10)
    keys = np.arange(400, dtype=np.int64)
    index = open_index(folder, DIMENSION)
    index.upsert(keys, rows)
    for gone in (keys[::2], keys[:300], keys):
        index.delete(np.append(gone, 7777))
        left = np.setdiff1d(index.keys(), gone)
        assert index.keys().tolist() == left.tolist()
        assert index.count() == left.size
        found = [key for key, _ in index.search(rows[0], 20)]
        assert len(found) == min(20, left.size)
        assert set(found) <= set(left.tolist())
    index.upsert(keys[:1], rows[:1])
    assert [key for key, _ in index.search(rows[0], 5)] == [0]
    index.close()


def check_filtered(open_index: OpenIndex, folder: Path, n: int = 12_000) -> None:
    """The hardest case: tenants that are clusters, asked from near and from far.

    Recall of the ten nearest is at least .95 for every size of tenant, and k rows come whenever k are
    allowed. The graph, if there is one, is built (``flush``) before.
    """
    rows, tenants = clustered(n, 40)
    keys = np.arange(n, dtype=np.int64) * 3 + 1
    index = open_index(folder, DIMENSION)
    index.upsert(keys, rows)
    index.flush()
    random = np.random.default_rng(1)
    allowed_sets = [keys[tenants == t] for t in (0, 1, 5, 20, 39)]
    allowed_sets.append(keys[tenants != 0])
    allowed_sets.append(keys[random.random(n) < 0.6])
    allowed_sets.append(keys[random.random(n) < 0.01])
    allowed_sets.append(np.sort(np.append(keys[tenants == 2][:4], [5, 3 * n + 2])))  # two unknown to the index
    for allowed in allowed_sets:
        known = int(np.isin(allowed, keys).sum())
        recalls = []
        for row in random.choice(n, size=20, replace=False):
            found = [key for key, _ in index.search(rows[row], 10, allowed)]
            assert len(found) == min(10, known), f"{len(found)} rows of {known} allowed"
            assert np.isin(found, allowed).all()
            truth = nearest(rows, keys, rows[row], 10, allowed)
            recalls.append(len(set(found) & set(truth)) / len(truth))
        assert np.mean(recalls) >= 0.95, f"recall {np.mean(recalls):.3f} among {known} allowed"
    unfiltered = [
        len({key for key, _ in index.search(rows[row], 10)} & set(nearest(rows, keys, rows[row], 10))) / 10
        for row in random.choice(n, size=50, replace=False)
    ]
    assert np.mean(unfiltered) >= 0.95, f"unfiltered recall {np.mean(unfiltered):.3f}"
    assert index.search(rows[0], 10, np.empty(0, dtype=np.int64)) == []
    index.close()


def check_duplicates(open_index: OpenIndex, folder: Path) -> None:
    """The same vector a thousand times, which tears graphs apart: still k rows."""
    rows, _ = clustered(200, 4)
    same = np.repeat(rows[:1], 1000, axis=0)
    index = open_index(folder, DIMENSION)
    index.upsert(np.arange(1000, dtype=np.int64), same)
    index.upsert(np.arange(1000, 1200, dtype=np.int64), rows)
    assert len(index.search(rows[50], 60)) == 60
    assert len(index.search(rows[0], 1200)) == 1200
    index.close()


def check_reopen(open_index: OpenIndex, folder: Path) -> None:
    """What was flushed is there again, deletions and replacements included, and can be changed further."""
    rows, _ = clustered(300, 6)
    index = open_index(folder, DIMENSION)
    index.upsert(np.arange(300, dtype=np.int64), rows)
    index.flush()
    index.delete(np.arange(0, 50, dtype=np.int64))
    index.upsert(np.array([60], dtype=np.int64), rows[:1])
    index.flush()
    before = index.search(rows[0], 10)
    index.close()
    again = open_index(folder, DIMENSION)
    assert again.keys().tolist() == list(range(50, 300))
    assert again.search(rows[0], 10) == before
    again.upsert(np.array([7], dtype=np.int64), rows[7:8])
    assert again.count() == 251
    assert again.search(rows[7], 1)[0][0] == 7
    again.close()


def check_dimension(open_index: OpenIndex, folder: Path) -> None:
    rows, _ = clustered(5, 2)
    index = open_index(folder, DIMENSION)
    index.upsert(np.arange(5, dtype=np.int64), rows)
    with pytest.raises(DimensionError, match="lunheng rebuild"):
        index.upsert(np.array([9], dtype=np.int64), rows[:1, :-1])
    with pytest.raises(DimensionError):
        index.search(rows[0, :-1], 3)
    assert index.count() == 5
    index.flush()
    index.close()
    with pytest.raises(DimensionError, match="lunheng rebuild"):
        open_index(folder, DIMENSION + 1)


def check_drop(open_index: OpenIndex, folder: Path) -> None:
    """Nothing is left on disk, and the folder can be used again."""
    rows, _ = clustered(30, 2)
    index = open_index(folder, DIMENSION)
    index.upsert(np.arange(30, dtype=np.int64), rows)
    index.flush()
    index.drop()
    assert not folder.exists() or not any(folder.iterdir())
    index.close()
    again = open_index(folder, DIMENSION)
    assert again.count() == 0
    again.upsert(np.arange(3, dtype=np.int64), rows[:3])
    assert again.keys().tolist() == [0, 1, 2]
    again.close()


def check_concurrent(open_index: OpenIndex, folder: Path) -> None:
    """Readers beside a writer: every answer has k rows of existing keys with their own scores."""
    rows, _ = clustered(2000, 10)
    keys = np.arange(2000, dtype=np.int64)
    index = open_index(folder, DIMENSION)
    index.upsert(keys[:1000], rows[:1000])
    failures: list[str] = []
    done = threading.Event()

    def read(seed: int) -> None:
        random = np.random.default_rng(seed)
        try:
            while not done.is_set():
                row = int(random.integers(1000))
                allowed = keys[:900] if seed % 2 else None
                found = index.search(rows[row], 10, allowed)
                if len(found) != 10:
                    failures.append(f"{len(found)} rows")
                failures.extend(
                    f"key {key}: {score}" for key, score in found if abs(float(rows[key] @ rows[row]) - score) > 1e-4
                )
        except Exception as error:
            failures.append(repr(error))
            raise

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for at in range(1000, 2000, 100):
        index.upsert(keys[at : at + 100], rows[at : at + 100])
        index.delete(keys[at : at + 50])
        index.flush()
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert index.count() == 1500
    index.close()


CHECKS = (
    check_empty,
    check_scores_and_order,
    check_upsert_replaces,
    check_delete,
    check_filtered,
    check_duplicates,
    check_reopen,
    check_dimension,
    check_drop,
    check_concurrent,
)
