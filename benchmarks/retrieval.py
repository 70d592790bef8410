"""Measure retrieval through the front door: BM25, dense, fused and reranked, on labelled sets in two languages.

    python benchmarks/retrieval.py [--data ../shared/data] [--rows xquad_zh ...] [--limit N]

Prints nDCG@10 and writes ``benchmarks/reports/retrieval.md``. Each corpus is indexed once into a knowledge base
under the cache. Rows measured earlier stay in ``reports/retrieval.json`` and are printed again, with the commit
that they were measured at. One set of settings serves every row.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from lunheng.config import Settings, cache_dir
from lunheng.evaluation import RetrievalDataset, RetrievalReport, evaluate_retrieval, load_dataset, paired_test
from lunheng.evaluation.corpus import passage_documents, passage_ids
from lunheng.knowledge import KnowledgeBase
from lunheng.models import load_embedder
from lunheng.protocols import Embedder
from lunheng.types import content_id

REPORTS = Path(__file__).parent / "reports"
METRICS = ("ndcg@10", "recall@10", "mrr@10", "hit@1")
Mode = Literal["hybrid", "dense", "lexical"]
SYSTEMS: dict[str, tuple[Mode, bool]] = {
    "BM25": ("lexical", False),
    "dense": ("dense", False),
    "hybrid": ("hybrid", False),
    "default": ("hybrid", True),
}
LABELS = {"BM25": "BM25", "dense": "dense", "hybrid": "hybrid", "default": "hybrid + rerank (default)"}


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: questions over passages, and nDCG@10 of others' plain pipelines where known."""

    name: str
    queries: str
    corpus: str
    bm25: float | None = None
    """BM25 over character bigrams (Chinese) or words."""
    dense: float | None = None
    """multilingual-e5-small in fp32, exact search."""


ROWS = (
    Row("xquad_zh", "xquad_zh", "xquad_zh", 0.964, 0.942),
    Row("xquad_en", "xquad_en", "xquad_en", 0.964, 0.967),
    Row("hotpotqa_200", "hotpotqa_200", "hotpotqa_200", 0.787, 0.884),
    Row("rgb_zh_fact", "rgb_zh_fact", "rgb_zh_fact", 0.553, 0.750),
    Row("dureader2_demo", "dureader2_demo", "dureader2_demo", 0.284, None),
    Row("medquad_sub", "medquad_sub", "medquad_sub", 0.561, None),
    Row("zh over en", "xquad_zh", "xquad_en", 0.17, 0.810),
    Row("en over zh", "xquad_en", "xquad_zh", 0.29, 0.854),
    Row("zh over mixed", "xquad_zh", "mixed"),
    Row("en over mixed", "xquad_en", "mixed"),
)


def dataset_of(row: Row, data: Path) -> RetrievalDataset:
    """The row's set. ``mixed``: of the parallel passages every other one in Chinese only, the rest in English only."""
    if row.corpus != "mixed":
        return load_dataset(data / row.queries, data / row.corpus)
    chinese, english = (load_dataset(data / row.queries, data / name) for name in ("xquad_zh", "xquad_en"))
    pairs = zip(chinese.passages, english.passages, strict=True)
    passages = tuple(zh if i % 2 else en for i, (zh, en) in enumerate(pairs))
    return replace(chinese, name=row.name, passages=passages, digest=content_id(chinese.digest, english.digest)[:16])


def measure(row: Row, data: Path, limit: int | None, settings: Settings, embedder: Embedder) -> dict[str, Any]:
    """Every system on one row."""
    dataset = dataset_of(row, data)
    if limit:
        dataset = replace(dataset, queries=dataset.queries[:limit])
    shape = content_id(
        *(p.full_text for p in dataset.passages), embedder.fingerprint, settings.chunking.model_dump_json()
    )
    with KnowledgeBase.open(cache_dir() / "evaluation" / shape[:16], settings, embedder=embedder) as base:
        started = time.perf_counter()
        base.add(passage_documents(dataset.passages))
        base.search("warm-up", k=1)
        print(
            f"{row.name}: {len(dataset.passages)} passages ready in {time.perf_counter() - started:.1f} s", flush=True
        )
        reports: dict[str, RetrievalReport] = {}
        for system, (mode, rerank) in SYSTEMS.items():

            def search(query: str, k: int, mode: Mode = mode, rerank: bool = rerank) -> list[str]:
                # Chunks are found and passages are judged: ask for more, so that k passages are among them.
                return passage_ids(base.search(query, k=2 * k, mode=mode, rerank=rerank))

            reports[system] = evaluate_retrieval(search, dataset)
            print(f"  {system:8s} {reports[system].to_dict()['ndcg@10']:.4f}", flush=True)
    better = max(("BM25", "dense"), key=lambda name: reports[name].metrics["ndcg@10"].mean)
    gain = paired_test(reports["default"].per_query["ndcg@10"], reports[better].per_query["ndcg@10"])
    return {
        "systems": {name: report.to_dict() for name, report in reports.items()},
        "passages": len(dataset.passages),
        "data": dataset.digest,
        "p": round(gain, 4),
        "limit": limit,
        "commit": commit(),
        "embedder": embedder.fingerprint,
    }


def commit() -> str:
    """The commit that is measured, with + where files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def ahead(row: Row, default: float) -> Iterator[str]:
    """The references that the default does not reach."""
    for name, value in (("BM25 reference", row.bm25), ("dense reference", row.dense)):
        if value is not None and round(default, 3) < value:
            yield f"{row.name}: {name} {value:.3f} > {default:.4f}"


def render(measured: dict[str, Any], settings: Settings) -> str:
    """The report in Markdown."""
    done = [(row, measured[row.name]) for row in ROWS if row.name in measured]
    lines = [
        "## Retrieval quality",
        "",
        "nDCG@10; bold is the best of a row. References: BM25 over bigrams or words, and multilingual-e5-small in fp32 "
        "with exact search. p: paired randomisation test of the default against the better of our BM25 and dense. "
        "`mixed`: half of the passages exist in Chinese only, the other half in English only.",
        "",
        "| set | queries | BM25 ref. | dense ref. | BM25 | dense | hybrid | **hybrid + rerank (default)** | 95% | p |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    behind: list[str] = []
    for row, result in done:
        scores = {name: result["systems"][name]["ndcg@10"] for name in SYSTEMS}
        best = max([*scores.values(), row.bm25 or 0, row.dense or 0])
        low, high = result["systems"]["default"]["confidence_95"]["ndcg@10"]
        cells = [row.name, str(result["systems"]["default"]["queries"])]
        cells += ["-" if v is None else f"{v:.3f}" for v in (row.bm25, row.dense)]
        cells += [f"**{v:.4f}**" if v == best else f"{v:.4f}" for v in scores.values()]
        lines.append("| " + " | ".join([*cells, f"{low:.3f}-{high:.3f}", f"{result['p']:.4f}"]) + " |")
        behind += ahead(row, scores["default"])
        behind += [
            f"{row.name}: our {n} {scores[n]:.4f} > {scores['default']:.4f}"
            for n in ("BM25", "dense", "hybrid")
            if scores[n] > scores["default"]
        ]
    lines += [
        "",
        "Rows where something is ahead of the default: " + ("; ".join(behind) if behind else "none") + ".",
        "",
    ]
    lines += ["| set | system | " + " | ".join(METRICS) + " | ms a query |", "|---" * (len(METRICS) + 3) + "|"]
    for row, result in done:
        for name, label in LABELS.items():
            report = result["systems"][name]
            values = " | ".join(f"{report[m]:.4f}" for m in METRICS)
            lines.append(f"| {row.name} | {label} | {values} | {report['ms_per_query']:.1f} |")
    retrieval = json.dumps(settings.retrieval.model_dump(), ensure_ascii=False)
    lines += [
        "",
        f"Machine: {platform.machine()}, Python {platform.python_version()}; "
        + ", ".join(f"{p} {version(p)}" for p in ("lunheng", "numpy", "onnxruntime", "tokenizers", "rjieba"))
        + f". Embedder: {settings.models.embedder}. Retrieval settings: `{retrieval}`. "
        f"Chunking: `{settings.chunking.model_dump_json()}`.",
        "",
        "| set | passages | SHA-256 of the data | embedder | measured at |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {r['passages']} | `{r['data']}` | `{r['embedder'][:12]}` | `{r['commit']}`"
        + (f", first {r['limit']} queries" if r["limit"] else "")
        + " |"
        for row, r in done
    ]
    notes = REPORTS / "retrieval.notes.md"
    return "\n".join(lines) + "\n" + (f"\n{notes.read_text(encoding='utf-8')}" if notes.is_file() else "")


def main() -> None:
    """Measure the rows asked for, print the table, write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--rows", nargs="+", default=[row.name for row in ROWS], choices=[row.name for row in ROWS])
    parser.add_argument("--limit", type=int, help="only the first queries of each set")
    options = parser.parse_args()
    settings = Settings.load()
    embedder = load_embedder(settings.models)
    store = REPORTS / "retrieval.json"
    measured = json.loads(store.read_text(encoding="utf-8")) if store.is_file() else {}
    for row in ROWS:
        if row.name in options.rows:
            measured[row.name] = measure(row, options.data, options.limit, settings, embedder)
            store.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = render(measured, settings)
    (REPORTS / "retrieval.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
