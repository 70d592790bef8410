"""The chunker conformance suite: every strategy, sample document, language and cap, and random documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunheng.chunking import STRATEGIES, make_chunker
from lunheng.config import ChunkingSettings
from lunheng.models.tokenizer import JsonTokenizer
from lunheng.parsing.builder import DocumentBuilder
from lunheng.parsing.dispatch import parse_here
from lunheng.protocols import Chunker, Tokenizer
from lunheng.testing import chunker as suite
from lunheng.testing.fakes import FakeTokenEmbedder
from lunheng.testing.real_models import model_folder
from lunheng.testing.samples import MAKERS, STORIES
from lunheng.testing.tokenizers import FakeByteTokenizer, FakeTokenizer
from lunheng.types import Document, Limits

WINDOW = 512
ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*(ROOT / "tests/chunking/documents").iterdir(), *(ROOT / "examples/handbook").iterdir()])
"""Documents of each domain, in both languages."""
CAPS = (16, 40, 320)
TOKENIZERS: tuple[Tokenizer, ...] = (FakeTokenizer(), FakeByteTokenizer())


def made(strategy: str, cap: int, overlap: int, tokenizer: Tokenizer) -> Chunker:
    """The strategy, with an embedder that gives token vectors."""
    settings = ChunkingSettings(strategy=strategy, size=cap, overlap=overlap, child_size=max(16, cap // 2), min_size=8)
    return make_chunker(settings, tokenizer, WINDOW, FakeTokenEmbedder(tokenizer))


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[Document]:
    folder = tmp_path_factory.mktemp("samples")
    made = [parse_here(make(folder, story).path, Limits(), "off") for make in MAKERS.values() for story in STORIES]
    return [*made, *(parse_here(path, Limits(), "off") for path in DOCUMENTS)]


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_samples(documents: list[Document], strategy: str, cap: int, tokenizer: Tokenizer) -> None:
    chunker = made(strategy, cap, cap // 8, tokenizer)
    for document in documents:
        chunks = chunker.split(document)
        suite.check_chunks(document, chunks, tokenizer, cap)
        if strategy != "fixed":
            suite.check_tables_apart(document, chunks)
    suite.check_deterministic(chunker, documents[0])


TEXTS = st.one_of(
    st.text(min_size=1, max_size=300),
    st.text(alphabet="天地玄黄宇宙洪荒，。！？\n ", min_size=1, max_size=400),
    st.lists(
        st.sampled_from(
            ["The", "marram", "grows", "on", "dunes.", "Why?", "e.g.", "3.14,", "第三章", "是的。\n\n", "x"]
        ),
        max_size=80,
    ).map(" ".join),
    st.integers(1, 600).map(lambda n: "x" * n),
    st.integers(1, 60).map(lambda n: "👩‍👩‍👧‍👦" * n),
)
TABLES = st.lists(st.lists(st.text(max_size=30), min_size=1, max_size=4), min_size=1, max_size=30)
ELEMENTS = st.lists(
    st.one_of(
        st.tuples(st.just("heading"), TEXTS, st.integers(1, 6)),
        st.tuples(st.sampled_from(("paragraph", "list", "code", "figure")), TEXTS, st.booleans()),
        st.tuples(st.just("table"), TABLES, st.booleans()),
    ),
    max_size=12,
)


def build(parts: list[tuple[str, object, int]]) -> Document:
    from lunheng.parsing.tables import markdown_table

    builder = DocumentBuilder(Path("/made/up.txt"), "txt", b"x")
    for kind, content, extra in parts:
        if kind == "heading":
            builder.heading(str(content), extra)
        else:
            text = markdown_table(content) if kind == "table" else str(content)  # type: ignore[arg-type]
            builder.add(kind, text, hidden=bool(extra), page=1)  # type: ignore[arg-type]
    document = builder.build()
    # What a vision model says of a figure is as long as it likes.
    described = (replace(e, description=f"图 {e.text} seen") if e.kind == "figure" else e for e in document.elements)
    return replace(document, elements=tuple(described))


@settings(max_examples=150, deadline=None)
@given(
    ELEMENTS, st.sampled_from(tuple(STRATEGIES)), st.integers(16, 90), st.integers(0, 60), st.sampled_from(TOKENIZERS)
)
def test_random_documents(parts: list, strategy: str, cap: int, overlap: int, tokenizer: Tokenizer) -> None:  # type: ignore[type-arg]
    document = build(parts)
    chunker = made(strategy, cap, overlap, tokenizer)
    suite.check_chunks(document, chunker.split(document), tokenizer, cap)


@pytest.fixture(scope="module")
def real_tokenizer() -> Tokenizer:
    return JsonTokenizer(model_folder("multilingual-e5-small") / "tokenizer.json")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_real_tokenizer(documents: list[Document], strategy: str, real_tokenizer: Tokenizer) -> None:
    for cap in (24, 200):
        chunker = made(strategy, cap, cap // 8, real_tokenizer)
        for document in documents:
            suite.check_chunks(document, chunker.split(document), real_tokenizer, cap)


@settings(max_examples=100, deadline=None)
@given(ELEMENTS, st.sampled_from(tuple(STRATEGIES)), st.integers(16, 90), st.integers(0, 60))
def test_random_documents_with_the_real_tokenizer(
    real_tokenizer: Tokenizer,
    parts: list,
    strategy: str,
    cap: int,
    overlap: int,  # type: ignore[type-arg]
) -> None:
    document = build(parts)
    chunker = made(strategy, cap, overlap, real_tokenizer)
    suite.check_chunks(document, chunker.split(document), real_tokenizer, cap)
