"""Where the semantic strategy cuts: by distance, by a language model, and what it never does."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lunheng.chunking import cut_document, make_chunker
from lunheng.chunking.breakpoints import breakpoints
from lunheng.config import ChunkingSettings
from lunheng.errors import ConfigError, ModelError
from lunheng.parsing.builder import DocumentBuilder
from lunheng.testing.fakes import FakeLLM, FakeTokenEmbedder, FakeTokenizer
from lunheng.testing.real_models import real_embedder
from lunheng.types import Chunk, Document

FERRIES = (
    "The ferry to Visby leaves at eight. It carries cars and lorries. Foot passengers board by the aft ramp. "
    "The crossing by ferry takes three hours. Dogs travel on the car deck of the ferry."
)
酵母 = "酵母把糖变成酒精和二氧化碳。面团因此发起来。温度太高酵母会死。发酵好的面团要再揉一遍。烤箱预热到二百二十度。"
STARS = (
    "A star of eight solar masses burns its hydrogen quickly. Its core then collapses. The supernova outshines a galaxy. "
    "What remains is a neutron star. Pulsars are neutron stars that spin."
)


def document(*paragraphs: str) -> Document:
    builder = DocumentBuilder(Path("/a/mixed.txt"), "txt", b"data")
    for text in paragraphs:
        builder.add("paragraph", text)
    return builder.build()


def split(given: Document, **changes: object) -> list[Chunk]:
    embedder = real_embedder()
    settings = ChunkingSettings.model_validate({"strategy": "semantic", "size": 200, "min_size": 20, **changes})
    return make_chunker(settings, embedder.tokenizer, embedder.window, embedder).split(given)


@pytest.mark.parametrize(
    "method", ["percentile", "standard_deviation", "interquartile", "gradient"], ids=lambda method: method
)
def test_cuts_where_the_subject_changes(method: str) -> None:
    # One paragraph, so that nothing but the sense tells where to cut.
    given = document(f"{FERRIES} {酵母}{STARS}")
    chunks = split(given, breakpoint=method, threshold={"percentile": 80, "gradient": 80}.get(method, 1.0))
    edges = [given.text.index("酵母"), given.text.index("A star")]
    starts = {c.start for c in chunks}
    wanted = 1 if method == "gradient" else 2  # the steepest rise may begin a sentence early
    assert sum(any(abs(edge - s) < 40 for s in starts) for edge in edges) >= wanted, [c.text for c in chunks]


def test_an_absolute_threshold_of_two_cuts_nowhere_and_of_zero_everywhere() -> None:
    given = document(f"{FERRIES} {STARS}")
    assert len(split(given, breakpoint="absolute", threshold=2.0)) == 1
    assert len(split(given, breakpoint="absolute", threshold=0.0, min_size=0)) == 10


def test_pieces_keep_the_least_size_and_begin_at_sentences() -> None:
    embedder = real_embedder()
    given = document(FERRIES, 酵母, STARS)
    chunks = split(given, breakpoint="absolute", threshold=0.0, min_size=40)
    assert all(embedder.tokenizer.count(c.text) >= 38 for c in chunks)
    assert all(c.text[-1] in ".。" for c in chunks)


def test_tables_and_code_stand_apart_and_headings_begin_pieces() -> None:
    builder = DocumentBuilder(Path("/a/b.md"), "md", b"data")
    builder.heading("Ferries", 1)
    builder.add("paragraph", FERRIES)
    builder.add("table", "| town | fare |\n| --- | --- |\n| Visby | 40 |")
    builder.add("paragraph", STARS)
    builder.heading("面包", 1)
    builder.add("paragraph", 酵母)
    builder.add("code", "def bake():\n    return 220")
    chunks = split(builder.build(), min_size=10)
    assert [c.kind for c in chunks if c.kind != "text"] == ["table", "code"]
    assert any(c.text.startswith("面包\n\n酵母") for c in chunks)
    for c in chunks:
        assert c.kind != "text" or ("|" not in c.text and "bake" not in c.text)


def test_all_sentences_of_a_document_go_to_the_embedder_in_one_call() -> None:
    class Counting(FakeTokenEmbedder):
        calls = 0

        def embed(self, texts, kind):  # type: ignore[no-untyped-def]
            self.calls += 1
            return super().embed(texts, kind)

    embedder = Counting(FakeTokenizer())
    builder = DocumentBuilder(Path("/a/b.md"), "md", b"data")
    for text in (FERRIES, 酵母, STARS):
        builder.add("paragraph", text)
        builder.add("table", "| a | b |\n| --- | --- |\n| 1 | 2 |")
    settings = ChunkingSettings(strategy="semantic", size=60)
    make_chunker(settings, embedder.tokenizer, 512, embedder).split(builder.build())
    assert embedder.calls == 1


def test_methods_on_known_distances() -> None:
    distances = np.array([0.1, 0.1, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    for method in ("percentile", "standard_deviation", "interquartile", "absolute"):
        assert breakpoints(distances, method).tolist() == (distances == 0.5).tolist(), method  # type: ignore[arg-type]
    assert int(np.argmax(breakpoints(distances, "gradient"))) == 1, "the rise begins before the peak"
    for method in ("percentile", "gradient", "absolute"):
        assert breakpoints(np.zeros(0), method).size == 0  # type: ignore[arg-type]


# -- the language model's boundaries -----------------------------------------------------------------


def by_llm(given: Document, *replies: str | Exception) -> tuple[list[Chunk], tuple[str, ...], FakeLLM]:
    embedder = FakeTokenEmbedder(FakeTokenizer())
    llm = FakeLLM(replies)
    settings = ChunkingSettings(strategy="semantic", boundaries="llm", size=200, min_size=0)
    chunker = make_chunker(settings, embedder.tokenizer, 512, embedder, lambda: llm)
    cut = cut_document(chunker, given)
    return cut.chunks, cut.notes, llm


def said(*boundaries: tuple[int, str]) -> str:
    return json.dumps({"boundaries": [{"sentence": n, "begins": words} for n, words in boundaries]}, ensure_ascii=False)


def test_a_proposed_boundary_counts_where_it_is_in_the_text() -> None:
    given = document(f"{FERRIES} {酵母}{STARS}")
    chunks, notes, llm = by_llm(given, said((6, "酵母把糖变成"), (11, "A star of eight …")))
    assert [c.text[:6] for c in chunks] == ["The fe", "酵母把糖变成", "A star"]
    assert notes == ()
    assert llm.schemas[0] is not None and "[6] 酵母把糖变成酒精" in llm.calls[0][0].content


def test_boundaries_that_are_not_there_are_dropped_and_counted() -> None:
    given = document(f"{FERRIES} {STARS}")
    chunks, notes, _ = by_llm(given, said((6, "A star of eight"), (3, "Submarines dive"), (99, "A star"), (0, "")))
    assert [c.text[:6] for c in chunks] == ["The fe", "A star"]
    assert notes == ("3 boundaries that the language model proposed are not in the text and were dropped",)


@pytest.mark.parametrize(
    "reply", ["no JSON at all", '{"other": 1}', '{"boundaries": [{"sentence": "x"}]}', ModelError("down")]
)
def test_an_answer_that_cannot_be_read_is_noted(reply: str | Exception) -> None:
    chunks, notes, _ = by_llm(document(f"{FERRIES} {STARS}"), reply)
    assert len(chunks) == 1
    assert len(notes) == 1 and "gave no boundaries for 1 windows" in notes[0]


def test_a_long_document_is_read_in_windows() -> None:
    given = document(*(f"{FERRIES} {酵母}{STARS}" for _ in range(20)))
    chunks, notes, llm = by_llm(given, said())
    assert len(llm.calls) > 2 and notes == ()
    shown = [call[0].content for call in llm.calls]
    for sentence in ("Dogs travel on the car deck", "烤箱预热到二百二十度", "Pulsars are neutron stars"):
        assert all(sentence in text for text in shown)
    assert all(a.end <= b.start for a, b in pairwise(chunks))


def test_models_that_are_missing_are_named() -> None:
    with pytest.raises(ConfigError, match="embedder"):
        make_chunker(ChunkingSettings(strategy="semantic"), FakeTokenizer(), 512)
    with pytest.raises(ConfigError, match="language model"):
        settings = ChunkingSettings(strategy="semantic", boundaries="llm")
        make_chunker(settings, FakeTokenizer(), 512, FakeTokenEmbedder(FakeTokenizer()), lambda: None)
