"""Index examples/handbook and ask the four demo questions. Called by ``make demo``."""

from __future__ import annotations

import logging
import sys
import time
import tomllib
from functools import partial
from pathlib import Path

from lunheng import KnowledgeBase, Settings
from lunheng.cli.answer_view import show_answer
from lunheng.cli.common import SMALL_LLM, bar, ingest_progress, out, outcomes

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    logging.getLogger("lunheng").setLevel(logging.ERROR)  # warnings are shown with each answer
    started = time.monotonic()
    settings = Settings.load(ROOT / "demo-kb")
    if "--small" in sys.argv:
        settings = settings.model_copy(update={"models": settings.models.model_copy(update={"llm": SMALL_LLM})})
    questions = tomllib.loads((ROOT / "examples" / "questions.toml").read_text("utf-8"))["question"]
    with KnowledgeBase.open(ROOT / "demo-kb", settings) as kb:
        with bar("indexing examples/handbook", quiet=False) as advance:
            report = kb.sync(ROOT / "examples" / "handbook", progress=ingest_progress(advance))
        out.print(f"[bold]examples/handbook[/]: {outcomes(report.counts)} ({time.monotonic() - started:.1f} s)")
        for item in report.failed:
            out.print(f"failed {item.source}: {item.reason}", markup=False)
        for number, case in enumerate((q for q in questions if q["set"] == "demo"), start=1):
            out.rule(f"[bold]{number}. {case['question']}[/]")
            show_answer(partial(kb.ask_stream, case["question"]), times=True)
    out.rule(f"done in {time.monotonic() - started:.0f} s")
    out.print('Your own documents:  lunheng sync DIR --kb kb   then   lunheng ask "..." --kb kb')
    if report.failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
