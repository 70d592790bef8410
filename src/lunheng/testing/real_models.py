"""Real models for tests: pulled once into the user's cache, then opened from there.

Called by tests of every room. Each function gives the same object for the whole test session,
because opening a model takes a second; do not close it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lunheng.config import ModelSettings
from lunheng.models import load_embedder
from lunheng.models.download import pull
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.models.llms.llamacpp import LlamaCppLLM

EMBEDDER = "multilingual-e5-small"
SMALL_LLM = "qwen2.5-coder-0.5b-instruct"
TINY_LLM = "smollm2-135m-instruct"
_THREADS = 2


@cache
def model_folder(name: str) -> Path:
    """The folder of a model of the registry; pulls it where it is not in the cache."""
    return pull(name)


@cache
def real_embedder() -> OnnxEmbedder:
    """multilingual-e5-small."""
    model_folder(EMBEDDER)
    embedder = load_embedder(ModelSettings(embedder=EMBEDDER, threads=_THREADS))
    assert isinstance(embedder, OnnxEmbedder)
    return embedder


@cache
def small_llm() -> LlamaCppLLM:
    """Qwen2.5-Coder 0.5B: answers in Chinese and English."""
    return _llm(SMALL_LLM)


@cache
def tiny_llm() -> LlamaCppLLM:
    """SmolLM2 135M: fast, English only, and not to be believed."""
    return _llm(TINY_LLM)


def _llm(name: str) -> LlamaCppLLM:
    return LlamaCppLLM(model_folder(name) / "model.gguf", name=name, threads=_THREADS, window=2048)
