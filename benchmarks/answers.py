"""Ask every question of examples/questions.toml over the example handbook and score the answers.

    python benchmarks/answers.py [--small] [--strategy naive] [--only demo-zh en-legal-hold ...]

An answerable question scores when the checked answer holds every fact; an unanswerable one when it says that the
documents do not say. Prints a line a question, and writes ``benchmarks/reports/answers.md``.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import tempfile
import time
import tomllib
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from lunheng import Answer, KnowledgeBase, Settings
from lunheng.cli.common import SMALL_LLM
from lunheng.types import content_id

ROOT = Path(__file__).resolve().parent.parent
REPORT = Path(__file__).parent / "reports" / "answers.md"


@dataclass(frozen=True, slots=True)
class Scored:
    """One question's outcome."""

    case: dict[str, Any]
    answer: Answer
    right: bool
    seconds: float

    @property
    def sourced(self) -> bool:
        """A citation points into the document that answers."""
        return any(c.document.endswith(self.case.get("file", "\0")) for c in self.answer.citations)


def plain(text: str) -> str:
    """As questions.toml says facts are compared: NFKC, lower case, no spaces, no commas between digits."""
    text = unicodedata.normalize("NFKC", text).lower()
    return re.sub(r"\s", "", re.sub(r"(?<=\d),(?=\d)", "", text))


def is_right(case: dict[str, Any], answer: Answer) -> bool:
    if case["direction"] == "none":
        return not answer.answered
    text = plain(re.sub(r"\[\d+\]", "", answer.text))
    return answer.answered and all(any(plain(f) in text for f in group) for group in case["facts"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--strategy", choices=["naive", "advanced"], default="naive")
    parser.add_argument("--only", nargs="*")
    arguments = parser.parse_args()
    settings = Settings.load(ROOT)
    if arguments.small:
        settings = settings.model_copy(update={"models": settings.models.model_copy(update={"llm": SMALL_LLM})})
    questions = (ROOT / "examples" / "questions.toml").read_text("utf-8")
    cases = [c for c in tomllib.loads(questions)["question"] if not arguments.only or c["id"] in arguments.only]
    strategy = cast(Literal["naive", "advanced"], arguments.strategy)
    scored: list[Scored] = []
    with tempfile.TemporaryDirectory() as folder, KnowledgeBase.open(folder, settings) as kb:
        kb.sync(ROOT / "examples" / "handbook")
        for case in cases:
            begun = time.perf_counter()
            answer = kb.ask(case["question"], strategy=strategy)
            item = Scored(case, answer, is_right(case, answer), time.perf_counter() - begun)
            scored.append(item)
            mark = "right" if item.right else "WRONG"
            print(f"{mark} {case['id']} [{answer.verdict} {answer.confidence:.2f} {item.seconds:.0f}s] ", end="")
            print(" ".join(answer.text.split())[:160], flush=True)
    lines = report(scored, settings, strategy, content_id(questions)[:16])
    print("\n".join(lines))
    if not arguments.only:
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def report(scored: list[Scored], settings: Settings, strategy: str, digest: str) -> list[str]:
    """The table by direction, and every wrong answer in full."""
    lines = [
        "## Answers, end to end",
        "",
        f"`examples/questions.toml` ({digest}) over `examples/handbook/`, {settings.models.llm}, strategy {strategy}, "
        f"{platform.machine()}. Right: every fact stands in the checked answer; for the unanswerable, it says so.",
        "",
        "| questions | right | cites the right document | wrong and yet supported |",
        "|---|---|---|---|",
    ]
    for direction in ("zh", "en", "zh-en", "en-zh", "none"):
        part = [s for s in scored if s.case["direction"] == direction]
        if part:
            right = sum(s.right for s in part)
            sourced = "–" if direction == "none" else f"{sum(s.sourced for s in part)} of {len(part)}"
            false = sum(not s.right and s.answer.answered and s.answer.verdict == "supported" for s in part)
            lines.append(f"| {direction} | {right} of {len(part)} | {sourced} | {false} |")
    lines += ["", f"Settings: `{json.dumps(settings.answering.model_dump())}`", "", "Wrong:", ""]
    for s in scored:
        if not s.right:
            expected = s.case.get("answer", "that the documents do not say")
            lines.append(f"- {s.case['id']}: expected {expected}; got {' '.join(s.answer.text.split())[:200]}")
    return lines


if __name__ == "__main__":
    main()
