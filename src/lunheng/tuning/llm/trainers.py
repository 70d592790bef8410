"""TRL's trainers over rows that are tokenised here, measured example by example. Called by the methods.

TRL averages the means of batches, of which the last is smaller, and calls a pair lost that stands even: before the
first step, where model and reference are one, its accuracy would be 0. Here each example counts once, and a draw half.
A module like ``callbacks``: its classes are children of the trainers', so that it is imported when one is needed.
"""

from __future__ import annotations

import copy
import inspect
import math
import os
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import transformers
import trl
from trl.trainer.utils import FusedCausalLMOutput

from lunheng.tuning.modes import CHANGES_BASE
from lunheng.tuning.recipes import PreferencePart, Recipe
from lunheng.tuning.rendering import IGNORED


class ConversationTrainer(trl.SFTTrainer):  # type: ignore[misc]
    """Supervised fine-tuning. Without an accelerator only the positions that are learnt are projected onto the vocabulary.

    TRL's own loss does so in a kernel for accelerators; on a processor it scores every position twice, with its entropy.
    """

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if self.accelerator.device.type != "cpu" or return_outputs or self.aux_loss_enabled:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        following = inputs["labels"][:, 1:]
        places = (following != IGNORED).any(0).nonzero().flatten()
        wanted = following[:, places]
        given = {key: value for key, value in inputs.items() if key != "labels"}
        # Counted from the end: prompt tuning puts tokens of its own in front.
        from_end = places - inputs["labels"].shape[1]
        logits = _at(model, from_end, lambda **more: model(**given, use_cache=False, **more))
        counted = wanted != IGNORED
        total = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        items = num_items_in_batch if num_items_in_batch is not None else counted.sum()
        loss = total / max(int(items), 1)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes
        right = (logits.detach().argmax(-1) == wanted)[counted].float().mean().item() if counted.any() else 0.0
        self._metrics["train" if self.model.training else "eval"]["mean_token_accuracy"].append(right)
        return loss


class TextTrainer(transformers.Trainer):  # type: ignore[misc]
    """Continued pre-training."""

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        # With a cache, transformers does not look where positions begin anew, and documents would see each other.
        return super().compute_loss(model, {**inputs, "use_cache": False}, *args, **options)

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """The loss, and the perplexity that it comes to."""
        found = super().evaluate(*args, **options)
        found["eval_perplexity"] = math.exp(min(found["eval_loss"], 700.0))
        return dict(found)


class RewardTrainer(trl.RewardTrainer):  # type: ignore[misc]
    """A scoring head on pairs."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if not self.model.training:
            chosen, rejected = outputs.logits.detach().squeeze(-1).chunk(2)
            _replace(self, "accuracy", wins(chosen, rejected))
            _replace(self, "margin", chosen - rejected)
        return (loss, outputs) if return_outputs else loss


class PairTrainer(trl.DPOTrainer):  # type: ignore[misc]
    """Direct preference optimisation over columns of token ids: prompt_ids, chosen_ids, rejected_ids.

    Args:
        reference_free: the reference log-probability of every answer is 0 (as in the authors' own code).
    """

    def __init__(self, *args: Any, reference_free: bool = False, **options: Any) -> None:
        self._free = reference_free
        super().__init__(*args, **options)
        _project_less(self)

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        if not self._free:
            _project_less(self)
            return super()._precompute_ref_logps(dataset, name, batch_size)
        nothing = [0.0] * len(dataset)
        return dataset.add_column("ref_chosen_logps", nothing).add_column("ref_rejected_logps", nothing)

    def prediction_step(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        with _seen(self) as seen:
            result = super().prediction_step(model, inputs, *args, **options)
        said = _answers(seen[0], inputs)
        ours = said.chunk(2)
        if self.precompute_ref_logps:
            reference = [inputs[f"ref_{side}_logps"].to(said.device) for side in ("chosen", "rejected")]
        else:
            reference = list(_answers(seen[1], inputs).chunk(2))
        chosen, rejected = (self.beta * (one - other) for one, other in zip(ours, reference, strict=True))
        _replace(self, "rewards/accuracies", wins(chosen, rejected))
        _replace(self, "rewards/margins", chosen - rejected)
        tokens = inputs["completion_mask"][:, 1:].sum(1).to(said.device)
        likelier = wins(*(said / tokens).chunk(2))
        self._metrics["eval"]["chosen_likelier"] += self.accelerator.gather_for_metrics(likelier).tolist()
        return result


class ThumbTrainer(trl.KTOTrainer):  # type: ignore[misc]
    """Kahneman-Tversky optimisation over columns of token ids: prompt_ids, completion_ids, KL_completion_ids, label."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _project_less(self)

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, *args: Any) -> Any:
        _project_less(self)
        return super()._precompute_ref_logps(*args)

    def prediction_step(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        with _seen(self) as seen:
            result = super().prediction_step(model, inputs, *args, **options)
        # Where the divergence is estimated, the mismatched answers are read before the real ones.
        first = 1 if self.calculate_KL else 0
        said = _answers(seen[first], inputs)
        if self.precompute_ref_logps:
            reference = inputs["ref_logps"].to(said.device)
        else:
            reference = _answers(seen[2 * first + 1], inputs)
        rewards = self.accelerator.gather_for_metrics(self.beta * (said - reference))
        good = self.accelerator.gather_for_metrics(inputs["label"].bool().to(said.device))
        metrics = self._metrics["eval"]
        for name, of in (("chosen", rewards[good]), ("rejected", rewards[~good])):
            if len(of):
                metrics[f"rewards/{name}"][-1:] = of.tolist()
        right = torch.where(good, wins(rewards, 0 * rewards), wins(0 * rewards, rewards))
        metrics["rewards/accuracies"] += right.tolist()
        return result

    def log(self, logs: dict[str, float], *args: Any, **options: Any) -> None:
        """The margin of all, where TRL averages those of the batches that hold both."""
        metrics = self._metrics["eval"]
        if not self.model.training and metrics["rewards/chosen"] and metrics["rewards/rejected"]:
            good, bad = (sum(m) / len(m) for m in (metrics["rewards/chosen"], metrics["rewards/rejected"]))
            metrics["rewards/margins"] = [good - bad]
        metrics = {key: values for key, values in metrics.items() if values}
        self._metrics["eval"].clear()
        self._metrics["eval"].update(metrics)
        super().log(logs, *args, **options)


def wins(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """1 where ``one`` is above ``other``, 0 where it is below, and half for a draw."""
    return (one > other).float() + 0.5 * (one == other).float()


def reference_of(base: Any, recipe: Recipe) -> Any:
    """A second model to compare with, where the base itself will not be there: None where adapters are switched off.

    To be called before ``base`` is trained or wrapped.
    """
    part = recipe.preference or PreferencePart()
    mode = recipe.parameters.mode
    if part.reference_free or (mode == "full" and part.precompute):
        return None
    return copy.deepcopy(base) if mode == "full" or mode in CHANGES_BASE else None


@contextmanager
def quiet() -> Iterator[None]:
    """No bars of TRL's and datasets' own: ours is shown."""
    import datasets

    before = os.environ.get("TQDM_DISABLE")
    shown = datasets.is_progress_bar_enabled()
    os.environ["TQDM_DISABLE"] = "1"
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("TQDM_DISABLE")
        else:
            os.environ["TQDM_DISABLE"] = before
        if shown:
            datasets.enable_progress_bars()


def _project_less(trainer: Any) -> None:
    """Without an accelerator, project only the answers' positions onto the vocabulary (as ``ConversationTrainer``)."""
    if trainer.accelerator.device.type != "cpu" or trainer.aux_loss_enabled:
        return
    for model in (trainer.model, trainer.ref_model):
        if model is not None:
            whole = model.get_base_model() if hasattr(model, "get_base_model") else model
            whole.forward = types.MethodType(_scored, whole)


def _scored(self: Any, *args: Any, fused_lm_head: bool = False, labels: Any = None, **options: Any) -> Any:
    """A language model's forward, with what TRL's fused head gives where that is asked for."""
    if not fused_lm_head:
        return type(self).forward(self, *args, **options, **({} if labels is None else {"labels": labels}))
    following = labels[:, 1:]
    places = (following != IGNORED).any(0).nonzero().flatten()
    # Counted from the end: prompt tuning puts tokens of its own in front.
    options["use_cache"] = False
    logits = _at(self, places - labels.shape[1], lambda **more: type(self).forward(self, *args, **options, **more))
    wanted = following[:, places]
    mask = wanted != IGNORED
    said = logits.log_softmax(-1)
    with torch.no_grad():
        # Only for the log: what it costs in memory is given back at once.
        entropy = -(said.exp() * said).sum(-1)
        about = {"entropy": entropy, "mean_logits": logits.mean(-1), "is_top1": (logits.argmax(-1) == wanted).float()}
    about["log_probs"] = said.gather(-1, wanted.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    spread = {
        name: torch.zeros(following.shape, dtype=value.dtype).index_copy(1, places, value.masked_fill(~mask, 0))
        for name, value in about.items()
    }
    spread["is_top1"] = spread["is_top1"].bool()
    return FusedCausalLMOutput(**spread, label_mask=following != IGNORED)


def _at(model: Any, places: torch.Tensor, read: Callable[..., Any]) -> torch.Tensor:
    """The logits at ``places``: of them alone, where the model can; one with Python of its own may project them all."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    known = inspect.signature(type(inner).forward).parameters
    if "logits_to_keep" in known or any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values()):
        return read(logits_to_keep=places).logits.float()
    return read().logits[:, places].float()


@contextmanager
def _seen(trainer: Any) -> Iterator[list[torch.Tensor]]:
    """The log-probabilities of tokens that model and reference give meanwhile, in the order that they are asked."""
    seen: list[torch.Tensor] = []
    asked = [model for model in (trainer.model, trainer.ref_model) if model is not None]
    hooks = [m.register_forward_hook(lambda module, given, said: seen.append(said.log_probs)) for m in asked]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _answers(log_probs: torch.Tensor, inputs: Any) -> torch.Tensor:
    """The log-probability of each answer; learnt vectors before the prompt have no place in it."""
    return log_probs[:, -(inputs["input_ids"].shape[1] - 1) :].sum(1).float()


def _replace(trainer: Any, name: str, values: torch.Tensor) -> None:
    """The examples' own values in the place of their batch's mean."""
    trainer._metrics["eval"][name][-1:] = trainer.accelerator.gather_for_metrics(values).tolist()
