"""What every side of the comparison shares: the model or the table of vectors, the clock, the questions, the report.

Imported by the sides beside it, each in its own virtual environment: standard library, numpy, ONNX Runtime and
tokenizers only. A side is started as ``python SIDE.py JOB``, where JOB is JSON, and prints JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

DIMENSION = 384
PREFIXES = {"query": "query: ", "passage": "passage: "}
WINDOW = 512
K = 10


class Model(Protocol):
    """Vectors of texts, and how long they took."""

    seconds: float

    def embed(self, texts: Sequence[str], kind: str) -> np.ndarray: ...


class E5:
    """multilingual-e5-small as Lunheng runs it: one text a run, as many texts at once as there are cores."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["SkipLayerNormFusion"],
        )
        self._inputs = {i.name for i in self._session.get_inputs()}
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(WINDOW)
        self._pool = ThreadPoolExecutor(os.cpu_count())
        self.seconds = 0.0

    def embed(self, texts: Sequence[str], kind: str) -> np.ndarray:
        start = time.perf_counter()
        encodings = self._tokenizer.encode_batch_fast([PREFIXES[kind] + t for t in texts])
        ids = [np.array(e.ids, np.int64)[None] for e in encodings]
        if len(ids) == 1:
            rows = [self._vector(ids[0])]
        else:
            order = sorted(range(len(ids)), key=lambda i: -ids[i].size)
            done = dict(zip(order, self._pool.map(lambda i: self._vector(ids[i]), order), strict=True))
            rows = [done[i] for i in range(len(ids))]
        self.seconds += time.perf_counter() - start
        return np.stack(rows)

    def _vector(self, ids: np.ndarray) -> np.ndarray:
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        if "token_type_ids" in self._inputs:
            given["token_type_ids"] = np.zeros_like(ids)
        mean = self._session.run(["last_hidden_state"], given)[0][0].mean(axis=0)
        return mean / np.linalg.norm(mean)


class Table:
    """Vectors looked up by text, read from a file: a model that takes no time worth naming."""

    def __init__(self, vectors: Path, texts: Sequence[str], queries: Sequence[str]) -> None:
        self._file = os.open(vectors, os.O_RDONLY)
        self._rows = {_key(t): i for i, t in enumerate([*texts, *queries])}
        self.seconds = 0.0

    def embed(self, texts: Sequence[str], kind: str) -> np.ndarray:
        start = time.perf_counter()
        size = DIMENSION * 4
        data = b"".join(os.pread(self._file, size, self._rows[_key(t)] * size) for t in texts)
        self.seconds += time.perf_counter() - start
        return np.frombuffer(data, np.float32).reshape(len(texts), DIMENSION)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


class Side(Protocol):
    """One framework's pipeline. Every method that writes ends with the state on disk."""

    def add_folder(self, folder: Path) -> None:
        """Index the text files of ``folder``, each one chunk, by the framework's own loader."""

    def add_folder_again(self, folder: Path) -> None:
        """In a new process: open the state and bring it up to date with ``folder``."""

    def add_texts(self, texts: list[str]) -> None:
        """Index ``texts``, each one chunk, from memory."""

    def ready(self) -> None:
        """Do what must be done once before the first search, in the process that indexed or in a new one."""

    def count(self) -> int:
        """Chunks held."""

    def search(self, query: str, k: int) -> list[str]:
        """The texts of the ``k`` best chunks."""

    def close(self) -> None: ...


def main(make: Callable[[Model, Path], Side], open_model: Callable[[Path], Model] = E5) -> None:
    """Run the job in ``sys.argv[1]`` on the side that ``make`` gives, and print what was measured."""
    job: dict[str, Any] = json.loads(sys.argv[1])
    questions = _read(job["queries"])
    texts = [row["text"] for row in _read(job["texts"])] if job["task"] == "texts" else []
    model: Model
    if job["task"] == "texts":
        model = Table(Path(job["vectors"]), texts, [q["text"] for q in questions])
    else:
        model = open_model(Path(job["model"]))
        model.embed(["warm-up"], "query")
        model.seconds = 0.0
    before = _peak_mb()
    start = time.perf_counter()
    side = make(model, Path(job["state"]))
    if job["task"] == "folder":
        side.add_folder(Path(job["folder"]))
    elif job["task"] == "again":
        side.add_folder_again(Path(job["folder"]))
    else:
        side.add_texts(texts)
    seconds, in_model = time.perf_counter() - start, model.seconds
    result: dict[str, Any] = {
        "seconds": seconds,
        "seconds_without_model": seconds - in_model,
        "peak_mb": _peak_mb(),
        "peak_mb_before": before,
    }
    if job["task"] != "again":
        side.ready()
        result["seconds_to_ready"] = time.perf_counter() - start
        result |= _ask(side, model, questions, job["query_seconds"])
        result["peak_mb_with_queries"] = _peak_mb()
    result["chunks"] = side.count()
    side.close()
    print("\n" + json.dumps(result))


def _ask(side: Side, model: Model, questions: list[dict[str, Any]], limit: float) -> dict[str, Any]:
    """Each question once after a warm-up, until ``limit`` seconds are over."""
    for row in questions[:5]:
        side.search(row["text"], K)
    whole: list[float] = []
    without: list[float] = []
    first = ten = asked = 0
    end = time.perf_counter() + limit
    for row in questions:
        in_model, start = model.seconds, time.perf_counter()
        found = side.search(row["text"], K)
        took = time.perf_counter() - start
        whole.append(took * 1000)
        without.append((took - (model.seconds - in_model)) * 1000)
        if "answers" in row:
            asked += 1
            ranks = [found.index(text) for text in row["answers"] if text in found[:K]]
            first += 0 in ranks
            ten += bool(ranks)
        if time.perf_counter() > end:
            break
    return {
        "queries": len(whole),
        "p50_ms": statistics.median(whole),
        "p99_ms": float(np.quantile(whole, 0.99)),
        "p50_ms_without_model": statistics.median(without),
        "p99_ms_without_model": float(np.quantile(without, 0.99)),
    } | ({"hit@1": first / asked, "hit@10": ten / asked} if asked else {})


def _read(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _peak_mb() -> float:
    """Peak resident memory of this process and of the live children that it started, MiB.

    Not ``getrusage``: a child's figure there begins with its parent's.
    """
    total = _high_water("self")
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            total += _high_water(child)
    return total / 1024


def _high_water(process: str) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:  # it ended meanwhile
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
