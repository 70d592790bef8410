"""The check of answers against sources, on the real embedder; offsets on random text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunheng.answering.passages import SentenceReader
from lunheng.answering.verification import overall, render, verify
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.testing.fakes import FakeEmbedder
from lunheng.types import Chunk, Hit, Metadata, Source

BACKUP = (
    "Backups of customer databases run every night at 02:30 UTC. They are kept for 35 days in Rotterdam. "
    "Restores are tested by Ingrid Castellane on the first Monday of each quarter. Laptops are not backed up."
)
LEAVE = "陪产假：20 天，自子女出生之日起 6 个月内休完。试用期员工不能申请异地办公。年假申请由周启明审批。"


def source(n: int, text: str, at: int = 0) -> Source:
    chunk = Chunk(f"c{n}", text, at, at + len(text), Metadata(f"{n}.md", "md", f"d{n}", 0))
    return Source(n, Hit(chunk, 1.0, "rerank"), chunk.start, chunk.end, text, (text,))


@pytest.fixture
def reader(embedder: OnnxEmbedder) -> SentenceReader:
    return SentenceReader(embedder)


@pytest.mark.parametrize(
    ("answer", "question"),
    [
        ("Backups are kept for 35 days [1].", "How long are backups kept?"),
        ("They run every night at 2:30 a.m. [1]", "When do backups run?"),
        ("备份保留 35 天[1]。", "备份保留多久？"),
        ("Laptops are not backed up [1].", "Are laptops backed up?"),
        ("陪产假为20天[2]。", "陪产假有几天？"),
        ("There are 20 days of paternity leave [2].", "How long is paternity leave?"),
        ("试用期员工不能申请异地办公[2]。", "试用期能异地办公吗？"),
    ],
)
def test_what_the_source_says_is_supported(answer: str, question: str, reader: SentenceReader) -> None:
    checked = verify(answer, [source(1, BACKUP), source(2, LEAVE)], question, reader)
    assert checked.verdict == "supported", checked.checks


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("Backups are kept for 90 days [1].", "90"),
        ("Backups are kept for 35 weeks [1].", "35 week"),
        ("Backups run at 04:15 [1].", "04:15"),
        ("Restores are tested by Oliver Grant [1].", "oliver"),
        ("Laptops are backed up [1].", "opposite"),
        ("陪产假为 30 天[2]。", "30"),
        ("试用期员工可以申请异地办公[2]。", "opposite"),
        ("年假申请由王建国审批[2]。", "王建国"),
        ("The canteen serves noodles on Fridays [1].", ""),
    ],
)
def test_what_the_source_does_not_say_is_not(answer: str, why: str, reader: SentenceReader) -> None:
    checked = verify(answer, [source(1, BACKUP), source(2, LEAVE)], "?", reader)
    assert checked.verdict == "unsupported", checked.checks
    assert why in " ".join(r for c in checked.checks for r in c.reasons)


def test_invented_citations_are_dropped_and_noted(reader: SentenceReader) -> None:
    checked = verify("Backups are kept for 35 days [1][7].", [source(1, BACKUP)], "?", reader)
    assert checked.checks[0].citations == (1,)
    assert checked.invented == (7,)


def test_a_sentence_without_a_citation_gets_the_source_that_says_it(reader: SentenceReader) -> None:
    checked = verify("陪产假为20天。", [source(1, BACKUP), source(2, LEAVE)], "陪产假有几天？", reader)
    assert checked.checks[0].citations == (2,)
    assert render(checked, {"supported"}) == "陪产假为20天[2]。"


def test_a_copied_heading_is_no_sentence(reader: SentenceReader) -> None:
    chunk = Chunk("c1", BACKUP, 0, len(BACKUP), Metadata("1.md", "md", "d1", 0, title="手册", heading_path=("备份",)))
    given = Source(1, Hit(chunk, 1.0, "rerank"), 0, len(BACKUP), BACKUP, (BACKUP,))
    checked = verify("手册 › 备份[1]\nBackups are kept for 35 days [1].", [given], "?", reader)
    assert [c.text for c in checked.checks] == ["Backups are kept for 35 days."]


def test_a_draft_from_one_source_cites_it(reader: SentenceReader) -> None:
    checked = verify("Backups are kept for 90 days.", [source(1, BACKUP), source(2, LEAVE)], "?", reader, only=1)
    assert checked.checks[0].citations == (1,) and checked.verdict == "unsupported"


def test_a_wrong_citation_is_mended(reader: SentenceReader) -> None:
    checked = verify("Backups are kept for 35 days [2].", [source(1, BACKUP), source(2, LEAVE)], "?", reader)
    assert checked.checks[0].citations == (1,) and checked.verdict == "supported"


def test_quotes_are_the_sentences_that_the_claims_rest_on(reader: SentenceReader) -> None:
    checked = verify("Backups are kept for 35 days [1].", [source(1, BACKUP, at=100)], "?", reader)
    citation = checked.citations[0]
    assert citation.quote == "They are kept for 35 days in Rotterdam."
    assert BACKUP[citation.start - 100 : citation.end - 100] == citation.quote


def test_markers_after_the_stop_belong_to_the_sentence(reader: SentenceReader) -> None:
    checked = verify("备份保留35天。[1]陪产假为20天。[2]", [source(1, BACKUP), source(2, LEAVE)], "?", reader)
    assert [c.citations for c in checked.checks] == [(1,), (2,)]
    assert render(checked, {"supported", "partly"}) == "备份保留35天[1]。陪产假为20天[2]。"


def test_overall() -> None:
    assert overall(["supported", "supported"]) == "supported"
    assert overall(["supported", "unsupported"]) == "partly"
    assert overall(["unsupported"]) == "unsupported"
    assert overall([]) == "unsupported"


_PIECES = st.lists(
    st.sampled_from(
        [
            "备份保留35天。",
            "Leave is 12 days. ",
            "不",
            "[1]",
            "[9]",
            "。",
            " ",
            "\n",
            "| a | b |",
            "3.5%",
            "Dr. X",
            "…",
            "“引”",
        ]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(text=_PIECES.filter(lambda t: t.strip()), answer=_PIECES, at=st.integers(0, 50))
def test_every_quote_is_the_text_between_its_offsets(text: str, answer: str, at: int) -> None:
    document = "x" * at + text
    checked = verify(answer, [source(1, text, at)], "?", SentenceReader(FakeEmbedder()))
    for citation in checked.citations:
        assert document[citation.start : citation.end] == citation.quote
    assert all(n == 1 for c in checked.checks for n in c.citations)
