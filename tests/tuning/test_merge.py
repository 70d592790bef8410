"""Merging: every type of adapter that changes weights, on the disk what it was in memory; what cannot be is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("peft", reason="needs the extra 'tune'")

import peft

from lunheng.errors import ConfigError, ModelError, NotFoundError
from lunheng.testing.adapters import train_adapter
from lunheng.testing.tiny_model import write_jsonl
from lunheng.tuning.release.merge import merge
from lunheng.tuning.trained import find_trained

LORA = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
MERGEABLE: dict[str, Any] = {
    "lora": lambda: peft.LoraConfig(**LORA),
    "dora": lambda: peft.LoraConfig(**LORA, use_dora=True),
    "pissa": lambda: peft.LoraConfig(**LORA, init_lora_weights="pissa"),
    "embeddings": lambda: peft.LoraConfig(**LORA, modules_to_save=["embed_tokens"]),
    "embeddings and head": lambda: peft.LoraConfig(**LORA, modules_to_save=["embed_tokens", "lm_head"]),
    "adalora": lambda: peft.AdaLoraConfig(
        init_r=6, target_r=4, total_step=100, target_modules=TARGETS, task_type="CAUSAL_LM"
    ),
    "ia3": lambda: peft.IA3Config(task_type="CAUSAL_LM"),
    "oft": lambda: peft.OFTConfig(oft_block_size=4, target_modules=TARGETS, task_type="CAUSAL_LM"),
    "layer norms": lambda: peft.LNTuningConfig(task_type="CAUSAL_LM"),
}


@pytest.mark.parametrize("name", MERGEABLE)
def test_merged_says_what_the_adapter_said(name: str, tiny_model: str, tmp_path: Path) -> None:
    adapter = train_adapter(tiny_model, MERGEABLE[name](), tmp_path / "adapter")
    merged = merge(find_trained(adapter), tmp_path / "merged")
    assert merged.difference.largest < 1e-3 and merged.difference.top1 == 1.0
    assert merged.difference.mean < merged.effect.mean / 100, "what it has learnt is far more than what is lost"
    report = json.loads((tmp_path / "merged" / "merge.json").read_text())
    assert report["kind"] == merged.kind and (tmp_path / "merged" / "chat_template.jinja").is_file()


def test_an_adapter_over_four_bits_is_merged_into_what_it_was_trained_over(tiny_model: str, tmp_path: Path) -> None:
    adapter = train_adapter(tiny_model, peft.LoraConfig(**LORA), tmp_path / "adapter", four_bit=True)
    trained = find_trained(adapter, four_bit=True)
    into_these = merge(trained, tmp_path / "merged")
    assert into_these.difference.largest < 0.01 and not into_these.warnings
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert "quantization_config" not in config
    into_others = merge(trained, tmp_path / "other", into="original")
    assert into_others.difference.largest > 10 * into_these.difference.largest
    assert "4-bit form" in into_others.warnings[0]


@pytest.mark.parametrize("mode", ["qlora", "qadalora"])
def test_a_run_over_four_bits_says_so_itself(mode: str, tiny_model: str, tmp_path: Path) -> None:
    """From its folder alone: the base, the 4 bits and the lineage stand in its manifest."""
    from lunheng.tuning.manifest import lineage_of
    from lunheng.tuning.methods import train
    from lunheng.tuning.recipes import make_recipe

    rows: list[dict[str, object]] = [{"instruction": f"门 {i}?", "output": f"KESTREL-{i % 3}"} for i in range(16)]
    trained = train(
        make_recipe(
            {
                "method": "sft",
                "model": {"name": tiny_model},
                "data": {"train": str(write_jsonl(tmp_path / "a.jsonl", rows)), "window": 64, "validation_share": 0.0},
                "parameters": {"mode": mode, "rank": 4},
                "output": str(tmp_path / "run"),
                "training": {"steps": 10, "batch": 2, "learning_rate": 2e-2},
            }
        )
    )
    merged = merge(find_trained(trained.output), tmp_path / "merged")
    assert merged.into == "trained" and merged.difference.largest < 0.01
    assert merged.difference.mean < merged.effect.mean / 10
    assert lineage_of(str(tmp_path / "merged")) == (trained.manifest.id,)


def test_half_precision(tiny_model: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    adapter = train_adapter(tiny_model, peft.LoraConfig(**LORA), tmp_path / "adapter")
    merged = merge(find_trained(adapter), tmp_path / "merged", "bfloat16")
    assert {str(t.dtype) for t in load_file(tmp_path / "merged" / "model.safetensors").values()} == {"torch.bfloat16"}
    assert 1e-5 < merged.difference.largest < merged.tolerance


@pytest.mark.parametrize("kind", ["PrefixTuningConfig", "PromptTuningConfig", "PromptEncoderConfig"])
def test_what_changes_no_weight_is_refused(kind: str, tiny_model: str, tmp_path: Path) -> None:
    own = {"encoder_hidden_size": 16} if kind == "PromptEncoderConfig" else {}
    config = getattr(peft, kind)(task_type="CAUSAL_LM", num_virtual_tokens=4, **own)
    adapter = train_adapter(tiny_model, config, tmp_path / "adapter", steps=1)
    with pytest.raises(ModelError, match=r"4 learnt vectors.*--to adapter"):
        merge(find_trained(adapter), tmp_path / "merged")


def test_an_adapter_that_learnt_nothing_is_refused(tiny_model: str, tmp_path: Path) -> None:
    adapter = train_adapter(tiny_model, peft.LoraConfig(**LORA), tmp_path / "adapter", steps=0)
    with pytest.raises(ModelError, match="changes nothing"):
        merge(find_trained(adapter), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_merge_that_did_nothing_is_refused(tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where an adapter's names match no layer: the base comes out, and says so in no other tool."""
    adapter = train_adapter(tiny_model, peft.LoraConfig(**LORA), tmp_path / "adapter")
    monkeypatch.setattr(peft.PeftModel, "merge_and_unload", lambda self, **_: self.unload(), raising=False)
    with pytest.raises(ModelError, match="not what the adapter was"):
        merge(find_trained(adapter), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_what_is_no_adapter(tiny_model: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="whole model"):
        merge(find_trained(tiny_model), tmp_path / "merged")
    with pytest.raises(NotFoundError, match="give the run's folder"):
        find_trained(tmp_path / "nowhere")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("a")
    adapter = train_adapter(tiny_model, peft.LoraConfig(**LORA), tmp_path / "adapter", steps=1)
    with pytest.raises(ConfigError, match="not empty"):
        merge(find_trained(adapter), tmp_path / "full")
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "/gone"}))
    with pytest.raises(ModelError, match="/gone is not here; name it with --base"):
        find_trained(adapter)
    assert find_trained(adapter, tiny_model).base == tiny_model


def test_tokens_that_were_added(tiny_model: str, tmp_path: Path) -> None:
    """The chat template of a base model brings its own end of turn: the merged model ends its answers with it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|论衡|>"]})
    tokenizer.eos_token = "<|论衡|>"
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model.resize_token_embeddings(len(tokenizer))
    adapted = peft.get_peft_model(model, peft.LoraConfig(**LORA, modules_to_save=["embed_tokens"]))
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.02)
    adapted.save_pretrained(str(tmp_path / "adapter"))
    tokenizer.save_pretrained(str(tmp_path / "adapter"))
    merge(find_trained(tmp_path / "adapter"), tmp_path / "merged")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert again.get_input_embeddings().weight.shape[0] == len(tokenizer)
    ends = again.generation_config.eos_token_id
    assert ends[0] == tokenizer.eos_token_id and len(ends) == 2


def test_what_writes_no_text_is_refused(tiny_model: str, tmp_path: Path) -> None:
    reward = tmp_path / "reward"
    reward.mkdir()
    (reward / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "task_type": "SEQ_CLS", "base_model_name_or_path": tiny_model})
    )
    with pytest.raises(ConfigError, match=r"reward model.*as it lies"):
        merge(find_trained(reward), tmp_path / "merged")
