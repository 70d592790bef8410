"""Lunheng beside LlamaIndex, Haystack, txtai and LangChain: speed, memory, size, on the same files and vectors.

    python benchmarks/peers.py [--sizes 1000,10000,100000] [--quick] [--sides lunheng,txtai] [--report-only]

Called by ``make bench-peers``. Each side has a virtual environment in ``.work/`` and a small program in ``peers/``,
which a fresh process runs for every measurement. What was measured is kept in ``.work/peers.json``, so that a run
that was cut off goes on with what is missing (``--again`` measures anew); the report is ``reports/peers.md``.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from common import mixed_passages
from lunheng.config import cache_dir
from lunheng.evaluation.datasets import load_dataset
from lunheng.text import split_sentences
from peers_report import write_report

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
WORK = HERE / ".work"
RESULTS = WORK / "peers.json"
MODEL = "multilingual-e5-small"
RUNTIME = ("onnxruntime", "tokenizers", "numpy")
"""Every side needs these to run the shared model."""
LIMITS = {1_000: 300, 10_000: 420, 100_000: 1200}
"""Seconds that a measurement at this size may take before it is given up, and the report says so."""
FILES = 1_000
QUESTIONS = 200


@dataclass(frozen=True)
class Peer:
    """One side: what is installed, and what a program that uses it imports."""

    name: str
    packages: tuple[tuple[str, ...], ...]
    """Installed in this order, one pip call each."""
    imports: str
    """The package as its quickstart imports it."""


SIDES = {
    "lunheng": Peer("Lunheng", ((str(ROOT),),), "from lunheng import KnowledgeBase"),
    "llamaindex": Peer(
        "LlamaIndex",
        (("llama-index-core", "llama-index-retrievers-bm25", *RUNTIME),),
        "from llama_index.core import SimpleDirectoryReader, VectorStoreIndex",
    ),
    "haystack": Peer(
        "Haystack",
        (("haystack-ai", *RUNTIME),),
        "from haystack import Document, Pipeline\nfrom haystack.document_stores.in_memory import InMemoryDocumentStore",
    ),
    # PyPI's default torch for Linux brings CUDA; where a CPU build is at hand, the pin finds it.
    "txtai": Peer("txtai", (("torch==2.13.0",), ("txtai", *RUNTIME)), "from txtai import Embeddings"),
    "langchain": Peer(
        "LangChain",
        (("langchain", "langchain-community", "langchain-classic", "greenlet", "faiss-cpu", "rank_bm25", *RUNTIME),),
        "from langchain_community.vectorstores import FAISS\n"
        "from langchain_community.retrievers import BM25Retriever\n"
        "from langchain_classic.retrievers import EnsembleRetriever",
    ),
}


def model_folder() -> Path:
    return cache_dir() / "models" / MODEL


def python_of(side: str) -> Path:
    return WORK / "venvs" / side / "bin" / "python"


def install(side: str) -> None:
    """Make the side's environment; ours is brought up to date with the source on every run."""
    python = python_of(side)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not (python.parent.parent / "complete").exists():
        shutil.rmtree(python.parent.parent, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
        for packages in SIDES[side].packages:
            subprocess.run([*pip, *packages], check=True)
        (python.parent.parent / "complete").touch()
    elif side == "lunheng":
        subprocess.run([*pip, "--force-reinstall", "--no-deps", str(ROOT)], check=True)


def installed(side: str) -> dict[str, Any]:
    """Size of what was installed (without pip itself), largest packages, versions."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    home = Path(
        subprocess.run([python_of(side), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    )
    sizes: dict[str, int] = {}
    for path in home.rglob("*"):
        if path.is_file() and not path.is_symlink():
            top = path.relative_to(home).parts[0]
            sizes[top] = sizes.get(top, 0) + path.stat().st_size
    sizes = {name: size for name, size in sizes.items() if not name.startswith(("pip", "setuptools", "_distutils"))}
    listed = subprocess.run([python_of(side), "-m", "pip", "list", "--format=json"], capture_output=True, check=True)
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    return {
        "mb": sum(sizes.values()) / 2**20,
        "largest": {name: size / 2**20 for name, size in largest},
        "versions": {p["name"].lower(): p["version"] for p in json.loads(listed.stdout)},
    }


def import_time(side: str, runs: int = 7) -> dict[str, float]:
    """Seconds of the import in the fastest of some fresh processes, and their peak memory."""
    code = (
        f"import time; start = time.perf_counter()\n{SIDES[side].imports}\n"
        "took = time.perf_counter() - start\n"
        "peak = next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM'))\n"
        "print(took, peak / 1024)"
    )
    measured = []
    for _ in range(runs + 1):  # the first one warms the disk
        out = subprocess.run([python_of(side), "-c", code], capture_output=True, text=True, check=True).stdout
        measured.append([float(x) for x in out.split()[-2:]])
    return {
        "seconds": min(s for s, _ in measured[1:]),
        "mb": min(m for _, m in measured[1:]),
    }


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def make_files(data: Path, count: int, home: Path) -> None:
    """``count`` passages as text files, each short enough to be one chunk on every side, and labelled questions.

    Of the parallel sets a passage in either language answers, and both may be among the files.
    """
    shutil.rmtree(home, ignore_errors=True)
    (home / "files").mkdir(parents=True)
    pick = random.Random(7)
    sets = [load_dataset(data / n) for n in ("xquad_zh", "xquad_en", "hotpotqa_200", "dureader2_demo")]
    fit = [[p for p in s.passages if "\n" not in p.text and _is_one_chunk(p.text.strip())] for s in sets]
    questions: list[dict[str, Any]] = []
    chosen: dict[str, None] = {}
    answers: dict[str, list[str]] = {}
    for at, (dataset, passages) in enumerate(zip(sets, fit, strict=True)):
        part = pick.sample(passages, min(len(passages), (count - len(chosen)) // (len(sets) - at)))
        chosen |= dict.fromkeys(p.text.strip() for p in part)
        if dataset.name.startswith("xquad"):
            here = {p.id for p in part}
            for p in part:
                answers.setdefault(p.id, []).append(p.text.strip())
            asked = [(q, next(iter(dataset.qrels[q.id]))) for q in dataset.judged]
            good = [{"text": q.text, "answers": answers[p]} for q, p in asked if p in here]
            questions += pick.sample(good, min(len(good), QUESTIONS // 2))
    for i, text in enumerate(chosen):
        (home / "files" / f"{i:05}.txt").write_text(text, encoding="utf-8")
    pick.shuffle(questions)
    write_lines(home / "queries.jsonl", questions)


def _is_one_chunk(text: str) -> bool:
    """Whether no side's default splitter would cut ``text``: ours, the smallest, cuts at 320 tokens."""
    return len(text) >= 40 and len(_tokenizer().encode(text).ids) <= 300


@cache
def _tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(model_folder() / "tokenizer.json"))


def make_growth(data: Path, count: int, home: Path) -> None:
    """``count`` passages mixed from the sets' sentences, and vectors for them and for the questions.

    The vectors are drawn around 1,000 random centres, as passages gather around topics; the questions' too.
    """
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    names = ("xquad_zh", "dureader2_demo", "xquad_en", "hotpotqa_200", "medquad_sub")
    sets = [load_dataset(data / n) for n in names]
    pools = [[" ".join(p.text[a:b].split()) for p in s.passages for a, b in split_sentences(p.text)] for s in sets]
    found: dict[str, None] = {}
    for text in mixed_passages(pools):
        if text not in found and _is_one_chunk(text):
            found[text] = None
        if len(found) == count:
            break
    texts = list(found)
    asked = [q.text for s in sets for q in random.Random(7).sample(s.queries, QUESTIONS // len(sets))]
    write_lines(home / "texts.jsonl", [{"text": t} for t in texts])
    write_lines(home / "queries.jsonl", [{"text": t} for t in asked])
    draw = np.random.default_rng(7)
    centres = draw.standard_normal((1_000, 384), np.float32)
    with (home / "vectors.f32").open("wb") as file:
        total = len(texts) + len(asked)
        for at in range(0, total, 10_000):
            n = min(10_000, total - at)
            rows = centres[draw.integers(0, 1_000, n)] + 0.7 * draw.standard_normal((n, 384), np.float32)
            file.write((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32).tobytes())


@contextmanager
def held(lock: Path | None) -> Iterator[None]:
    """Hold an flock while measuring, on a machine that others use too."""
    if lock is None:
        yield
        return
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def measure(side: str, job: dict[str, Any], limit: float) -> dict[str, Any]:
    """Run one job in a fresh process of the side; what it printed, or why there is nothing."""
    command = [str(python_of(side)), str(HERE / "peers" / f"{side}_side.py"), json.dumps(job)]
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment)
    except subprocess.TimeoutExpired:
        return {"failed": f"over {limit:.0f} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1][:200]}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that is missing from the results; gives them all."""
    WORK.mkdir(exist_ok=True)
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    place = model_folder()
    if not place.is_dir():
        raise SystemExit(f"{MODEL} is not here; run: lunheng models pull {MODEL}")
    files = 60 if arguments.quick else arguments.files
    folder_home = WORK / "data" / f"files-{files}"
    if not (folder_home / "queries.jsonl").exists():
        make_files(arguments.data, files, folder_home)
    growth = [(size, WORK / "data" / f"texts-{size}") for size in arguments.sizes]
    for size, home in growth:
        if not (home / "vectors.f32").exists():
            make_growth(arguments.data, size, home)
    for side in arguments.sides:
        install(side)

    def cell(name: str, make: Any, lock: Path | None = None) -> None:
        kept = results.setdefault(name, {})
        for side in arguments.sides:
            if side in kept and not arguments.again:
                continue
            with held(lock):
                kept[side] = make(side)
            print(name, side, {k: v for k, v in kept[side].items() if k != "versions"}, flush=True)
            RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False))

    def folder(side: str) -> dict[str, Any]:
        state = _fresh(side, "folder")
        job = {
            "folder": str(folder_home / "files"),
            "queries": str(folder_home / "queries.jsonl"),
            "model": str(place),
            "state": str(state),
            "query_seconds": 20,
        }
        first = measure(side, {"task": "folder", **job}, LIMITS[1_000])
        if "failed" in first:
            return first
        again = [measure(side, {"task": "again", **job}, LIMITS[1_000])]
        while len(again) < 3 and again[0].get("seconds", 60) < 5:  # where no model runs, the fastest of three
            again.append(measure(side, {"task": "again", **job}, LIMITS[1_000]))
        return {"first": first, "again": min(again, key=lambda r: r.get("seconds", float("inf")))}

    def texts(home: Path, size: int) -> Any:
        def make(side: str) -> dict[str, Any]:
            job = {
                "task": "texts",
                "texts": str(home / "texts.jsonl"),
                "queries": str(home / "queries.jsonl"),
                "vectors": str(home / "vectors.f32"),
                "state": str(_fresh(side, "texts")),
                "query_seconds": 20,
            }
            return measure(side, job, LIMITS.get(size, 1200))

        return make

    cell("installed", installed)
    cell("import", import_time)
    for size, home in sorted(growth):
        cell(f"texts {size}", texts(home, size), arguments.lock if size > 1_000 else None)
    cell(f"folder {files}", folder, arguments.lock if files > 200 else None)
    return results


def _fresh(side: str, task: str) -> Path:
    state = WORK / "state" / f"{side}-{task}"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    return state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda s: [int(n) for n in s.split(",")], default=None)
    parser.add_argument("--files", type=int, default=FILES, help="files in the folder that the real model reads")
    parser.add_argument("--sides", type=lambda s: s.split(","), default=list(SIDES))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--quick", action="store_true", help="60 files and 1,000 chunks: does everything run?")
    parser.add_argument("--again", action="store_true", help="measure anew what was measured before")
    parser.add_argument("--report-only", action="store_true", help="write the report from what was measured")
    parser.add_argument("--note", default="", help="a line for the report: what the reader must know of this run")
    parser.add_argument("--lock", type=Path, help="a file to hold an flock on during the longer measurements")
    arguments = parser.parse_args()
    arguments.sizes = arguments.sizes or ([1_000] if arguments.quick else [1_000, 10_000, 100_000])
    results = json.loads(RESULTS.read_text()) if arguments.report_only else run(arguments)
    if arguments.quick:
        return  # 60 files say nothing of speed
    report = HERE / "reports" / "peers.md"
    report.parent.mkdir(exist_ok=True)
    report.write_text(
        write_report(results, {side: peer.name for side, peer in SIDES.items()}, WORK, model_folder(), arguments.note)
    )
    print(f"\n{report.relative_to(ROOT)} is written")


if __name__ == "__main__":
    main()
