"""Targets are read off a model's structure, whatever its family, and a name that is not there is an error in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")

import torch

from lunheng.errors import ConfigError
from lunheng.testing.tiny_model import SIZES, write_jsonl
from lunheng.tuning.adapters.targets import blocks_of, target_names
from lunheng.tuning.methods import train
from lunheng.tuning.modes import wrap
from lunheng.tuning.recipes import ParameterPart, make_recipe

SPLIT = {"q_proj", "k_proj", "v_proj", "o_proj"}
GATED = {"gate_proj", "up_proj", "down_proj"}
FAMILIES: dict[str, tuple[set[str], set[str], set[str]]] = {  # attention, feed-forward, what gives back
    "llama": (SPLIT, GATED, {"o_proj", "down_proj"}),
    "mistral": (SPLIT, GATED, {"o_proj", "down_proj"}),
    "qwen2": (SPLIT, GATED, {"o_proj", "down_proj"}),
    "qwen3": (SPLIT, GATED, {"o_proj", "down_proj"}),
    "gemma2": (SPLIT, GATED, {"o_proj", "down_proj"}),
    "glm": (SPLIT, {"gate_up_proj", "down_proj"}, {"o_proj", "down_proj"}),
    "phi3": ({"qkv_proj", "o_proj"}, {"gate_up_proj", "down_proj"}, {"o_proj", "down_proj"}),
    "phi": ({"q_proj", "k_proj", "v_proj", "dense"}, {"fc1", "fc2"}, {"dense", "fc2"}),
    "gpt_neox": ({"query_key_value", "dense"}, {"dense_h_to_4h", "dense_4h_to_h"}, {"dense", "dense_4h_to_h"}),
    "gpt2": ({"attn.c_attn", "attn.c_proj"}, {"mlp.c_fc", "mlp.c_proj"}, {"attn.c_proj", "mlp.c_proj"}),
}


def tiny(family: str) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512} if family == "gpt2" else SIZES
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, vocab_size=128, pad_token_id=0, **sizes))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_blocks_of_a_family(family: str) -> None:
    attention, mlp, gives = FAMILIES[family]
    model = tiny(family)
    blocks = blocks_of(model)
    within = {name.split(".", 1)[-1] if family != "gpt2" else name for name in blocks.all}
    assert within == attention | mlp
    assert {n if family == "gpt2" else n.split(".", 1)[-1] for n in blocks.attention_out + blocks.mlp_out} == gives
    for mode in ("lora", "adalora", "ia3", "bottleneck"):
        wrapped = wrap(tiny(family), ParameterPart(mode=mode, rank=4), 20)
        trained = [name for name, p in wrapped.named_parameters() if p.requires_grad]
        assert trained and not any("lm_head" in n or "embed" in n or "wte" in n for n in trained)
        assert all(".0." in name or ".1." in name for name in trained)
        wrapped(input_ids=torch.arange(8)[None], labels=torch.arange(8)[None]).loss.backward()


class Layer(torch.nn.Module):
    """As Baichuan names it, whose architecture transformers does not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = torch.nn.ModuleDict({"W_pack": torch.nn.Linear(8, 24), "o_proj": torch.nn.Linear(8, 8)})
        self.mlp = torch.nn.ModuleDict({"up_proj": torch.nn.Linear(8, 16), "down_proj": torch.nn.Linear(16, 8)})


def test_a_model_that_nobody_has_heard_of() -> None:
    model = torch.nn.Module()
    model.layers = torch.nn.ModuleList([Layer(), Layer()])
    model.lm_head = torch.nn.Linear(8, 100)
    blocks = blocks_of(model)
    assert blocks.attention == ("self_attn.W_pack", "self_attn.o_proj") and blocks.key_value == ("self_attn.W_pack",)
    assert blocks.attention_out == ("self_attn.o_proj",) and blocks.mlp_out == ("mlp.down_proj",)
    with pytest.raises(ConfigError, match="no blocks with linear layers"):
        blocks_of(torch.nn.Linear(2, 2))


def test_short_names_and_names_that_are_not_there() -> None:
    model = tiny("llama")
    assert target_names(model, "attention") == ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert target_names(model, ("mlp", "q_proj")) == ["gate_proj", "up_proj", "down_proj", "q_proj"]
    assert target_names(tiny("gpt2"), "mlp.c_proj") == ["mlp.c_proj"]
    assert target_names(tiny("gpt2"), "c_proj") == ["c_proj"]
    with pytest.raises(ConfigError, match=r"is called W_pack; there are q_proj, k_proj, .* attention and mlp$"):
        target_names(model, ("q_proj", "W_pack"))
    with pytest.raises(ConfigError, match=r"embeddings are trained by parameters\.save_embeddings"):
        target_names(model, "lm_head")


def test_a_wrong_name_is_said_before_training(tiny_model: str, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", [{"instruction": "你好 Hi", "output": "您好。"}] * 4)
    recipe = make_recipe(
        {
            "method": "sft",
            "model": {"name": tiny_model},
            "data": {"train": str(data), "validation_share": 0.0},
            "parameters": {"targets": ["query_key_value"]},
            "output": str(tmp_path / "out"),
        }
    )
    with pytest.raises(ConfigError, match="is called query_key_value; there are q_proj"):
        train(recipe)
