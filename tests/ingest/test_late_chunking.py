"""Late chunking through the front door: vectors that know what stands around a chunk, named by it, and made again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete, select

from lunheng.catalog import Catalog
from lunheng.catalog import vectors as stored
from lunheng.catalog.schema import chunks as chunks_table
from lunheng.catalog.schema import vectors as vectors_table
from lunheng.chunking import make_chunker
from lunheng.config import ChunkingSettings, ModelSettings, Settings
from lunheng.errors import ConfigError
from lunheng.ingest.backup import CATALOG_NAME
from lunheng.knowledge import KnowledgeBase
from lunheng.parsing.builder import DocumentBuilder
from lunheng.testing.fakes import FakeEmbedder, FakeTokenizer
from lunheng.testing.real_models import real_embedder
from lunheng.types import Document

LATE = Settings(chunking=ChunkingSettings(strategy="late", size=32, overlap=0), models=ModelSettings(llm="none"))


def about(city: str) -> Document:
    builder = DocumentBuilder(Path(f"/towns/{city}.txt"), "txt", city.encode())
    builder.add("paragraph", f"{city} lies on the coast. " * 4)
    builder.add("paragraph", "Its harbour was built in 1802 and freezes in winter.")
    builder.add("paragraph", f"{city}的博物馆每周一闭馆，门票十元。" * 3)
    return builder.build()


@pytest.fixture
def base(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(tmp_path / "kb", LATE, embedder=real_embedder()) as kb:
        kb.add([about("Visby"), about("Tromsø")])
        yield kb


def test_equal_words_in_different_documents_have_different_vectors(base: KnowledgeBase) -> None:
    hits = base.search("when was the harbour of Visby built?", k=10, mode="dense")
    harbours = {h.chunk.metadata.source: h for h in hits if "harbour" in h.chunk.text}
    assert len(harbours) == 2
    visby, tromso = harbours["/towns/Visby.txt"], harbours["/towns/Tromsø.txt"]
    assert visby.score > tromso.score + 0.001, "the chunk alone does not name the town"
    first, last = visby.chunk.metadata.embedded_in or (0, 0)
    assert first <= visby.chunk.start and visby.chunk.end <= last and last - first > len(visby.chunk.text)


def test_check_agrees_and_repair_makes_the_same_vectors_again(base: KnowledgeBase) -> None:
    assert base.check().sound
    catalog = Catalog(base.folder / CATALOG_NAME)
    with catalog.read() as connection:
        keys, before = stored.load(connection, base.embedder.fingerprint)
    with catalog.write() as connection:
        gone = select(chunks_table.c.text_hash).where(chunks_table.c.key == int(keys[1]))
        connection.execute(delete(vectors_table).where(vectors_table.c.text_hash.in_(gone)))
    assert [f.what for f in base.check().findings if "vector" in f.what]
    assert base.check(repair=True).sound
    with catalog.read() as connection:
        again, after = stored.load(connection, base.embedder.fingerprint)
    catalog.close()
    assert keys.tolist() == again.tolist()
    np.testing.assert_allclose(before, after, atol=1e-6)


def test_a_chunk_that_is_the_whole_document_has_nearly_the_vector_of_its_text() -> None:
    embedder = real_embedder()
    text = "The ferry to Visby leaves at eight. 渡轮八点开往维斯比。"
    tokens = embedder.embed_tokens([text], "passage")[0].mean(axis=0)
    alone = embedder.embed([text], "passage")[0]
    assert float(alone @ tokens / np.linalg.norm(tokens)) > 0.97


def test_windows_cover_a_long_document_and_overlap() -> None:
    builder = DocumentBuilder(Path("/long.txt"), "txt", b"x")
    for i in range(120):
        builder.add("paragraph", f"第{i}条 船在第{i}号码头停靠，with {i} crates of salt and {i + 1} of tea.")
        if i == 60:
            builder.add("paragraph", "hidden words", hidden=True)
    document = builder.build()
    embedder = real_embedder()
    chunks = make_chunker(LATE.chunking, embedder.tokenizer, embedder.window, embedder).split(document)
    windows = {c.metadata.embedded_in for c in chunks}
    assert len(windows) > 5 and None not in windows
    for chunk in chunks:
        first, last = chunk.metadata.embedded_in or (0, 0)
        assert first <= chunk.start and chunk.end <= last
        assert embedder.tokenizer.count(document.text[first:last]) <= embedder.window - 10
        assert "hidden" not in document.text[first:last]
    inner = [c for c in chunks if c.start > 2000 and c.end < len(document.text) - 2000 and abs(c.start - 3000) > 500]
    assert any((c.metadata.embedded_in or (0, 0))[0] < c.start - 50 for c in inner)


def test_an_embedder_without_token_vectors_is_an_error_that_says_so() -> None:
    with pytest.raises(ConfigError, match="token vectors"):
        make_chunker(LATE.chunking, FakeTokenizer(), 512, FakeEmbedder())
    with pytest.raises(ConfigError, match="embedder"):
        make_chunker(LATE.chunking, FakeTokenizer(), 512)
