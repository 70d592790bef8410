"""Recognised pages: similarity to known text and seconds a page, by language, condition and engine.

    python benchmarks/parsing_ocr.py [--engines rapidocr,tesseract] [--quick] [--only zh-turned]

Called by ``make bench-parsing``. What was measured with the same code is kept in ``.work/`` and not measured again, so that
a run that was ended goes on where it was. Pages are drawn from the handbook in ``examples/`` with reportlab, rendered at 200 dpi,
turned, skewed or degraded, and saved as pictures without a text layer; each goes through the whole parser, so that a wrong
reading order counts against it as much as a wrong letter.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import io
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "parsers"))

from scores import plain  # noqa: E402

from common import file_digest, machine, table, versions, write_part  # noqa: E402
from lunheng.parsing.dispatch import parse_here  # noqa: E402
from lunheng.parsing.export import document_markdown  # noqa: E402
from lunheng.parsing.ocr import ENGINES  # noqa: E402
from lunheng.testing.fonts import embedded_font  # noqa: E402
from lunheng.types import Limits  # noqa: E402

WORK = HERE / ".work" / "parsing_ocr"
HANDBOOK = ROOT / "examples" / "handbook"
SOURCES = {
    "zh": ("报销制度-2026.docx", "安全密钥轮换.md"),
    "en": ("onboarding-first-90-days.txt", "on-call-and-incidents.docx"),
}
LETTERS = {"zh": 620, "en": 1500}
"""About so many on a page."""
DPI = 200
ACCEPTED = 0.97
QUICK = ("upright", "turned 90", "skewed 3", "degraded", "two columns", "ruled table")
Page = tuple[Any, str]
"""A picture and the text that stands on it."""
Case = tuple[Callable[[], Page], Callable[[Any], Any]]
"""How a page is drawn, and what is done to its picture."""


def sentences(language: str) -> list[str]:
    """Paragraphs of the handbook in a language."""
    found = [parse_here(HANDBOOK / name, Limits(), "off") for name in SOURCES[language]]
    return [
        e.text
        for d in found
        for e in d.elements
        if e.kind == "paragraph" and len(e.text) > 40 and "--" not in e.text and "==" not in e.text
    ]


def prose(language: str) -> list[str]:
    """The paragraphs of one page; ``mixed`` takes them from both languages in turn."""
    pools = [sentences(name) for name in (("zh", "en") if language == "mixed" else (language,))]
    room = sum(LETTERS[name] for name in (("zh", "en") if language == "mixed" else (language,))) / len(pools)
    paragraphs: list[str] = []
    for i in range(100):
        pool = pools[i % len(pools)]
        paragraphs.append(pool[(i // len(pools)) % len(pool)])
        if sum(map(len, paragraphs)) >= room:
            break
    return paragraphs


def draw(language: str, columns: int = 1, rows: list[list[str]] | None = None) -> Page:
    """An A4 page at 200 dpi: a heading and paragraphs in so many columns, or a sentence and a ruled table."""
    import pypdfium2
    from reportlab.lib.colors import black
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph, Spacer, Table

    font = "Times-Roman" if language == "en" else embedded_font()
    body = ParagraphStyle(
        "body", fontName=font, fontSize=10.5, leading=16, spaceAfter=8, wordWrap=None if language == "en" else "CJK"
    )
    heading = ParagraphStyle("heading", parent=body, fontSize=16, leading=24)
    paragraphs = prose(language)[: 1 if rows else None]
    title = {"zh": "第一章 总则", "en": "1 General rules", "mixed": "第一章 General rules"}[language]
    flow: list[Any] = [Paragraph(title, heading), *(Paragraph(p, body) for p in paragraphs)]
    truth = [title, *paragraphs]
    if rows:
        flow += [
            Spacer(1, 12),
            Table(rows, style=[("GRID", (0, 0), (-1, -1), 0.7, black), ("FONT", (0, 0), (-1, -1), font)]),
        ]
        truth += ["| " + " | ".join(row) + " |" for row in rows]
    file, gap = io.BytesIO(), 24.0
    width = (A4[0] - 120 - gap * (columns - 1)) / columns
    frames = [Frame(60 + i * (width + gap), 60, width, 440 if columns > 1 else 720, 0, 0, 0, 0) for i in range(columns)]
    document = BaseDocTemplate(file, pagesize=A4)
    document.addPageTemplates(PageTemplate("all", frames))
    document.build(flow)
    pdf = pypdfium2.PdfDocument(file.getvalue())
    picture = pdf[0].render(scale=DPI / 72).to_pil().convert("RGB")
    shown = pdf[0].get_textpage().get_text_bounded() if len(pdf) > 1 else ""
    assert not shown, "the text is longer than the page"
    return picture, "\n".join(truth)


def degraded(picture: Any) -> Any:
    """150 dpi, a tilt of 0.8 degrees, blur, noise, JPEG at 40."""
    import numpy as np
    from PIL import ImageFilter

    small = picture.resize((picture.width * 3 // 4, picture.height * 3 // 4), Image.Resampling.LANCZOS)
    small = turned(0.8)(small).filter(ImageFilter.GaussianBlur(0.7))
    noise = np.random.default_rng(5).normal(0, 12, (small.height, small.width, 1))
    noisy = Image.fromarray(np.clip(np.asarray(small) * 0.85 + 20 + noise, 0, 255).astype(np.uint8))
    file = io.BytesIO()
    noisy.save(file, "JPEG", quality=40)
    return Image.open(file).convert("RGB")


def turned(degrees: float) -> Callable[[Any], Any]:
    return lambda picture: picture.rotate(degrees, resample=3, expand=True, fillcolor="white")


def cases() -> dict[str, Case]:
    """By name."""
    pick = random.Random(3)
    words = {
        "zh": ["差旅", "住宿", "餐费", "审批", "发票", "预算", "部门", "凭证"],
        "en": ["travel", "lodging", "meals", "approval", "invoice"],
    }
    found: dict[str, Case] = {}
    conditions: dict[str, Callable[[Any], Any]] = {
        "upright": lambda picture: picture, "turned 90": turned(90), "turned 180": turned(180), "turned 270": turned(270),
        "skewed 3": turned(3), "skewed 7": turned(-7), "degraded": degraded,
    }  # fmt: skip
    for language in ("zh", "en", "mixed"):
        for name, change in conditions.items():
            if language != "mixed" or name in ("upright", "turned 90", "skewed 3", "degraded"):
                found[f"{language}-{name}"] = ((lambda one=language: draw(one)), change)
        if language == "mixed":
            continue
        found[f"{language}-two columns"] = ((lambda one=language: draw(one, 2)), conditions["upright"])
        rows = [[f"{pick.choice(words[language])} {c}" for c in "ABCD"]]
        rows += [[pick.choice(words[language]), *(f"{pick.uniform(1, 9999):,.2f}" for _ in range(3))] for _ in range(9)]
        found[f"{language}-ruled table"] = ((lambda one=language, r=rows: draw(one, 1, r)), conditions["upright"])
    return found


def letters(text: str) -> str:
    """Without the signs of Markdown (of headings, points, tables) and spaces, on both sides alike."""
    return "".join(plain(text).split())


def measure(picture: Any, truth: str, engine: str, folder: Path) -> dict[str, float]:
    """Similarity, CPU seconds (of the engine's programs too) and wall seconds."""
    pdf = folder / "page.pdf"
    picture.save(pdf, resolution=DPI, quality=95)
    used, began = cpu_seconds(), time.perf_counter()
    document = parse_here(pdf, Limits(), engine)
    used, took = cpu_seconds() - used, time.perf_counter() - began
    ratio = difflib.SequenceMatcher(None, letters(document_markdown(document)), letters(truth), autojunk=False).ratio()
    return {"similarity": ratio, "cpu": used, "seconds": took}


def cpu_seconds() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def code_digest(engine: str) -> str:
    """Of all that a page goes through with this engine: what was measured with other code is measured again."""
    others = {f"ocr_{name}.py" for name in ENGINES if name != engine}
    digest = hashlib.sha256()
    for path in (Path(__file__), *sorted((ROOT / "src" / "lunheng" / "parsing").glob("*.py"))):
        if path.name.startswith(("ocr", "pdf", "parsing_ocr")) and path.name not in others:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--engines", default=",".join(ENGINES), help="one after the other")
    options.add_argument("--only", default="", help="cases whose names hold this; no report is written")
    options.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    given = options.parse_args()
    engines = [name for name in given.engines.split(",") if name != "tesseract" or shutil.which("tesseract")]
    if engines != given.engines.split(","):
        print("SKIPPED: tesseract is not installed", flush=True)
    chosen = {
        name: case
        for name, case in cases().items()
        if given.only in name and (not given.quick or name.split("-")[1] in QUICK)
    }
    for engine in engines:
        run(engine, chosen)
    if not given.only:
        report(list(chosen))


def run(engine: str, chosen: dict[str, Case]) -> None:
    """Measure what is not yet known of these pages; each is kept as soon as it is measured."""
    known, code = results(engine), code_digest(engine)
    loaded = False
    with tempfile.TemporaryDirectory() as folder:
        for name, (make, change) in chosen.items():
            if name not in known:
                if not loaded:  # the engine's models, before the clock runs
                    measure(Image.new("RGB", (800, 800), "white"), "", engine, Path(folder))
                    loaded = True
                picture, truth = make()
                known[name] = measure(change(picture), truth, engine, Path(folder))
                path = WORK / f"{engine}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps({"code": code, "pages": known}, indent=1), encoding="utf-8")
            found = known[name]
            print(f"{name:20} {engine:10} {found['similarity']:.4f} {found['cpu']:6.1f} CPU-s", flush=True)


def results(engine: str) -> dict[str, dict[str, float]]:
    """What was measured with the code as it is now, by page."""
    path = WORK / f"{engine}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return dict(kept["pages"]) if kept.get("code") == code_digest(engine) else {}


def report(pages: list[str]) -> None:
    """Of every engine that was measured on these pages with the code as it is now."""
    known = {engine: found for engine in ENGINES if (found := results(engine))}
    names = {"rapidocr": lambda: versions("rapidocr", "onnxruntime"), "tesseract": tesseract_version}
    rows, low = [], []
    for page in pages:
        cells = []
        for engine, found in known.items():
            one = found.get(page)
            cells += [f"{one['similarity']:.4f}", f"{one['cpu']:.1f}"] if one else ["—", "—"]
            if one and one["similarity"] < ACCEPTED:
                low.append(f"{page.replace('-', ', ')} by {engine} ({one['similarity']:.3f})")
        rows.append([page.replace("-", ", "), *cells])
    data = ", ".join(f"{name} {file_digest(HANDBOOK / name)}" for names in SOURCES.values() for name in names)
    header = ["page", *(cell for engine in known for cell in (engine, "CPU-s"))]
    write_part(
        "parsing_ocr",
        "\n\n".join(
            [
                "## Recognised pages",
                f"Machine: {machine()}. Engines: {'; '.join(names[e]() for e in known)}; one thread. "
                f"Pages drawn from the example handbook ({data}): A4, 10.5 points, {DPI} dpi, as JPEG pictures without a "
                "text layer. *Degraded* is 150 dpi, tilted by 0.8 degrees, blurred, noisy, JPEG at 40. Similarity is that of "
                "all letters in their reading order, spaces and the signs of Markdown left out on both sides; CPU-s are the "
                "seconds of CPU for a page through the whole parser, the engine's models loaded.",
                table(header, rows),
                f"Below {ACCEPTED}: {', '.join(low)}." if low else f"Every page is at {ACCEPTED} or above.",
            ]
        ),
    )


def tesseract_version() -> str:
    done = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[0]


if __name__ == "__main__":
    main()
