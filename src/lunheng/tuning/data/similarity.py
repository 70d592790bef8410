"""Texts that are the same, or nearly: exact after normalising, near by MinHash over character n-grams.

Called by ``check``. MinHash: Broder 1997; banding into a locality-sensitive hash: Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, chapter 3. In numpy, since the texts are hashed anyway: datasketch takes 4 ms a text.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lunheng.text.language import is_chinese
from lunheng.text.normalise import normalise

GRAMS = {True: 3, False: 5}
"""Characters of an n-gram, in Chinese and elsewhere: a Chinese character says as much as a few letters."""
PERMUTATIONS = 64
BANDS = 16
"""Of 4 rows each: pairs of Jaccard similarity .8 are candidates with probability .9998, of .4 with .34."""
NEAR = 0.8
_PRIME = np.uint64(4_294_967_311)
"""The first above 2**32, so that multiplying by up to 2**31 shuffles the hashes."""
Signature = NDArray[np.uint64]


def key_of(text: str) -> str:
    """The same for texts that differ only in case, width, script variant, spaces and punctuation."""
    return re.sub(r"\W+", "", normalise(text))


def near_pairs(texts: Sequence[str], others: Sequence[str] | None = None) -> Iterator[tuple[int, int, float]]:
    """(i, j, estimated Jaccard similarity) for the pairs of ``NEAR`` and more: among ``texts`` (i < j), or of ``texts``
    with ``others``. Texts shorter than an n-gram are left to the exact comparison."""
    mine = _signatures(texts)
    theirs = mine if others is None else _signatures(others)
    for i, j in sorted(_candidates(mine, theirs, others is None)):
        similarity = float(np.mean(mine[i] == theirs[j]))
        if similarity >= NEAR:
            yield i, j, similarity


def _candidates(mine: dict[int, Signature], theirs: dict[int, Signature], same: bool) -> set[tuple[int, int]]:
    rows = PERMUTATIONS // BANDS
    found: set[tuple[int, int]] = set()
    for band in range(BANDS):
        buckets: dict[bytes, list[int]] = defaultdict(list)
        for j, signature in theirs.items():
            buckets[signature[band * rows : (band + 1) * rows].tobytes()].append(j)
        for i, signature in mine.items():
            for j in buckets.get(signature[band * rows : (band + 1) * rows].tobytes(), ()):
                if not same or i < j:
                    found.add((i, j))
    return found


def _signatures(texts: Sequence[str]) -> dict[int, Signature]:
    chance = np.random.default_rng(20_260)
    a = chance.integers(1 << 20, 1 << 31, PERMUTATIONS, dtype=np.uint64)
    b = chance.integers(0, 1 << 31, PERMUTATIONS, dtype=np.uint64)
    made: dict[int, Signature] = {}
    for index, text in enumerate(texts):
        key, size = key_of(text), GRAMS[is_chinese(text)]
        if len(key) < size:
            continue
        grams = {key[i : i + size] for i in range(len(key) - size + 1)}
        hashes = np.fromiter((zlib.crc32(g.encode()) for g in grams), np.uint64, len(grams))
        # Products stay below 2**63.
        made[index] = ((hashes[:, None] * a + b) % _PRIME).min(axis=0)
    return made
