"""A checkpoint that brings its own Python: never run by itself; with the recipe's word, trained, merged and asked."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

from lunheng.errors import ConfigError, ModelError
from lunheng.models.llms.hugging_face import HuggingFaceLLM
from lunheng.testing.tiny_model import make_byte_tokenizer, write_jsonl
from lunheng.testing.tiny_own_code import make_own_code_model
from lunheng.tuning.adapters.targets import blocks_of, target_names
from lunheng.tuning.methods import train
from lunheng.tuning.planning.architectures import architecture
from lunheng.tuning.recipes import Recipe, make_recipe
from lunheng.tuning.release.merge import merge
from lunheng.tuning.trained import find_trained, open_trained
from lunheng.types import Message


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        # Transformers copies such Python into a cache of its own before it runs it.
        patch.setenv("HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
        words = make_byte_tokenizer(tmp_path_factory.mktemp("words"))
        return make_own_code_model(tmp_path_factory.mktemp("base") / "own", words)


def recipe(base: Path, folder: Path, trust: bool, method: str = "sft") -> Recipe:
    rows = [{"prompt": "门在哪?", "completion": "左边", "chosen": "左边", "rejected": "right"}] * 8
    data = write_jsonl(folder / "a.jsonl", rows)  # type: ignore[arg-type]
    return make_recipe(
        {
            "method": method,
            "model": {"name": str(base), "trust_code": trust},
            "data": {"train": str(data), "window": 64, "validation_share": 0.0},
            "output": str(folder / method),
            "training": {"steps": 12, "batch": 4, "learning_rate": 2e-2},
        }
    )


def test_nothing_runs_by_itself(base: Path, tmp_path: Path) -> None:
    for opened in (
        lambda: train(recipe(base, tmp_path, False)),
        lambda: architecture(str(base)),
        lambda: open_trained(find_trained(base)),
        lambda: HuggingFaceLLM(base).generate([Message("user", "门在哪?")], max_tokens=4),
    ):
        with pytest.raises(ModelError, match=r"brings Python of its own.*model\.trust_code = true"):
            opened()
    with pytest.raises(ConfigError, match="trust_code is for language models"):
        make_recipe(
            {
                "method": "embed",
                "model": {"name": "x", "trust_code": True},
                "data": {"train": "a.jsonl"},
                "output": "out",
            }
        )


def test_examples_that_it_may_not_keep_apart_are_refused(base: Path, tmp_path: Path) -> None:
    plain = {"model": {"name": str(base), "trust_code": True}, "output": "out"}
    with pytest.raises(ConfigError, match=r"say data\.packing = false"):
        make_recipe({**plain, "method": "sft", "data": {"train": "a.jsonl", "packing": True}})
    with pytest.raises(ConfigError, match=r"say data\.across_documents = true"):
        make_recipe({**plain, "method": "clm", "data": {"train": "a.jsonl"}})
    text = tmp_path / "a.txt"
    text.write_text("门在左边。The door is to the left.\n\n" * 40, encoding="utf-8")
    data = {"train": str(text), "window": 64, "across_documents": True, "validation_share": 0.0}
    training = {"steps": 6, "batch": 2, "learning_rate": 1e-2}
    made = train(
        make_recipe({**plain, "method": "clm", "data": data, "training": training, "output": str(tmp_path / "out")})
    )
    assert made.last_loss < made.first_loss


def test_chatglm_s_layout_is_read(base: Path) -> None:
    from lunheng.tuning.modes import load_base
    from lunheng.tuning.recipes import ParameterPart

    model = load_base(str(base), ParameterPart(), "float32", trust_code=True)
    names = [name for name, _ in model.named_modules()]
    assert "transformer.encoder.layers.1.self_attention.query_key_value" in names
    blocks = blocks_of(model)
    assert blocks.attention == ("self_attention.query_key_value", "self_attention.dense")
    assert blocks.mlp == ("mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
    assert blocks.attention_out == ("self_attention.dense",) and blocks.mlp_out == ("mlp.dense_4h_to_h",)
    assert target_names(model, "all-linear") == ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]


def test_it_is_trained_merged_and_asked(base: Path, tmp_path: Path) -> None:
    trained = train(recipe(base, tmp_path, True))
    assert trained.last_loss < trained.first_loss
    assert any("trust_code" in warning for warning in trained.manifest.warnings)
    run = HuggingFaceLLM(trained.output)
    said = run.generate([Message("user", "门在哪?")], max_tokens=8).text
    merged = merge(find_trained(trained.output), tmp_path / "merged")
    assert (merged.output / "modeling_own.py").is_file(), "its Python goes with it"
    assert HuggingFaceLLM(merged.output).generate([Message("user", "门在哪?")], max_tokens=8).text == said
    preferred = train(recipe(base, tmp_path, True, "dpo"))
    assert preferred.last_loss < preferred.first_loss
