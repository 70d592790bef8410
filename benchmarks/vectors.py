"""Compare the embedded vector indexes: build, search, filtered search, recall.

    python benchmarks/vectors.py [--vectors 100000] [--dimension 384] [--kinds exact qdrant faiss]

Vectors lie in 1,000 uneven clusters. Filters: none; a random 1%; a tenant (a cluster of about 1%, asked
from anywhere); everything but the largest cluster. ``x exact`` is the time against the exact scan.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from lunheng.indexes.vectors import open_vector_index
from lunheng.protocols import Keys, Vectors

K = 10
QUERIES = 100
BATCH = 5_000


def clustered(n: int, dimension: int) -> tuple[Vectors, Keys]:
    random = np.random.default_rng(0)
    weights = 1 / np.arange(1, 1001)
    labels = random.choice(1000, size=n, p=weights / weights.sum())
    centres = random.standard_normal((1000, dimension), dtype=np.float32)
    rows = centres[labels] + 0.8 * random.standard_normal((n, dimension), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, labels.astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--kinds", nargs="+", default=["exact", "qdrant", "faiss"])
    given = parser.parse_args()
    n = given.vectors
    rows, labels = clustered(n, given.dimension)
    keys = np.arange(1, n + 1, dtype=np.int64)
    random = np.random.default_rng(1)
    sizes = np.bincount(labels, minlength=1000)
    tenant = int(np.abs(sizes - n // 100).argmin())
    filters: dict[str, Keys | None] = {
        "none": None,
        "random 1%": keys[random.random(n) < 0.01],
        "tenant 1%": keys[labels == tenant],
        "all but one": keys[labels != 0],
    }
    asked = random.choice(n, QUERIES, replace=False)
    truth: dict[str, list[set[int]]] = {}
    base: dict[str, float] = {}
    print(f"{n} vectors of {given.dimension} dimensions, top {K}, {QUERIES} queries")
    print(
        f"{'index':8}{'build s':>9}{'MB':>7}  {'filter':14}{'p50 ms':>8}{'p99 ms':>8}{'x exact':>9}{'recall':>8}{'fewest rows':>13}"
    )
    for kind in dict.fromkeys(["exact", *given.kinds]):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / kind
            index = open_vector_index(kind, folder, given.dimension)
            start = time.perf_counter()
            for at in range(0, n, BATCH):
                index.upsert(keys[at : at + BATCH], rows[at : at + BATCH])
            index.flush()
            build = time.perf_counter() - start
            size = sum(512 * path.stat().st_blocks for path in folder.rglob("*") if path.is_file()) / 1e6
            for label, allowed in filters.items():
                times, found = [], []
                for row in asked:
                    begin = time.perf_counter()
                    found.append({key for key, _ in index.search(rows[row], K, allowed)})
                    times.append(1000 * (time.perf_counter() - begin))
                truth.setdefault(label, found)
                p50 = statistics.median(times)
                base.setdefault(label, p50)
                recall = statistics.mean(len(a & b) / len(b) for a, b in zip(found, truth[label], strict=True))
                fewest = min(map(len, found))
                print(
                    f"{kind:8}{build:9.1f}{size:7.0f}  {label:14}{p50:8.2f}{statistics.quantiles(times, n=100)[98]:8.2f}"
                    f"{p50 / base[label]:9.2f}{recall:8.3f}{fewest:13}",
                    flush=True,
                )
            index.close()


if __name__ == "__main__":
    main()
