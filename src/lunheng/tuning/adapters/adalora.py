"""AdaLoRA (Zhang et al. 2023) prunes the ranks that matter least while it trains. Called by ``upkeep``.

PEFT holds how it prunes and leaves the calls to whoever trains: without them it is a LoRA of too high a rank, and says
nothing. It adds the paper's pull towards orthogonal directions (equation 4) to a loss that the model itself computes,
which TRL's trainers do not ask of it; here the pull's gradient is added at each step, whatever the loss. What it has
learnt of the ranks' importance is saved with each checkpoint, so that a resumed run prunes alike.
A module like ``callbacks``: its class is a child of the trainer's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

IMPORTANCE = "importance.safetensors"
_AVERAGES = ("exp_avg_ipt", "exp_avg_unc")


class Pruning(TrainerCallback):  # type: ignore[misc]
    """Calls PEFT's allocation of ranks at each step.

    Args:
        model: PEFT's.
        checkpoint: where a resumed run goes on.
    """

    def __init__(self, model: Any, checkpoint: Path | None) -> None:
        self._tuner = model.base_model
        self._config = self._tuner.peft_config[self._tuner.trainable_adapter_name]
        self._checkpoint = checkpoint
        self._kept: dict[str, Any] | None = None
        self._pull, self._config.orth_reg_weight = self._config.orth_reg_weight, 0.0  # else some losses had it twice

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._checkpoint is None:
            return
        if state.global_step >= self._last:
            self._kept = self._alive()
        elif (self._checkpoint / IMPORTANCE).is_file():
            from safetensors.torch import load_file

            for key, tensor in load_file(self._checkpoint / IMPORTANCE).items():
                kind, name = key.split("|")
                getattr(self._tuner.rankallocator, kind)[name] = tensor.to(self._tuner.device)
            self._tuner.rankallocator.ipt = dict(self._tuner.rankallocator.exp_avg_ipt)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Pull the directions towards orthogonal ones, by the mean distance from the identity as PEFT measures it."""
        import torch

        sides = [
            (parameter, parameter @ parameter.T if "lora_A" in name else parameter.T @ parameter)
            for name, parameter in self._tuner.model.named_parameters()
            if parameter.requires_grad and ("lora_A" in name or "lora_B" in name)
        ]
        far = sum(torch.linalg.matrix_norm(held - torch.eye(len(held), device=held.device)) for _, held in sides)
        pulls = torch.autograd.grad(self._pull * far / len(sides), [parameter for parameter, _ in sides])
        for (parameter, _), pull in zip(sides, pulls, strict=True):
            parameter.grad = pull if parameter.grad is None else parameter.grad + pull

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After the optimiser's step, while the gradients are still there."""
        step, ranks = state.global_step + 1, self._tuner.rankallocator
        if step < self._last:
            ranks.update_and_allocate(self._tuner.model, step)
        elif step == self._last:
            ranks.update_and_allocate(self._tuner.model, step, force_mask=True)
            self._kept = self._alive()
        elif self._kept is not None:
            ranks.mask_using_rank_pattern(self._tuner.model, self._kept)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        ranks = self._tuner.rankallocator
        tensors = {f"{kind}|{name}": t.contiguous() for kind in _AVERAGES for name, t in getattr(ranks, kind).items()}
        if state.is_world_process_zero and folder.is_dir() and tensors:
            from safetensors.torch import save_file

            save_file(tensors, folder / IMPORTANCE)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """What is saved from here on is of the ranks that are left."""
        self._config.orth_reg_weight = self._pull
        if state.global_step >= self._last:
            self._config.rank_pattern = self._alive()

    @property
    def _last(self) -> int:
        """The step at which the ranks are final."""
        return int(self._config.total_step - self._config.tfinal)

    def _alive(self) -> dict[str, list[bool]]:
        """Which singular values of each module are not zero."""
        return {
            name: (parameter.detach() != 0).view(-1).tolist()
            for name, parameter in self._tuner.model.named_parameters()
            if ".lora_E." in name
        }
