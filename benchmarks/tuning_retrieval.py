"""Fine-tune the default embedder, and a reranker from it, on a labelled set, and measure both on held-out questions.

    python benchmarks/tuning_retrieval.py [--data ../shared/data] [--parts embed rerank]

Writes ``benchmarks/reports/tuning_retrieval.md``. Questions are held out by the page that answers them: no question
about a held-out page, and no passage of it, is trained on. Checkpoints are chosen on a validation part of the training
questions. A part measured earlier stays in ``reports/tuning_retrieval.json`` and is printed again, with its commit.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bm25s

from common import machine, table, versions, write_part
from lunheng.config import cache_dir
from lunheng.evaluation import load_dataset
from lunheng.tuning.data.examples import Origin, Triple
from lunheng.tuning.data.splitting import split
from lunheng.tuning.encoders.lift import Lift
from lunheng.tuning.recipes import Recipe, make_recipe
from lunheng.tuning.run import MODEL, Trained

REPORTS = Path(__file__).parent / "reports"
HOME = cache_dir() / "benchmarks" / "tuning_retrieval"
SET, HELD_OUT, SEED = "medquad_sub", 0.2, 0
BASE = "multilingual-e5-small"
NEGATIVES = 4
"""Mined for each training question: BM25's first passages among those trained on, but the right one."""
RERANKED = 200
"""Held-out questions of the reranker: it reads each with ten passages, which takes ten times as long as embedding."""
RECIPES: dict[str, dict[str, Any]] = {
    "embed": {
        "data": {"window": 112, "too_long": "truncate", "validation_share": 0.08},
        "training": {"batch": 16, "steps": 128, "learning_rate": 8e-5, "evaluate_steps": 64, "by_length": False},
        "embedding": {"negatives": 1, "freeze_words": True},
    },
    "rerank": {
        "data": {"window": 112, "too_long": "truncate", "validation_share": 0.08},
        "training": {"batch": 8, "steps": 90, "learning_rate": 1e-4, "evaluate_steps": 45, "by_length": False},
        "reranking": {"loss": "lambda", "negatives": 3, "candidates": 10, "freeze_words": True},
    },
}


def triples_of(data: Path) -> tuple[list[Triple], list[Triple]]:
    """The set as triples, (trained on, held out) by page."""
    dataset = load_dataset(data / SET)
    pages = {}
    with (data / SET / "corpus.jsonl").open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            pages[row["id"]] = row["focus"] or row["id"]
    texts = {p.id: p.text for p in dataset.passages}
    found = []
    for number, query in enumerate(dataset.judged, 1):
        passage = next(id for id, grade in dataset.qrels[query.id].items() if grade > 0)
        found.append(Triple(Origin(SET, number), query.text, texts[passage], group=pages[passage]))
    training, held = split(found, HELD_OUT, SEED)
    return [t for t in training if isinstance(t, Triple)], [t for t in held if isinstance(t, Triple)]


def bm25(passages: Sequence[str]) -> Callable[[Sequence[str], int], list[list[str]]]:
    """BM25 over words: questions and a number to so many passages each."""
    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(passages), show_progress=False), show_progress=False)

    def search(questions: Sequence[str], count: int) -> list[list[str]]:
        ranks, _ = index.retrieve(bm25s.tokenize(list(questions), show_progress=False), k=count, show_progress=False)
        return [[passages[i] for i in row] for row in ranks.tolist()]

    return search


def mined(triples: Sequence[Triple]) -> list[dict[str, Any]]:
    """Rows with hard negatives among the triples' own passages."""
    search = bm25(sorted({t.positive for t in triples}))
    found = search([t.query for t in triples], NEGATIVES + 1)
    return [
        {**row_of(triple), "negatives": [text for text in texts if text != triple.positive][:NEGATIVES]}
        for triple, texts in zip(triples, found, strict=True)
    ]


def row_of(triple: Triple) -> dict[str, Any]:
    """One line of a data file."""
    return {"query": triple.query, "positive": triple.positive, "group": triple.group}


def write_data(data: Path) -> None:
    """Write the data files into ``HOME``."""
    training, held = triples_of(data)
    sample = random.Random(SEED).sample(held, RERANKED)
    HOME.mkdir(parents=True, exist_ok=True)
    parts = {
        "train": mined(training),
        "held_embed": [row_of(t) for t in held],
        "held_rerank": [row_of(t) for t in sample],
    }
    for name, rows in parts.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (HOME / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def recipe_of(part: str, model: str) -> Recipe:
    """The recipe of a part; its output folder is made anew."""
    raw = RECIPES[part]
    output = HOME / part
    shutil.rmtree(output, ignore_errors=True)
    files = {"train": str(HOME / "train.jsonl"), "evaluation": str(HOME / f"held_{part}.jsonl")}
    return make_recipe(
        {**raw, "method": part, "model": {"name": model}, "data": {**raw["data"], **files}, "output": str(output)}
    )


def said(step: int, steps: int, text: str) -> None:
    """Progress, a line a step."""
    print(f"  {step}/{steps} {text}", flush=True)


def embed(data: Path) -> dict[str, Any]:
    """Train the embedder and measure it beside the untrained one, over all passages."""
    from lunheng.tuning.encoders.embedder import embed as train

    tuned = train(recipe_of("embed", BASE), report=said)
    return result("embed", tuned.trained, tuned.lift, BASE, len(tuned.held_out.passages))


def rerank(data: Path) -> dict[str, Any]:
    """Train a cross-encoder from the trained embedder, and measure it beside the order that BM25 gives."""
    from lunheng.tuning.encoders.reranker import rerank as train

    model = HOME / "embed" / MODEL
    if not model.is_dir():
        raise SystemExit("the reranker is trained from the trained embedder: run --parts embed first")
    passages = [p.text for p in load_dataset(data / SET).passages]
    search = bm25(passages)
    tuned = train(
        recipe_of("rerank", str(model)),
        report=said,
        corpus={text: text for text in passages},
        first_stage=lambda question, count: search([question], count)[0],
    )
    return result("rerank", tuned.trained, tuned.lift, "the trained embedder, with a fresh head", len(passages))


def result(part: str, trained: Trained, lift: Lift | None, base: str, passages: int) -> dict[str, Any]:
    """What is kept of a part."""
    made = trained.manifest
    if lift is None:
        raise SystemExit("the run was stopped before it was measured")
    return {
        "lift": lift.to_dict(),
        "base": base,
        "passages": passages,
        "seconds": round(made.seconds),
        "steps": made.steps,
        "examples": dict(made.examples),
        "parameters": dict(made.parameters),
        "data": dict(made.data),
        "recipe": RECIPES[part],
        "validation": [dict(made.before), dict(made.metrics)],
        "peak_bytes": made.peak_bytes,
        "commit": commit(),
    }


def commit() -> str:
    """The commit that is measured, with + where files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


MEASURES: dict[str, Callable[[Path], dict[str, Any]]] = {"embed": embed, "rerank": rerank}
TITLES = {
    "embed": ("embedder", "untrained", "as it serves (int8 ONNX), over all passages"),
    "rerank": ("reranker", "BM25's order", "as it serves, over BM25's first ten passages"),
}


def render(measured: dict[str, Any]) -> str:
    """The report in Markdown."""
    parts = [(part, measured[part]) for part in MEASURES if part in measured]
    rows, details = [], []
    for part, found in parts:
        title, before, _ = TITLES[part]
        held = found["lift"]["held_out"]
        for metric in held["after"]:
            old, new = (held[side][metric] for side in ("before", "after"))
            cells = [f"{v[0]:.4f} ({v[1]:.3f}-{v[2]:.3f})" for v in (old, new)]
            rows.append([f"{title}, {metric}", before, *cells, f"{100 * (new[0] - old[0]):+.1f}"])
        low, high = (100 * v for v in held["difference"][1:])
        validation = [v["validation_ndcg@10"] for v in found["validation"]]
        details.append(
            f"**{title}**: {TITLES[part][2]}; trained from {found['base']}, {found['examples']['trained']} examples, "
            f"{found['steps']} steps, {found['parameters']['trained']:,} of {found['parameters']['all']:,} parameters, "
            f"{found['seconds']} s, {found['peak_bytes'] / 2**30:.1f} GiB. nDCG@10 on {held['questions']} held-out "
            f"questions over {found['passages']} passages {100 * held['difference'][0]:+.1f} points (95% {low:+.1f} to "
            f"{high:+.1f}; p = {held['p']:.4f}); on the validation part {validation[0]:.3f} to {validation[1]:.3f}. "
            f"Target: +8 points, {'reached' if held['difference'][0] >= 0.08 else 'not reached'}."
        )
    lines = [
        "## Fine-tuning an embedder and a reranker",
        "",
        f"`{SET}`: {HELD_OUT:.0%} of the pages are held out with their questions and passages; negatives are BM25's first "
        f"{NEGATIVES} among the trained pages' passages, but the right one. Mean and 95% interval (bootstrap over questions).",
        "",
        table(["", "before is", "before", "after", "points"], rows),
        "",
        *(f"{text}\n" for text in details),
        f"Machine: {machine()}; "
        + versions("torch", "transformers", "sentence-transformers", "onnxruntime")
        + ". Words' embeddings stay as they are; training texts are cut at the window, measured ones are not.",
        "",
        "| part | recipe | data (train, held-out) | measured at |",
        "|---|---|---|---|",
        *(
            f"| {part} | `{json.dumps(found['recipe'])}` | `{found['data']['train'][:16]}`, "
            f"`{found['data']['evaluation'][:16]}` | `{found['commit']}` |"
            for part, found in parts
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure the parts asked for, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--parts", nargs="*", default=list(MEASURES), help="embed, rerank; none: only write the report")
    options = parser.parse_args()
    store = REPORTS / "tuning_retrieval.json"
    measured = json.loads(store.read_text(encoding="utf-8")) if store.is_file() else {}
    if options.parts:
        write_data(options.data)
    for part in options.parts:
        measured[part] = MEASURES[part](options.data)
        store.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = render(measured)
    write_part("tuning_retrieval", text)
    print(text)


if __name__ == "__main__":
    main()
