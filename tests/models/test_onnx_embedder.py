"""What the ONNX embedder does beyond the contract: prefixes, token vectors, cutting."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lunheng.errors import ModelError
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.testing.real_models import EMBEDDER, model_folder, real_embedder


def test_kind_changes_the_vector() -> None:
    embedder = real_embedder()
    same = embedder.embed(["备份保留多久"], "query")[0] @ embedder.embed(["备份保留多久"], "passage")[0]
    assert 0.8 < same < 0.9999


def test_fingerprint_follows_what_changes_vectors() -> None:
    folder = model_folder(EMBEDDER)
    prints = [
        OnnxEmbedder(folder, **settings).fingerprint  # type: ignore[arg-type]
        for settings in ({}, {"query_prefix": "query: "}, {"window": 256}, {"pooling": "cls"}, {"identity": "x"})
    ]
    assert len(set(prints)) == len(prints)
    assert OnnxEmbedder(folder, threads=1).fingerprint == prints[0], "the number of threads changes nothing"


def test_token_vectors_belong_to_the_texts_tokens() -> None:
    embedder = real_embedder()
    texts = ["The nightly backup", "夜间备份于凌晨两点半开始。", ""]
    for text, vectors in zip(texts, embedder.embed_tokens(texts, "passage"), strict=True):
        assert vectors.shape == (embedder.tokenizer.count(text), 384)
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_vectors_and_token_vectors_of_one_run_are_those_of_two() -> None:
    embedder = real_embedder()
    texts = ["The nightly backup", "夜间备份于凌晨两点半开始。"]
    vectors, packed = embedder.embed_with_tokens(texts, "passage", lambda v: v.tobytes())
    assert (vectors == embedder.embed(texts, "passage")).all()
    assert packed == [v.tobytes() for v in embedder.embed_tokens(texts, "passage")]


def test_long_texts_are_cut_with_a_logged_count(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    vectors = real_embedder().embed(["短", "很长的文本" * 2000, "long text " * 2000], "passage")
    assert vectors.shape == (3, 384)
    assert "2 of 3 texts are longer than the model's 512 tokens" in caplog.text
    assert len(real_embedder().embed_tokens(["long text " * 2000], "passage")[0]) < 512


def test_equal_texts_are_computed_once() -> None:
    embedder = OnnxEmbedder(model_folder(EMBEDDER), threads=1)
    runs: list[Any] = []
    session = embedder._session

    class Counting:
        def run(self, *given: Any) -> Any:
            runs.append(given)
            return session.run(*given)

    embedder._session = Counting()
    embedder.embed(["一", "二", "一", "一"], "passage")
    assert len(runs) == 2


def test_missing_or_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx is missing"):
        OnnxEmbedder(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="tokenizer"):
        OnnxEmbedder(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((model_folder(EMBEDDER) / "tokenizer.json").read_bytes())
    with pytest.raises(ModelError, match="ONNX Runtime cannot open it"):
        OnnxEmbedder(tmp_path)
