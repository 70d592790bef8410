"""Which strategy a document gets, and that it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.chunking import cut_document, make_chunker
from lunheng.chunking.domains import choose
from lunheng.chunking.presets import CODE, GENERAL, LAW, PAPER, QA, size_for
from lunheng.config import ChunkingSettings
from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.dispatch import parse_here
from lunheng.testing.tokenizers import FakeTokenizer
from lunheng.types import Limits

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = Path(__file__).parent / "documents"


@pytest.mark.parametrize(
    ("name", "strategy", "domain", "reason"),
    [
        ("图书馆条例.txt", "legal", "law", "13 of 条 in order, 第一条 to 第十二条"),
        ("harbour-act.txt", "legal", "law", "7 of Article in order"),
        ("常见问题.md", "qa", "qa", "4 of 7 headings ask"),
        ("faq.txt", "qa", "qa", "4 labelled questions"),
        ("help-desk.csv", "qa", "qa", "the columns '问题', '回答'"),
        ("入院记录.txt", "medical", "medicine", "a case note: sections 主诉, 现病史"),
        ("discharge-summary.md", "medical", "medicine", "a case note: sections Chief complaint"),
        ("高血压药物治疗研究.md", "medical", "paper", "a medical paper"),
        ("ledger.py", "code", "code", "py source code"),
    ],
)
def test_each_kind_is_told(name: str, strategy: str, domain: str, reason: str) -> None:
    choice = choose(parse_here(DOCUMENTS / name, Limits(), "off"))
    assert (choice.strategy, choice.preset.domain) == (strategy, domain) and reason in choice.reason


@pytest.mark.parametrize("path", sorted((ROOT / "examples/handbook").iterdir()), ids=lambda p: p.name)
def test_a_handbook_is_general_text(path: Path) -> None:
    assert choose(parse_here(path, Limits(), "off")).preset is GENERAL


SHORT_FAQ = "Q: When does the ferry leave?\nA: At seven, from pier 3.\n\n问：渡轮几点开？\n答：七点，从三号码头开出。\n"  # mixed
LEASE = "LEASE AGREEMENT\n\n" + "\n\n".join(
    f"Article {n} {name}\nThe tenant pays 900 crowns for the {name.lower()}."
    for n, name in enumerate(("Premises", "Rent", "Deposit", "Notice"), 1)
)
COOPERATION = (
    "合作协议\n\n甲方：椋鸟云\n乙方：北岸渡轮\n\n一、合作内容\n双方共同运营三号码头。\n\n"
    "二、费用\n每年 9000 元，一月付清。\n\n三、期限\n自 2026 年 1 月 1 日起一年。"
)


@pytest.mark.parametrize(
    "text,strategy",
    [
        (SHORT_FAQ, "qa"),
        (f"Ferry FAQ 常见问题\n\n{SHORT_FAQ}", "qa"),
        (LEASE, "legal"),
        (COOPERATION, "legal"),
        (f"{SHORT_FAQ}\nThe ferry was built in 1931.\n\nIt was painted in 1950.", "recursive"),
        (LEASE.replace("LEASE AGREEMENT", "A walk in four parts"), None),
        (COOPERATION.replace("合作协议", "会议记录").replace("甲方", "主持").replace("乙方", "记录"), None),
    ],
)
def test_a_short_document_that_is_wholly_of_a_kind(text: str, strategy: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, encoding="utf-8")
    chosen = choose(parse_here(path, Limits(), "off")).strategy
    assert chosen == strategy if strategy else chosen in ("structure", "recursive")


def test_a_paper_and_a_report() -> None:
    made = DocumentBuilder(Path("/a/x.pdf"), "pdf", b"x")
    for heading in ("Abstract", "1 Introduction", "2 Methods", "3 Results", "4 Conclusion", "References"):
        made.heading(heading, 1)
        made.add("paragraph", "The marram grass was counted on nine dunes. " * 5)
    assert choose(made.build()).preset is PAPER and choose(made.build()).strategy == "structure"
    made = DocumentBuilder(Path("/a/x.txt"), "txt", b"x")
    for number in range(1, 6):
        made.add("paragraph", f"Section {number} of the trail")
        made.add("paragraph", "The path follows the coast and is easy to walk in any weather. " * 3)
    assert choose(made.build()).preset is GENERAL, "sections of a report are no law"


def test_the_reason_names_the_size_and_what_lowered_it() -> None:
    document = parse_here(DOCUMENTS / "图书馆条例.txt", Limits(), "off")

    def reason(size: int | None, window: int) -> str:
        return cut_document(make_chunker(ChunkingSettings(size=size), FakeTokenizer(), window), document).reason

    assert reason(None, 512).endswith(
        "at most 502 tokens (the preset of 800 does not fit the embedder's window of 512)"
    )
    assert reason(None, 8192).endswith("at most 800 tokens")
    assert reason(300, 512).endswith("at most 300 tokens (chunking.size is 300)")
    assert reason(900, 512).endswith("at most 502 tokens (chunking.size is 900, lowered to 502)")


def test_preset_setting_and_window() -> None:
    assert [size_for(p, None, 512).tokens for p in (GENERAL, CODE, PAPER, QA, LAW)] == [320, 500, 502, 200, 502]
    assert [size_for(p, None, 8192).tokens for p in (GENERAL, CODE, PAPER, QA, LAW)] == [1000, 500, 2000, 200, 800]
    assert [size_for(p, 100, 512).tokens for p in (GENERAL, CODE, PAPER, QA, LAW)] == [100] * 5
