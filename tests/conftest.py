"""Fixtures shared by all tests: the real embedder, and knowledge bases over the example handbook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lunheng import KnowledgeBase, Settings
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.testing.real_models import real_embedder

ROOT = Path(__file__).resolve().parent.parent
HANDBOOK = ROOT / "examples" / "handbook"
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def embedder() -> OnnxEmbedder:
    """multilingual-e5-small, as users get it."""
    return real_embedder()


@pytest.fixture(scope="session")
def extractive() -> Settings:
    """The defaults, without a language model."""
    defaults = Settings()
    return defaults.model_copy(update={"models": defaults.models.model_copy(update={"llm": "none"})})


@pytest.fixture(scope="session")
def handbook(
    tmp_path_factory: pytest.TempPathFactory, embedder: OnnxEmbedder, extractive: Settings
) -> Iterator[KnowledgeBase]:
    """The example handbook, indexed; tests only read it."""
    with KnowledgeBase.open(tmp_path_factory.mktemp("handbook"), extractive, embedder=embedder) as kb:
        report = kb.sync(HANDBOOK)
        assert not report.failed
        yield kb


@pytest.fixture
def kb(tmp_path: Path, embedder: OnnxEmbedder, extractive: Settings) -> Iterator[KnowledgeBase]:
    """An empty knowledge base."""
    with KnowledgeBase.open(tmp_path / "kb", extractive, embedder=embedder) as base:
        yield base
