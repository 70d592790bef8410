"""One engine over a list of PDFs: its Markdown, and its CPU time in this process.

Started by ``parsing.py`` as ``python side.py JOB``, JOB being a JSON file: {"engine", "files", "repeats", "limit", "out"}.
Adds a line to ``out`` for each file, so that an engine that dies leaves what it did: {"path", "markdown", "seconds",
"error"}. Seconds are CPU-seconds of the whole process (its threads included): the median of the repeats, after one run
that is not counted; past ``limit`` seconds no repeat is begun.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

Engine = Callable[[str], str]


def lunheng() -> Engine:
    from lunheng.parsing.dispatch import parse_here
    from lunheng.types import Limits

    def run(path: str) -> str:
        parts = []
        for element in parse_here(Path(path), Limits(), "off").elements:
            mark = "#" * element.level + " " if element.kind == "heading" else ""
            parts.append(mark + element.text)
        return "\n\n".join(parts)

    return run


def pypdfium2() -> Engine:
    import pypdfium2

    def run(path: str) -> str:
        pdf = pypdfium2.PdfDocument(path)
        try:
            return "\n\n".join(page.get_textpage().get_text_range() for page in pdf).replace("\r\n", "\n")
        finally:
            pdf.close()

    return run


def liteparse() -> Engine:
    from liteparse import LiteParse

    parser = LiteParse(ocr_enabled=False, output_format="markdown", quiet=True)
    return lambda path: str(parser.parse(path).text)


def pdf_inspector() -> Engine:
    import pdf_inspector

    return lambda path: pdf_inspector.process_pdf(path).markdown or ""


def pdf_oxide() -> Engine:
    import pdf_oxide

    return lambda path: str(pdf_oxide.PdfDocument(path).to_markdown_all())


def kreuzberg() -> Engine:
    from kreuzberg import ExtractionConfig, extract_file_sync

    config = ExtractionConfig(output_format="markdown", use_cache=False, disable_ocr=True)
    return lambda path: str(extract_file_sync(path, config=config).content)


def markitdown() -> Engine:
    from markitdown import MarkItDown

    converter = MarkItDown()
    return lambda path: str(converter.convert(path).text_content)


def pdfplumber() -> Engine:
    import pdfplumber

    def run(path: str) -> str:
        parts = []
        with pdfplumber.open(path) as pdf:
            for page in pdf.pages:
                tables = page.find_tables()
                boxes = [table.bbox for table in tables]

                def outside(item: dict[str, float], boxes: list[tuple[float, ...]] = boxes) -> bool:
                    x, y = (item["x0"] + item["x1"]) / 2, (item["top"] + item["bottom"]) / 2
                    return not any(b[0] <= x <= b[2] and b[1] <= y <= b[3] for b in boxes)

                parts.append(page.filter(outside).extract_text() if boxes else page.extract_text())
                for table in tables:
                    rows = [[" ".join((cell or "").split()) for cell in row] for row in table.extract()]
                    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
                    parts.append("\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]))
        return "\n\n".join(parts)

    return run


ENGINES = {
    "lunheng": lunheng,
    "pypdfium2": pypdfium2,
    "liteparse": liteparse,
    "pdf_inspector": pdf_inspector,
    "pdf_oxide": pdf_oxide,
    "kreuzberg": kreuzberg,
    "markitdown": markitdown,
    "pdfplumber": pdfplumber,
}


def measure(run: Engine, path: str, repeats: int, limit: float) -> dict[str, object]:
    """The first run warms caches and gives the text; a slow file is run fewer times."""
    started = time.process_time()
    try:
        markdown = run(path)
    except Exception as error:  # noqa: BLE001  (an engine may raise anything: the report says so)
        return {"markdown": "", "seconds": None, "error": f"{type(error).__name__}: {error}"[:200]}
    seconds = [time.process_time() - started]
    for _ in range(repeats):
        if sum(seconds) > limit:
            break
        started = time.process_time()
        run(path)
        seconds.append(time.process_time() - started)
    return {"markdown": markdown, "seconds": statistics.median(seconds[1:] or seconds), "error": ""}


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    run = ENGINES[job["engine"]]()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # some print what they think of a file
    with Path(job["out"]).open("a", encoding="utf-8") as out:
        for path in job["files"]:
            found = measure(run, path, job["repeats"], job["limit"])
            out.write(json.dumps({"path": path, **found}) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
