"""A tiny checkpoint that brings its own Python, with the layout of ChatGLM's: for tests of what transformers does not hold.

Called by the tests of fine-tuning. The names of its modules and of its configuration's keys are ChatGLM3's; what they
compute is a plain decoder.
"""

from __future__ import annotations

import json
from pathlib import Path

CODE = """
import torch
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast


class OwnConfig(PretrainedConfig):
    model_type = "own-chatglm"
    attribute_map = {"num_hidden_layers": "num_layers"}

    def __init__(self, num_layers=2, hidden_size=32, ffn_hidden_size=64, num_attention_heads=4, vocab_size=259,
                 seq_length=512, **kwargs):
        self.num_layers = num_layers
        self.hidden_size = hidden_size
        self.ffn_hidden_size = ffn_hidden_size
        self.num_attention_heads = num_attention_heads
        self.vocab_size = vocab_size
        self.seq_length = seq_length
        kwargs.setdefault("tie_word_embeddings", False)
        super().__init__(**kwargs)


class SelfAttention(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads = config.num_attention_heads
        self.query_key_value = torch.nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = torch.nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, states, mask):
        batch, length, size = states.shape
        split = self.query_key_value(states).view(batch, length, 3, self.heads, size // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        made = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.dense(made.transpose(1, 2).reshape(batch, length, size))


class MLP(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense_h_to_4h = torch.nn.Linear(config.hidden_size, 2 * config.ffn_hidden_size, bias=False)
        self.dense_4h_to_h = torch.nn.Linear(config.ffn_hidden_size, config.hidden_size, bias=False)

    def forward(self, states):
        gate, up = self.dense_h_to_4h(states).chunk(2, dim=-1)
        return self.dense_4h_to_h(torch.nn.functional.silu(gate) * up)


class GLMBlock(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.input_layernorm = torch.nn.LayerNorm(config.hidden_size)
        self.self_attention = SelfAttention(config)
        self.post_attention_layernorm = torch.nn.LayerNorm(config.hidden_size)
        self.mlp = MLP(config)

    def forward(self, states, mask):
        states = states + self.self_attention(self.input_layernorm(states), mask)
        return states + self.mlp(self.post_attention_layernorm(states))


class GLMTransformer(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layers = torch.nn.ModuleList([GLMBlock(config) for _ in range(config.num_layers)])
        self.final_layernorm = torch.nn.LayerNorm(config.hidden_size)


class Embedding(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.word_embeddings = torch.nn.Embedding(config.vocab_size, config.hidden_size)


class OwnPreTrained(PreTrainedModel):
    config_class = OwnConfig
    base_model_prefix = "transformer"
    _no_split_modules = ["GLMBlock"]


class OwnModel(OwnPreTrained):
    def __init__(self, config):
        super().__init__(config)
        self.embedding = Embedding(config)
        self.encoder = GLMTransformer(config)
        self.post_init()

    def get_input_embeddings(self):
        return self.embedding.word_embeddings

    def set_input_embeddings(self, value):
        self.embedding.word_embeddings = value

    def forward(self, input_ids=None, attention_mask=None, inputs_embeds=None, use_cache=None):
        states = self.embedding.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        length = states.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool, device=states.device).tril()[None, None]
        if attention_mask is not None:
            eye = torch.eye(length, dtype=torch.bool, device=states.device)
            mask = mask & attention_mask[:, None, None, :length].bool() | eye
        for layer in self.encoder.layers:
            states = layer(states, mask)
        return BaseModelOutputWithPast(last_hidden_state=self.encoder.final_layernorm(states))


class OwnForCausalLM(OwnPreTrained, GenerationMixin):
    def __init__(self, config):
        super().__init__(config)
        self.transformer = OwnModel(config)
        self.output_layer = torch.nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        return self.transformer.get_input_embeddings()

    def get_output_embeddings(self):
        return self.output_layer

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **kwargs):
        return {"input_ids": input_ids, "attention_mask": attention_mask}

    def forward(self, input_ids=None, position_ids=None, attention_mask=None, past_key_values=None, inputs_embeds=None,
                labels=None, use_cache=None, output_attentions=None, output_hidden_states=None, return_dict=None):
        logits = self.output_layer(self.transformer(input_ids, attention_mask, inputs_embeds).last_hidden_state)
        loss = None
        if labels is not None:
            loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutputWithPast(loss=loss, logits=logits)
"""


def make_own_code_model(folder: Path, tokenizer: Path | str) -> Path:
    """Write the checkpoint, with the tokenizer (and chat template) of another, into ``folder``."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(str(tokenizer))
    folder.mkdir(parents=True)
    (folder / "modeling_own.py").write_text(CODE, encoding="utf-8")
    plain = {
        "model_type": "own-chatglm",
        "auto_map": {"AutoConfig": "modeling_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"},
        "architectures": ["OwnForCausalLM"],
        "vocab_size": len(words),
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    (folder / "config.json").write_text(json.dumps(plain), encoding="utf-8")
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, trust_remote_code=True).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
