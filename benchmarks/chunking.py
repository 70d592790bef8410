"""Measure how each chunking strategy finds on long documents: ``lunheng eval chunking`` on three sets, as a report.

    python benchmarks/chunking.py [--data ../shared/data] [--sets xquad_zh ...] [--strategies fixed,structure] [--full]

``xquad_zh`` and ``xquad_en``: the five passages of each Wikipedia article joined into one file again, under its title.
``medquad_sub``: health pages of some 270 words, without titles or headings. Rows measured earlier stay in
``reports/chunking.json`` and are printed again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import machine, table, versions, write_part

REPORTS = Path(__file__).parent / "reports"
STORE = REPORTS / "chunking.json"
STRATEGIES = "fixed,fixed+headings,recursive,structure,contextual,structure+sentence,semantic,parent_child,late"
METRICS = ("ndcg@10", "recall@10", "mrr@10", "hit@1")
SIZE = 320


@dataclass(frozen=True, slots=True)
class LongSet:
    """A set, and the part of it that is measured unless all is asked for."""

    name: str
    options: tuple[str, ...]
    part: tuple[str, ...]
    said: str


SETS = (
    LongSet("xquad_zh", ("--join",), ("--limit", "400"), "48 articles in Chinese, every third of 1,190 questions"),
    LongSet("xquad_en", ("--join",), ("--limit", "400"), "48 articles in English, every third of 1,190 questions"),
    LongSet(
        "medquad_sub",
        (),
        ("--skip", "1800", "--documents", "80"),
        "80 of 2,562 health pages from the 1,800th on, where they are long",
    ),
)


def measure(long_set: LongSet, data: Path, strategies: str, full: bool) -> list[dict[str, Any]]:
    """The rows that ``lunheng eval chunking`` gives."""
    command = [sys.executable, "-m", "lunheng", "eval", "chunking", str(data / long_set.name), "--json"]
    command += ["--strategies", strategies, "--size", str(SIZE), *long_set.options, *(() if full else long_set.part)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout)["strategies"]
    return [row | {"full": full} for row in rows]


def render(measured: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The report in Markdown."""
    lines = [
        "## Chunking strategies",
        "",
        f"`make bench-retrieval` (`benchmarks/chunking.py`): `lunheng eval chunking` with the default search, chunks of at "
        f"most {SIZE} tokens, overlap 40. A hit counts as the passage that it overlaps by at least half of the shorter of the "
        "two, so that a window over the edge of two passages counts for both. p: paired randomisation test of nDCG@10 against "
        "`fixed`. `fixed` has no headings before its windows (`fixed+headings` has); `contextual` is `structure` with a line of "
        "context before each chunk: the title and headings, or where there are none the document's first sentence; "
        "`structure+sentence` has both everywhere.",
    ]
    for long_set in SETS:
        rows = measured.get(long_set.name, {})
        if not rows:
            continue
        first = next(iter(rows.values()))
        said = "the whole set" if first["full"] else long_set.said
        lines += [
            "",
            f"**{long_set.name}** ({said}; {first['queries']} questions; data `{first['data_sha256'][:12]}`)",
            "",
        ]
        best = max(row["ndcg@10"] for row in rows.values())
        cells = []
        for name, row in rows.items():
            low, high = row["confidence_95"]["ndcg@10"]
            values = [f"**{row[m]:.4f}**" if m == "ndcg@10" and row[m] == best else f"{row[m]:.4f}" for m in METRICS]
            p = "-" if row["p"] is None else f"{row['p']:.4f}"
            cells.append([name, str(row["chunks"]), f"{row['mean_tokens']:.0f}", *values, f"{low:.3f}-{high:.3f}", p])
        lines.append(table(["strategy", "chunks", "mean tokens", *METRICS, "95%", "p to fixed"], cells))
    notes = REPORTS / "chunking.notes.md"
    if notes.is_file():
        lines += ["", notes.read_text(encoding="utf-8").strip()]
    lines += [
        "",
        f"Machine: {machine()}; {versions('lunheng', 'numpy', 'onnxruntime')}. Embedder: multilingual-e5-small.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure what is asked for, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--sets", nargs="*", default=[s.name for s in SETS], choices=[s.name for s in SETS])
    parser.add_argument("--strategies", default=STRATEGIES, help="with fixed among them, for the test")
    parser.add_argument("--full", action="store_true", help="all passages and questions")
    options = parser.parse_args()
    measured = json.loads(STORE.read_text(encoding="utf-8")) if STORE.is_file() else {}
    for long_set in SETS:
        if long_set.name in options.sets:
            for row in measure(long_set, options.data, options.strategies, options.full):
                measured.setdefault(long_set.name, {})[row["strategy"]] = row
            STORE.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = render(measured)
    write_part("chunking", text)
    print(text)


if __name__ == "__main__":
    main()
