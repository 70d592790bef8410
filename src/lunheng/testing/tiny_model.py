"""A language model of real architecture and a few thousand random weights: for tests of what needs no sense.

Called by the tests of fine-tuning, where each real model's test also runs. It is no fake of a part of ours: it goes
through the same loading, training and saving as a model of any size, in seconds.
"""

from __future__ import annotations

import json
from pathlib import Path

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_OTHER_NAMES = {
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512},
}


def make_tiny_model(folder: Path, tokenizer: Path | str, family: str = "llama", seed: int = 0) -> Path:
    """Write a tiny model with the tokenizer (and chat template) of another into ``folder``.

    Args:
        tokenizer: a model's folder in Hugging Face's form.
        family: transformers' name of an architecture: llama, qwen2, qwen3, gemma2, mistral, phi3, glm, gpt2 ...

    Returns:
        ``folder``, in Hugging Face's form, float32, with tied embeddings.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(str(tokenizer))
    special = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id}
    pad = words.pad_token_id if words.pad_token_id is not None else words.eos_token_id
    config = AutoConfig.for_model(
        family,
        vocab_size=len(words),
        pad_token_id=pad,
        tie_word_embeddings=True,
        **special,
        **_OTHER_NAMES.get(family, SIZES),
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def make_byte_tokenizer(folder: Path) -> Path:
    """Write a tokenizer of single bytes, with ChatML as its chat template, into ``folder``.

    With 259 tokens instead of fifty thousand a policy of random weights comes upon what is rewarded, and generates fast.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|im_start|>"],
    )
    made.chat_template = CHATML
    made.save_pretrained(folder)
    return folder


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    """``rows`` as a data file."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path
