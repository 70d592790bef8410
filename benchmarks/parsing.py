"""Born-digital PDF: Lunheng beside other engines, for text, tables, headings, stray spaces and speed.

    python benchmarks/parsing.py [--data ../shared/data] [--engines lunheng,liteparse] [--rounds 2] [--only NAME] [--quick]

Called by ``make bench-parsing``. ``parsers/documents.py`` renders the documents from known text, ``parsers/side.py`` runs
one engine over them in a process of its own, ``parsers/scores.py`` says how each score is computed. The other engines
have one virtual environment in ``.work/``. The real files of the data folder, which have no ground truth, are measured for
speed, and for how much of their text each engine finds in common with pypdfium2.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "parsers"))

from documents import Maker, Truth  # noqa: E402
from scores import headings_of, mhs, plain, stray_spaces, tables_of, tables_score, text_similarity  # noqa: E402

from common import file_digest, machine, table, write_part  # noqa: E402

WORK = HERE / ".work" / "parsing"
VENV = HERE / ".work" / "venvs" / "parsing"
PEERS = {
    "pypdfium2": "pypdfium2",
    "liteparse": "liteparse",
    "pdf_inspector": "pdf-inspector",
    "pdf_oxide": "pdf_oxide",
    "kreuzberg": "kreuzberg==4.10.4",
    "markitdown": "markitdown[pdf]",
    "pdfplumber": "pdfplumber",
}
US = "lunheng"
TIMES = "times Lunheng"
LIMIT = 60.0
"""Seconds for one file; an engine that takes longer is ended and the file counts as failed."""
Runs = dict[str, dict[str, Any]]
"""By file: the text of the first round, the median of the rounds' seconds, an error."""


def install() -> None:
    """The peers' environment, each peer by itself: one that cannot be installed is skipped, and said to be."""
    if not (VENV / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        for name, package in PEERS.items():
            pip = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
            if subprocess.run(pip, check=False).returncode:
                print(f"SKIPPED: {name} could not be installed", flush=True)
        (VENV / "complete").touch()


@cache
def versions() -> dict[str, str]:
    listed = subprocess.run(
        [VENV / "bin" / "python", "-m", "pip", "list", "--format=json"], capture_output=True, check=True
    )
    found = {p["name"].lower().replace("_", "-"): p["version"] for p in json.loads(listed.stdout)}
    names = {
        name: found.get(package.split("[")[0].split("=")[0].lower().replace("_", "-"))
        for name, package in PEERS.items()
    }
    return {US: installed_version(US), **{name: number for name, number in names.items() if number}}


def run_engine(engine: str, files: Sequence[Path], repeats: int) -> Runs:
    """One process an engine; after a crash or a hang, another one for the files that are left."""
    out, job = WORK / f"{engine}.jsonl", WORK / f"{engine}.job.json"
    out.unlink(missing_ok=True)
    python = sys.executable if engine == US else str(VENV / "bin" / "python")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    done: Runs = {}
    left = [str(f) for f in files]
    while left:
        job.write_text(
            json.dumps({"engine": engine, "files": left, "repeats": repeats, "limit": 5.0, "out": str(out)}), "utf-8"
        )
        process = subprocess.Popen(
            [python, str(HERE / "parsers" / "side.py"), str(job)], env=environment, stderr=subprocess.DEVNULL
        )
        why = _wait(process, out)
        lines = out.read_text("utf-8").splitlines() if out.exists() else []
        done = {row["path"]: row for row in map(json.loads, lines)}
        left = [f for f in left if f not in done]
        if left:
            failed = {"path": left[0], "markdown": "", "seconds": None, "error": why}
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(failed) + "\n")
            done[left.pop(0)] = failed
    return done


def _wait(process: subprocess.Popen[bytes], out: Path) -> str:
    """Until the process ends, or has added nothing to ``out`` for too long."""
    size, since = -1, time.monotonic()
    while process.poll() is None:
        time.sleep(0.05)
        now = out.stat().st_size if out.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > LIMIT:
            process.kill()
            process.wait()
            return f"no result after {LIMIT:.0f} s"
    return f"the process ended with {process.returncode}"


def run_all(engines: Sequence[str], files: Sequence[Path], rounds: int, repeats: int) -> dict[str, Runs]:
    """Every engine in turn, and all over again: a noisy minute does not fall on one engine alone."""
    seconds: dict[tuple[str, str], list[float]] = {}
    results: dict[str, Runs] = {}
    for number in range(rounds):
        for engine in engines:
            print(f"round {number + 1}: {engine}", flush=True)
            for path, row in run_engine(engine, files, repeats).items():
                results.setdefault(engine, {}).setdefault(path, row)
                if row["seconds"] is not None:
                    seconds.setdefault((engine, path), []).append(row["seconds"])
    for (engine, path), values in seconds.items():
        results[engine][path]["seconds"] = statistics.median(values)
    return results


def score(truth: Truth, markdown: str) -> dict[str, Any]:
    text = plain(markdown)
    strays, han = stray_spaces(text, f"{truth.text}\n{truth.filled_text}")
    found = tables_of(markdown)
    return {
        "text": max(text_similarity(text, t) for t in {truth.text, truth.filled_text}),
        "strays": strays,
        "han": han if truth.language == "zh" else 0,
        "teds": tables_score(found, truth.tables) if truth.tables else None,
        "false tables": 0 if truth.tables else len(found),
        "mhs": mhs(headings_of(markdown), truth.headings),
    }


def mean(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def shown(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


class Report:
    """The tables of the report; remembers where a peer is ahead."""

    def __init__(self, engines: Sequence[str]) -> None:
        self._engines = engines
        self.ahead: list[str] = []

    def table(self, title: str, rows: Sequence[tuple[str, Callable[[str], float | None], bool, int]]) -> str:
        """``rows``: name, value of an engine, whether more is better, digits."""
        body = []
        for name, value, more, digits in rows:
            values = {engine: value(engine) for engine in self._engines}
            body.append([name, *(shown(values[e], digits) for e in self._engines)])
            ours = values.get(US)
            for engine, theirs in values.items():
                if engine == US or ours is None or theirs is None or name == TIMES:
                    continue
                difference = round(theirs, digits) - round(ours, digits)
                if (difference > 0) == more and difference != 0:
                    self.ahead.append(f"{title}, {name}: {engine} {theirs:.{digits}f}, Lunheng {ours:.{digits}f}")
        return table(["", *self._engines], body)


def main() -> None:
    args = _arguments()
    WORK.mkdir(parents=True, exist_ok=True)
    install()
    wanted = args.engines.split(",") if args.engines else [US, *PEERS]
    engines = [e for e in wanted if e in versions()]
    for engine in set(wanted) - set(engines):
        print(f"SKIPPED: {engine} is not installed in {VENV}", flush=True)
    truths = [t for t in render(args.data) if args.only in t.name]
    real = [] if args.no_real else real_files(args.data)
    rounds, repeats = (1, 1) if args.quick else (args.rounds, 2)
    results = run_all(engines, [t.path for t in truths], rounds, repeats)
    scores = {e: {t.name: score(t, results[e][str(t.path)]["markdown"]) for t in truths} for e in engines}
    if args.verbose:
        for truth in truths:
            got = scores[engines[0]][truth.name]
            print(
                f"{truth.name:34} text {got['text']:.4f} teds {shown(got['teds'])} mhs {got['mhs']:.3f} stray {got['strays']}"
            )
    real_results = run_all(engines, real, 1, 1) if real else {}
    parts = [head(args.data, engines, truths, rounds, repeats), *rendered_part(engines, truths, results, scores)]
    if real_results:
        parts += real_part(engines, real, real_results)
    text = "\n\n".join(parts)
    if args.only or args.quick or args.engines:
        print(text)
    else:
        write_part("parsing", text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--engines", default="")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="", help="documents with this in their name; prints, writes no report")
    parser.add_argument("--quick", action="store_true", help="one round; prints, writes no report")
    parser.add_argument("--no-real", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="the first engine's scores document by document")
    return parser.parse_args()


def render(data: Path) -> list[Truth]:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont

    from lunheng.testing.fonts import embedded_font

    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    folder = WORK / "documents"
    folder.mkdir(exist_ok=True)
    return Maker(data, folder, embedded_font()).make()


def real_files(data: Path) -> list[Path]:
    return sorted(p for name in ("kreuzberg_docs", "pdfplumber_pdfs") for p in (data / name).rglob("*.pdf"))


def head(data: Path, engines: Sequence[str], truths: Sequence[Truth], rounds: int, repeats: int) -> str:
    sources = ", ".join(
        f"{n} {file_digest(data / n / 'corpus.jsonl')}" for n in ("xquad_en", "xquad_zh") if (data / n).is_dir()
    )
    return f"""# Born-digital PDF

`make bench-parsing`: {len(truths)} documents, {sum(t.pages for t in truths)} pages, rendered from known text (prose of {sources}),
half of each language, in fonts that are embedded and in fonts that are only named; no tags, no outline. No Chinese font need be
installed. Each engine gives Markdown (pypdfium2: plain text; pdfplumber: its text, and its tables in place), without OCR, in one process
and one thread. Times are medians of {rounds} x {repeats} runs after one that is not counted (real files: one run). Scores: `benchmarks/parsers/scores.py`.
Lunheng was developed on these documents, the others were not: read its scores as what it does, not as what any file would get
(with other fonts, sizes, margins, gutters, texts and rows, never looked at before, its lowest kind, tables without rules in two columns, had TEDS .857).

Machine: {machine()}. Versions: {", ".join(f"{e} {versions()[e]}" for e in engines)}."""


def rendered_part(
    engines: Sequence[str], truths: Sequence[Truth], results: dict[str, Runs], scores: dict[str, dict[str, Any]]
) -> list[str]:
    report = Report(engines)

    def average(key: str, *keep: Callable[[Truth], bool]) -> Callable[[str], float | None]:
        chosen = [t for t in truths if all(k(t) for k in keep)]
        return lambda engine: mean(scores[engine][t.name][key] for t in chosen)

    def of_kind(*marks: str) -> Callable[[Truth], bool]:
        return lambda t: any(m in t.kind for m in marks)

    def of(language: str) -> Callable[[Truth], bool]:
        return lambda t: t.language == language

    def strays(engine: str) -> float:
        found = [scores[engine][t.name] for t in truths if t.language == "zh"]
        return 1000 * sum(s["strays"] for s in found) / max(1, sum(s["han"] for s in found))

    def false_tables(engine: str) -> float:
        return float(sum(s["false tables"] for s in scores[engine].values()))

    def speed(engine: str) -> float | None:
        times = [(results[engine][str(t.path)]["seconds"], t.pages) for t in truths]
        if any(s is None for s, _ in times):
            times = [(s, p) for s, p in times if s is not None]
        return 1000 * sum(s for s, _ in times) / max(1, sum(p for _, p in times))

    languages = (("zh", "zh"), ("en", "en"))
    text_rows = [
        (f"{name}, {lang}", average("text", of_kind(*marks), of(lang)), True, 3)
        for name, marks in (
            ("one column", ("1 columns",)),
            ("two columns", ("2 columns",)),
            ("three columns", ("3 columns",)),
            ("interleaved columns", ("interleaved",)),
            ("headings", ("headings",)),
            ("lists and notes", ("lists",)),
            ("tables", ("table",)),
        )
        for lang, _ in languages
    ]
    ruled = of_kind("grid", "merged", "continued", "rows", "three-line")
    teds_rows = [
        (f"{name}, {lang}", average("teds", keep, of(lang)), True, 3)
        for name, keep in (
            ("all ruled", ruled),
            ("grid", of_kind("grid")),
            ("merged cells", of_kind("merged")),
            ("over pages", of_kind("continued")),
            ("level rules", of_kind("rows", "three-line")),
            ("no rules", of_kind("unruled")),
        )
        for lang, _ in languages
    ]
    mhs_rows = [
        (f"{name}, {lang}", average("mhs", keep, of(lang)), True, 3)
        for name, keep in (("all documents", lambda t: True), ("documents of headings", of_kind("headings")))
        for lang, _ in languages
    ]
    ours = speed(US) if US in engines else None
    speed_rows = [
        ("ms a page", speed, False, 1),
        (TIMES, lambda e: (speed(e) or 0) / ours if ours else None, False, 2),
    ]
    return [
        "## Text: similarity of characters\n\n" + report.table("Text", text_rows),
        "## Tables: TEDS\n\nThe tables of a document are paired with the truth's as scores best, and what either side lacks counts as 0: a "
        "table over pages that is given page by page is one pair and leftovers.\n\n"
        + report.table("Tables", [*teds_rows, ("tables where there are none", false_tables, False, 0)]),
        "## Headings: MHS\n\n" + report.table("Headings", mhs_rows),
        "## Stray spaces\n\n" + report.table("Stray spaces", [("per 1,000 Chinese characters", strays, False, 1)]),
        "## Speed: CPU time\n\n" + report.table("Speed", speed_rows),
        "Where another is ahead:\n\n"
        + ("\n".join(f"- {line}" for line in report.ahead) or "- nowhere in these tables"),
    ]


def real_part(engines: Sequence[str], files: Sequence[Path], results: dict[str, Runs]) -> list[str]:
    """Speed on the files that every engine reads, and the text that they have in common with pypdfium2's."""
    import pypdfium2

    def pages(path: Path) -> int:
        try:
            pdf = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError:
            return 0
        try:
            return len(pdf)
        finally:
            pdf.close()

    counts = {f: pages(f) for f in files}
    read = [f for f in files if counts[f] and all(results[e][str(f)]["seconds"] is not None for e in engines)]
    total = sum(counts[f] for f in read)
    report = Report(engines)

    def speed(engine: str) -> float:
        return 1000 * sum(results[engine][str(f)]["seconds"] for f in read) / max(1, total)

    def middle(engine: str) -> float:
        return statistics.median(1000 * results[engine][str(f)]["seconds"] / counts[f] for f in read)

    def failed(engine: str) -> float:
        return float(sum(bool(results[engine][str(f)]["error"]) for f in files))

    def words(engine: str) -> float | None:
        """The share of pypdfium2's words, in any order, that the engine gives too."""
        if "pypdfium2" not in results:
            return None
        shares = []
        for f in read:
            wanted = plain(results["pypdfium2"][str(f)]["markdown"]).split()
            if len(wanted) < 50:
                continue
            squeezed = "".join(plain(results[engine][str(f)]["markdown"]).split())
            shares.append(sum(w in squeezed for w in wanted) / len(wanted))
        return mean(shares)

    ours = speed(US) if US in engines else None
    middle_ours = middle(US) if US in engines else None
    rows = [
        ("ms a page, all pages", speed, False, 1),
        (TIMES, lambda e: speed(e) / ours if ours else None, False, 2),
        ("ms a page, median file", middle, False, 1),
        (TIMES, lambda e: middle(e) / middle_ours if middle_ours else None, False, 2),
        ("files not read", failed, False, 0),
        ("words of pypdfium2 found", words, True, 3),
    ]
    failures = [
        f"- {f.name}: {', '.join(e for e in engines if results[e][str(f)]['error'])}"
        for f in files
        if any(results[e][str(f)]["error"] for e in engines)
    ]
    return [
        f"## Real files\n\n{len(files)} PDFs of kreuzberg's and pdfplumber's test data; speed is over the {len(read)} ({total} pages) that "
        "every engine reads. They have no ground truth: what they have in common with pypdfium2's words is shown (running lines, "
        "which some leave out, count against).\n\n" + report.table("Real files", rows),
        "Files that an engine does not read:\n\n" + ("\n".join(failures) or "- none"),
        "Where another is ahead:\n\n"
        + ("\n".join(f"- {line}" for line in report.ahead) or "- nowhere in these tables"),
    ]


if __name__ == "__main__":
    main()
