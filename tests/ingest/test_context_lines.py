"""Context lines through the front door: indexed, never shown, and written once for the same content."""

from __future__ import annotations

from pathlib import Path

from lunheng.config import ChunkingSettings, ModelSettings, Settings
from lunheng.errors import ModelError
from lunheng.knowledge import KnowledgeBase
from lunheng.parsing.builder import DocumentBuilder
from lunheng.testing.fakes import FakeLLM
from lunheng.testing.real_models import real_embedder
from lunheng.types import Document


def settings(overlap: int = 0) -> Settings:
    chunking = ChunkingSettings(strategy="structure", context="llm", size=64, overlap=overlap)
    return Settings(chunking=chunking, models=ModelSettings(llm="none"))


def notice() -> Document:
    builder = DocumentBuilder(Path("/a/notice.txt"), "txt", b"x")
    builder.add("paragraph", "The office is closed on Friday. 周五办公室关闭。")
    builder.add("paragraph", "Parcels are left with the neighbours. 包裹放在邻居家。 " * 4)
    return builder.build()


def test_a_line_is_indexed_and_not_shown_and_written_once(tmp_path: Path) -> None:
    llm = FakeLLM(["Zanzibar branch 桑给巴尔分部"])
    with KnowledgeBase.open(tmp_path / "kb", settings(), embedder=real_embedder(), llm=llm) as kb:
        (item,) = kb.add(notice()).items
        assert item.chunks == len(llm.calls) > 1 and item.warnings == ()
        for word in ("Zanzibar", "桑给巴尔"):
            hits = kb.search(word, mode="lexical")
            assert len(hits) == item.chunks and not any(word in h.chunk.text for h in hits)
        assert kb.check().sound
    # Other settings cut the document again, into the same chunks: the model is not asked again.
    with KnowledgeBase.open(tmp_path / "kb", settings(overlap=1), embedder=real_embedder(), llm=llm) as kb:
        (again,) = kb.add(notice()).items
        assert again.status == "updated" and len(llm.calls) == item.chunks


def test_what_the_model_could_not_write_is_a_warning_of_the_document(tmp_path: Path) -> None:
    llm = FakeLLM([ModelError("the server is down")])
    with KnowledgeBase.open(tmp_path / "kb", settings(), embedder=real_embedder(), llm=llm) as kb:
        (item,) = kb.add(notice()).items
        assert item.status == "added"
        assert any("context lines are first sentences" in w and "the server is down" in w for w in item.warnings)
