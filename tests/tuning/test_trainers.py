"""The loss of our trainer on a processor is TRL's own, for ragged batches, prompt tuning and packed rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the extra 'tune'")


def losses(model: str, tmp_path: Path, mode: Any, packed: bool) -> list[tuple[float, float]]:
    """(loss, norm of the gradients) by TRL's trainer and by ours."""
    import peft
    import torch
    import trl
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from lunheng.tuning.llm.trainers import ConversationTrainer

    rows = [
        {"input_ids": list(range(50, 50 + n)), "labels": [-100] * masked + list(range(50 + masked, 50 + n))}
        for n, masked in ((9, 4), (20, 6), (13, 12))
    ]
    options: dict[str, Any] = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": "none"}
    if packed:
        options |= {"padding_free": True, "dataset_kwargs": {"skip_prepare_dataset": True}}
    found = []
    for trainer_class in (trl.SFTTrainer, ConversationTrainer):
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        trainer = trainer_class(
            model=base if mode is None else peft.get_peft_model(base, mode()),
            processing_class=AutoTokenizer.from_pretrained(model),
            train_dataset=Dataset.from_list(rows),
            args=trl.SFTConfig(str(tmp_path), max_length=None, **options),
        )
        loss = trainer.compute_loss(trainer.model, trainer.data_collator([dict(row) for row in rows]))
        loss.backward()
        norm = sum(float(p.grad.norm()) for p in trainer.model.parameters() if p.grad is not None)
        found.append((float(loss.detach()), norm))
    return found


@pytest.mark.parametrize("packed", [False, True])
def test_the_loss_and_its_gradients_are_trls(tiny_model: str, tmp_path: Path, packed: bool) -> None:
    one, other = losses(tiny_model, tmp_path, None, packed)
    assert other == pytest.approx(one, rel=1e-5)


def test_with_prompt_tuning(tiny_model: str, tmp_path: Path) -> None:
    import peft

    def prompt() -> Any:
        return peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)

    one, other = losses(tiny_model, tmp_path, prompt, False)
    assert other == pytest.approx(one, rel=1e-5)


@pytest.mark.parametrize("prepended", [0, 5])
def test_the_answers_likelihoods_are_trls(tiny_model: str, prepended: int) -> None:
    import peft
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    from lunheng.tuning.llm.trainers import _project_less

    class Trainer:
        aux_loss_enabled = False
        ref_model = None

        class accelerator:
            device = torch.device("cpu")

    def asked(ours: bool) -> tuple[Any, float]:
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        add_fused_lm_head(base, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
        model = base
        if prepended:
            config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=prepended)
            model = peft.get_peft_model(base, config)
        if ours:
            trainer: Any = Trainer()
            trainer.model = model
            _project_less(trainer)
        ids = torch.arange(50, 80).reshape(2, 15)
        labels = ids.clone()
        labels[0, :6] = labels[0, 12:] = labels[1, :9] = -100
        attention = torch.ones_like(ids)
        attention[0, 12:] = 0
        said = model(input_ids=ids, attention_mask=attention, labels=labels, fused_lm_head=True)
        said.log_probs.sum().backward()
        return said, sum(float(p.grad.norm()) for p in model.parameters() if p.grad is not None)

    (one, gradient), (other, our_gradient) = asked(False), asked(True)
    for name in ("log_probs", "entropy", "mean_logits", "is_top1", "label_mask"):
        assert torch.allclose(one[name].float(), other[name].float(), atol=1e-5), name
    assert our_gradient == pytest.approx(gradient, rel=1e-5)
