"""Fine-tune the default embedder, and a reranker from it, on a labelled set, and measure both on held-out questions.

    python benchmarks/tuning_retrieval.py [--data ../shared/data] [--parts embed rerank]

Writes ``benchmarks/reports/tuning_retrieval.md``. Questions are held out by the page that answers them: no question
about a held-out page, and no passage of it, is trained on. Every choice (checkpoint, recipe) was made on a validation
part of the training questions. What was measured earlier stays in ``reports/tuning_retrieval.json``.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bm25s

from common import machine, table, versions, write_part
from lunheng.config import cache_dir
from lunheng.evaluation import load_dataset
from lunheng.tuning.data.examples import Origin, Triple
from lunheng.tuning.data.splitting import split
from lunheng.tuning.recipes import Recipe, as_plain, make_recipe

REPORTS = Path(__file__).parent / "reports"
HOME = cache_dir() / "benchmarks" / "tuning_retrieval"
SET, HELD_OUT, SEED = "medquad_sub", 0.2, 0
NEGATIVES = 4
"""Mined for each training question: BM25's first passages among those trained on, but the right one."""
RECIPES: dict[str, dict[str, Any]] = {
    "embed": {
        "data": {"window": 112, "too_long": "truncate", "validation_share": 0.08},
        "training": {"batch": 16, "steps": 64, "learning_rate": 1e-4, "evaluate_steps": 32, "by_length": False},
        "embedding": {"negatives": 1, "freeze_words": True},
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


def mined(triples: Sequence[Triple]) -> list[dict[str, Any]]:
    """Rows with hard negatives among the triples' own passages."""
    passages = sorted({t.positive for t in triples})
    index = bm25s.BM25()
    index.index(bm25s.tokenize(passages, show_progress=False), show_progress=False)
    asked = bm25s.tokenize([t.query for t in triples], show_progress=False)
    ranks, _ = index.retrieve(asked, k=NEGATIVES + 1, show_progress=False)
    rows = []
    for triple, ranked in zip(triples, ranks.tolist(), strict=True):
        negatives = [passages[i] for i in ranked if passages[i] != triple.positive][:NEGATIVES]
        rows.append({**row_of(triple), "negatives": negatives})
    return rows


def row_of(triple: Triple) -> dict[str, Any]:
    """One line of a data file."""
    return {"query": triple.query, "positive": triple.positive, "group": triple.group}


def write_data(data: Path) -> dict[str, Any]:
    """Write the two data files, and give the keys of a recipe that name them."""
    training, held = triples_of(data)
    HOME.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", mined(training)), ("held", [row_of(t) for t in held])):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (HOME / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return {"train": str(HOME / "train.jsonl"), "evaluation": str(HOME / "held.jsonl")}


def recipe_of(part: str, files: dict[str, Any], model: str = "multilingual-e5-small") -> Recipe:
    """The recipe of a part; its output folder is made anew."""
    raw = RECIPES[part]
    output = HOME / part
    shutil.rmtree(output, ignore_errors=True)
    return make_recipe(
        {**raw, "method": part, "model": {"name": model}, "data": {**raw["data"], **files}, "output": str(output)}
    )


def said(step: int, steps: int, text: str) -> None:
    """Progress, a line a step."""
    print(f"  {step}/{steps} {text}", flush=True)


def embed(files: dict[str, Any]) -> dict[str, Any]:
    """Train the embedder and measure."""
    from lunheng.tuning.embedder import embed as train

    recipe = recipe_of("embed", files)
    tuned = train(recipe, report=said)
    made = tuned.trained.manifest
    assert tuned.lift is not None
    return {
        "lift": tuned.lift.to_dict(),
        "seconds": round(made.seconds),
        "steps": made.steps,
        "examples": dict(made.examples),
        "data": dict(made.data),
        "recipe": {k: as_plain(recipe)[k] for k in ("training", "embedding")},
        "validation": [dict(made.before), dict(made.metrics)],
        "peak_bytes": made.peak_bytes,
    }


MEASURES = {"embed": embed}


def main() -> None:
    """Measure the parts asked for, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--parts", nargs="+", default=list(MEASURES), choices=list(MEASURES))
    options = parser.parse_args()
    store = REPORTS / "tuning_retrieval.json"
    measured = json.loads(store.read_text(encoding="utf-8")) if store.is_file() else {}
    files = write_data(options.data)
    for part in options.parts:
        measured[part] = MEASURES[part](files)
        store.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(machine(), versions("torch"), table(["a"], []), write_part)


if __name__ == "__main__":
    main()
