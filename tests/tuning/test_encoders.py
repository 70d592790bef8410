"""Encoders from ONNX to torch and back: the same vectors, whatever the form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sentence_transformers", reason="needs the extra 'tune'")

from lunheng.errors import ModelError
from lunheng.models.convert.bert_weights import from_folder, from_own_onnx, in_blocks
from lunheng.models.embedders.sentence_transformers import SentenceTransformersEmbedder
from lunheng.testing.real_models import real_embedder
from lunheng.testing.tiny_encoder import make_tiny_encoder
from lunheng.tuning.encoders.bases import find_encoder
from lunheng.tuning.encoders.served import SAMPLE, open_embedder, open_reranker, serve_embedder, serve_reranker

TEXTS = [text for pair in SAMPLE for text in pair]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny", TEXTS)


def test_a_trained_folder_serves_from_onnx_as_it_does_from_torch(tiny: Path, tmp_path: Path) -> None:
    form = serve_embedder(tiny, tmp_path / "served", 64, "query: ", "passage: ")
    assert (form.format, form.pooling, form.dimension) == ("onnx", "mean", 32)
    torch = SentenceTransformersEmbedder(
        tiny, query_prefix="query: ", passage_prefix="passage: ", window=64, identity="x"
    )
    for kind in ("query", "passage"):
        cosines = (open_embedder(form).embed(TEXTS, kind) * torch.embed(TEXTS, kind)).sum(axis=1)  # type: ignore[arg-type]
        assert cosines.min() > 0.999


def test_what_was_written_is_read_back(tiny: Path, tmp_path: Path) -> None:
    from_torch = from_folder(tiny)
    assert (from_torch.layers, from_torch.heads, from_torch.is_cross_encoder) == (2, 4, False)
    named = from_torch.hugging_face()
    assert np.array_equal(named["encoder.layer.1.output.dense.weight"], from_torch.tensors["l1.fo.w"])
    (tmp_path / "other.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="is no ONNX model that Lunheng converted"):
        from_own_onnx(tmp_path / "other.onnx")


def test_a_table_in_four_bits_is_found_and_no_other() -> None:
    chance = np.random.default_rng(0)
    scales = chance.random((5, 2)).astype(np.float16)
    values = chance.integers(-8, 8, (5, 2, 32))
    values[:, :, 7] = -8
    table = (values * scales.astype(np.float32)[:, :, None]).reshape(5, 64).astype(np.float32)
    found = in_blocks(table)
    assert found is not None and np.array_equal(found.dequantized(), table)
    assert in_blocks(table + np.float32(1e-4)) is None
    assert in_blocks(table[:, :40]) is None


def test_a_cross_encoder_with_a_fresh_head_serves_from_onnx(tiny: Path, tmp_path: Path) -> None:
    import torch
    from sentence_transformers import CrossEncoder

    torch.manual_seed(0)
    CrossEncoder(str(tiny), num_labels=1, local_files_only=True, device="cpu").save(str(tmp_path / "run" / "model"))
    form = serve_reranker(tmp_path / "run" / "model", tmp_path / "served", 64)
    assert form.format == "onnx"
    scores = open_reranker(form).score(SAMPLE[1][0], [passage for _, passage in SAMPLE])
    assert scores.shape == (len(SAMPLE),) and len(set(scores.tolist())) == len(SAMPLE)


@pytest.mark.slow
def test_the_default_embedder_in_torch_gives_the_vectors_of_the_onnx_one(tmp_path: Path) -> None:
    default = real_embedder()
    encoder = find_encoder("multilingual-e5-small")
    assert (encoder.query_prefix, encoder.name) == ("query: ", "multilingual-e5-small")
    torch = SentenceTransformersEmbedder(
        Path(encoder.folder), query_prefix="query: ", passage_prefix="passage: ", identity="x"
    )
    assert (torch.window, torch.dimension) == (default.window, default.dimension)
    for kind in ("query", "passage"):
        cosines = (default.embed(TEXTS, kind) * torch.embed(TEXTS, kind)).sum(axis=1)  # type: ignore[arg-type]
        assert cosines.min() >= 0.99
    weights = from_folder(Path(encoder.folder))
    assert in_blocks(weights.tensors["emb.word"]) is not None, "the word table keeps its four bits on the way"


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no folder with"):
        find_encoder(str(tmp_path))
    with pytest.raises(ModelError, match="is a language model"):
        find_encoder("smollm2-135m-instruct")
