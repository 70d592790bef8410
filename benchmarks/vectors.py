"""Compare the embedded vector indexes: build, search, filtered search, recall.

    python benchmarks/vectors.py [--vectors 100000] [--dimension 384] [--kinds exact qdrant faiss]

Vectors lie in 1,000 uneven clusters. Filters: none; a random 1%; a tenant (a cluster of about 1%, asked
from anywhere); everything but the largest cluster. Called by ``make bench-indexes``; writes ``reports/vectors.md``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np

from common import machine, table, versions, write_part
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    table_rows: list[tuple[str, ...]] = []
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
                p99 = statistics.quantiles(times, n=100)[98]
                cells = (f"{p50:.2f}", f"{p99:.2f}", f"{p50 / base[label]:.2f}", f"{recall:.3f}", str(fewest))
                table_rows.append((kind, f"{build:.1f}", f"{size:.0f}", label, *cells))
                print(*table_rows[-1], sep="  ", flush=True)
            index.close()
    header = ("index", "build s", "MB", "filter", "p50 ms", "p99 ms", "p50 over exact", "recall@10", "fewest rows")
    write_part(
        "vectors",
        f"""## The vector indexes

{n:,} vectors of {given.dimension} dimensions in 1,000 uneven clusters (seed 0), {QUERIES} queries, the first {K};
against the exact scan over memory-mapped float32. {machine()}; {versions("qdrant-edge-py", "faiss-cpu", "numpy")}.
{date.today()}. Filters: none; a random 1%; a tenant (a cluster of about 1%, asked from anywhere); everything but the
largest cluster.

{table(header, table_rows)}""",
    )


if __name__ == "__main__":
    main()
