"""Servers and models that the conformance suites speak to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lunheng.testing.cross_encoder import write_cross_encoder
from lunheng.testing.real_models import EMBEDDER, TINY_LLM, model_folder
from lunheng.testing.servers import llamacpp_server


@pytest.fixture(scope="session")
def chat_server() -> Iterator[str]:
    """An OpenAI-compatible chat server over SmolLM2-135M."""
    with llamacpp_server(model_folder(TINY_LLM) / "model.gguf") as url:
        yield url


@pytest.fixture(scope="session")
def embedding_server() -> Iterator[str]:
    """An OpenAI-compatible embedding server over SmolLM2-135M."""
    with llamacpp_server(model_folder(TINY_LLM) / "model.gguf", embedding=True) as url:
        yield url


@pytest.fixture(scope="session")
def cross_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder in ONNX."""
    return write_cross_encoder(model_folder(EMBEDDER), tmp_path_factory.mktemp("cross-encoder"))
