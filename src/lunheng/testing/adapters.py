"""Adapters trained for a few steps, of whatever type PEFT knows. Called by the tests of what comes after training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SENTENCES = ("门禁密码是 KESTREL-7。", "The code of the door is KESTREL-7.", "备份 runs at 02:30, 每天一次。")


def train_adapter(base: str, config: Any, folder: Path, *, four_bit: bool = False, steps: int = 3) -> Path:
    """Train the adapter that ``config`` (PEFT's) describes on three sentences, and save it with the tokenizer.

    Args:
        base: a model's folder in Hugging Face's form.
        four_bit: over the base in NF4, as QLoRA does.

    Returns:
        ``folder``.
    """
    import peft
    import torch
    from transformers import AutoTokenizer

    from lunheng.tuning.modes import load_base
    from lunheng.tuning.recipes import ParameterPart

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = load_base(base, ParameterPart(mode="qlora" if four_bit else "lora"), torch.float32)
    if four_bit:
        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    adapted = peft.get_peft_model(model, config)
    trained = [p for p in adapted.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=2e-2)
    for _ in range(steps):
        for sentence in SENTENCES:
            ids = torch.tensor([tokenizer(sentence)["input_ids"] + [tokenizer.eos_token_id]])
            adapted(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    adapted.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder
