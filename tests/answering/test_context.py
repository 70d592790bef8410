"""What the model is shown: budgets, exact offsets, order, table headers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunheng.answering.context import assemble, prompt_order
from lunheng.answering.passages import SentenceReader
from lunheng.answering.prompts import answer_messages, is_refusal
from lunheng.answering.statements import split_statements
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.testing.fakes import FakeEmbedder, FakeTokenizer
from lunheng.types import Chunk, Hit, Metadata, Source

count = FakeTokenizer().count


def hit(name: str, text: str, kind: str = "text", prefix: str = "", at: int = 0) -> Hit:
    metadata = Metadata(f"{name}.md", "md", name, 0, title="Handbook", page_number=3, heading_path=("Leave",))
    return Hit(Chunk(name, text, at, at + len(text), metadata, prefix, kind=kind), 1.0, "rerank")


LONG = " ".join(f"Room {i} holds {i * 3} chairs." for i in range(200)) + " The annual fee is 410 euros."


def test_a_long_chunk_is_cut_to_what_answers(embedder: OnnxEmbedder) -> None:
    sources = assemble([hit("a", LONG, at=7)], SentenceReader(embedder, ["What is the annual fee?"]), count, 120, 4)
    assert len(sources) == 1 and "410 euros" in sources[0].text
    assert sum(count(line) for line in sources[0].shown) <= 120
    assert LONG[sources[0].start - 7 : sources[0].end - 7] == sources[0].text


@settings(max_examples=80, deadline=None)
@given(
    texts=st.lists(
        st.text(alphabet="年假有三天。 abc.\n|", min_size=1, max_size=400).filter(lambda t: t.strip()), max_size=6
    ),
    budget=st.integers(80, 500),
)
def test_budget_offsets_and_numbers(texts: list[str], budget: int) -> None:
    hits = [hit(str(i), t, at=i) for i, t in enumerate(texts)]
    sources = assemble(hits, SentenceReader(FakeEmbedder(), ["年假有几天？"]), count, budget, 4)
    assert [s.n for s in sources] == list(range(1, len(sources) + 1)) and len(sources) <= 4
    assert bool(sources) == bool(texts)
    assert sum(count(line) for s in sources for line in s.shown) <= budget
    for source in sources:
        chunk = source.hit.chunk
        assert chunk.text[source.start - chunk.start : source.end - chunk.start] == source.text


def test_the_best_sources_stand_at_the_edges() -> None:
    sources = [Source(n, hit(str(n), "x"), 0, 1, "x", ("x",)) for n in range(1, 6)]
    assert [s.n for s in prompt_order(sources)] == [2, 4, 5, 3, 1]


def test_rows_are_shown_with_their_column_names() -> None:
    rows = "| name | days |\n| --- | --- |\n| a | 1 |\n| b | 2 |"
    assert [s.reading for s in split_statements(hit("t", rows, kind="table").chunk)] == [
        "name: a; days: 1",
        "name: b; days: 2",
    ]
    later = hit("t2", "| c | 3 |", kind="table", prefix="Handbook > Leave\n| name | days |\n| --- | --- |")
    reader = SentenceReader(FakeEmbedder(), ["How many?"])
    prompt = answer_messages("How many?", assemble([later], reader, count, 500, 4), "en")[1].content
    assert "[1] Handbook › Leave › page 3\nname: c; days: 3\n" in prompt


def test_statements_are_sentences_rows_and_records() -> None:
    text = "Leave\n\nOne. Two!\n\nid: sg-1\nname: Singapore\n\n年假三天。病假五天。"
    statements = split_statements(hit("s", text).chunk)
    assert [s.reading for s in statements] == ["One.", "Two!", "id: sg-1\nname: Singapore", "年假三天。", "病假五天。"]
    assert all(text[s.start : s.end] == s.reading for s in statements)
    assert [s.reading for s in split_statements(hit("h", "Leave").chunk)] == ["Leave"], "a heading alone is kept"
    header = hit("t", "| a \\| b | c |\n| --- | --- |", kind="table").chunk
    assert [s.reading for s in split_statements(header)] == ["a | b; c"]


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("资料中没有提到。", True),
        ("资料中没有提到东京办公室的开门时间。", True),
        ("The sources do not say.", True),
        ("There is no information about pet insurance in the sources.", True),
        ("年假有 12 天[1]。", False),
        ("The policy does not cover pets [1].", False),
    ],
)
def test_refusals_are_recognised(text: str, refuses: bool) -> None:
    assert is_refusal(text) is refuses
