"""Questions with their answers: a pair a chunk, however it is marked; the rest is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunheng.chunking import cut_document, make_chunker
from lunheng.chunking.qa import is_question_heading, question_columns, starts_label
from lunheng.config import ChunkingSettings
from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.dispatch import parse_here
from lunheng.parsing.tables import markdown_table
from lunheng.testing.tokenizers import FakeTokenizer
from lunheng.types import Chunk, Document, Limits

DOCUMENTS = Path(__file__).parent / "documents"


def split(source: str | Document, size: int = 200) -> list[Chunk]:
    document = parse_here(DOCUMENTS / source, Limits(), "off") if isinstance(source, str) else source
    return make_chunker(ChunkingSettings(strategy="qa", size=size), FakeTokenizer(), 1024).split(document)


def test_headings_that_ask() -> None:
    chunks = split("常见问题.md")
    assert [c.kind for c in chunks] == ["text", "qa", "qa", "qa", "qa"]
    assert chunks[1].text.startswith("租车\n\n如何租一辆车？") and "服务台也可以办理" in chunks[1].text
    assert chunks[2].text == "押金多久退还\n\n还车后押金在三个工作日内退回原账户。"
    assert chunks[4].text.startswith("Can I return the bike") and chunks[4].metadata.language == "en"


def test_labels_in_both_languages() -> None:
    chunks = split("faq.txt")
    assert [c.kind for c in chunks] == ["text", "qa", "qa", "qa", "qa"]
    assert chunks[1].text.startswith("Q: How often") and chunks[1].text.endswith("every hour.")
    assert chunks[3].text.endswith("an hour and ten minutes.")
    assert chunks[4].text.startswith("问：") and "找零只给克朗" in chunks[4].text


def test_columns_of_a_sheet() -> None:
    chunks = split("help-desk.csv")
    assert [c.kind for c in chunks] == ["qa"] * 3
    assert "| 问题 | 回答 | 部门 |" in chunks[1].prefix and chunks[1].text.startswith("| 报销多久到账？")


@pytest.mark.parametrize("strategy", ["code", "qa", "table"])
@pytest.mark.parametrize("name", ["图书馆条例.txt", "harbour-act.txt"])
def test_a_strategy_that_found_nothing_of_its_own_says_so(strategy: str, name: str) -> None:
    document = parse_here(DOCUMENTS / name, Limits(), "off")
    settings = ChunkingSettings(strategy=strategy)
    (note,) = cut_document(make_chunker(settings, FakeTokenizer(), 1024), document).notes
    assert "was found in it" in note or "were found in it" in note


@pytest.mark.parametrize(("strategy", "name"), [("code", "ledger.py"), ("qa", "faq.txt"), ("table", "help-desk.csv")])
def test_a_strategy_that_fits_has_no_note(strategy: str, name: str) -> None:
    document = parse_here(DOCUMENTS / name, Limits(), "off")
    notes = cut_document(make_chunker(ChunkingSettings(strategy=strategy), FakeTokenizer(), 1024), document).notes
    assert not [note for note in notes if "found in it" in note]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([["Question", "Answer"], ["a", "b"]], (0, 1)),
        ([["编号", "标准答案", "常见问题"], ["1", "x", "y"]], (2, 1)),
        ([["k", "t", "v"], ["1", "几点开门？", "九点开门，节假日十点。"], ["2", "Where?", "Here, at the gate."],
          ["3", "贵吗？", "不贵，一人二十元。"]], (1, 2)),
        ([["名称", "数量"], ["a", "1"], ["b", "2"], ["c", "3"]], None),
    ],
)  # fmt: skip
def test_which_columns(rows: list[list[str]], found: tuple[int, int] | None) -> None:
    assert question_columns(rows) == found


def test_a_long_answer_repeats_its_question() -> None:
    made = DocumentBuilder(Path("/a/faq.txt"), "txt", b"x")
    made.title = "FAQ"
    made.add("paragraph", "问：怎样申请延期？")
    made.add("paragraph", "答：" + "先提交书面申请，说明理由，并附上证明材料。" * 20)
    made.add("paragraph", "问：费用是多少？\n答：免费。")
    made.add(
        "table",
        markdown_table([["问题", "答案"], ["能退款吗？", "可以，" + "七日内退回原账户。" * 30], ["贵吗", "否"]]),
    )
    chunks = split(made.build(), 100)
    long = [c for c in chunks if "书面申请" in c.text]
    assert len(long) > 2 and all(c.prefix == "FAQ\n问：怎样申请延期？" for c in long[1:])
    assert all(c.kind == "qa" for c in chunks)
    rows = [c for c in chunks if "七日内" in c.text]
    assert len(rows) > 2 and all(c.prefix.endswith("能退款吗？") for c in rows[1:])


def test_lines_that_ask_where_there_are_several_and_text_that_belongs_to_no_pair() -> None:
    made = DocumentBuilder(Path("/a/x.txt"), "txt", b"x")
    made.add("paragraph", "General words before.")
    for question, answer in (("Is it open on Sundays?", "Yes, from ten."), ("有停车场吗？", "门口有二十个车位。")):
        made.add("paragraph", question)
        made.add("paragraph", answer)
    chunks = split(made.build())
    assert [(c.kind, c.text.count("\n\n")) for c in chunks] == [("text", 0), ("qa", 1), ("qa", 1)]


def test_what_asks() -> None:
    for text in ("如何申请退款", "3. 押金多久退还", "How to return a parcel", "What is included?", "可以报销吗"):
        assert is_question_heading(text), text
    for text in ("退款流程", "Refunds", "第三章 费用", "Hownow"):
        assert not is_question_heading(text), text
    assert starts_label("**Q1:** Why?") and starts_label("问题三：为何") and not starts_label("Quality: good")
