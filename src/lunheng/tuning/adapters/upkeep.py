"""What a parameter mode asks of a run beyond its model: before the first step, while it trains, when it is saved.

Called by ``run``, for every trainer alike, whether the adapter was put on here or by TRL.
"""

from __future__ import annotations

import dataclasses
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lunheng.tuning.bases import hub_offline

if TYPE_CHECKING:
    from lunheng.tuning.run import Run

INITIAL = "initial"
"""The folder of a run that holds its adapter as it began, for modes that change the base."""


def tend(run: Run, trainer: Any) -> None:
    """Make ready what the mode of ``run`` asks for."""
    part, model = run.recipe.parameters, trainer.model
    _in_float32(model)
    match part.mode:
        case "loftq":
            if run.checkpoint is None:
                _begin_loftq(run, model)
        case "pissa":
            _keep_initial(model, run.recipe.output / INITIAL)
        case "adalora" | "qadalora":
            from lunheng.tuning.adapters.adalora import Pruning

            trainer.add_callback(Pruning(model, run.checkpoint))
        case "ptuning":
            from lunheng.tuning.adapters.prompt_encoder import EncoderKeeper

            trainer.add_callback(EncoderKeeper(model, run.checkpoint))
    if part.plus_ratio is not None:
        from peft.optimizers import create_loraplus_optimizer
        from transformers import Trainer

        kind, options = Trainer.get_optimizer_cls_and_kwargs(trainer.args, model)
        options["loraplus_weight_decay"] = trainer.args.weight_decay
        options["loraplus_lr_embedding"] = options["lr"]
        trainer.optimizer = create_loraplus_optimizer(model, kind, loraplus_lr_ratio=part.plus_ratio, **options)


def save(run: Run, trainer: Any, folder: Path) -> None:
    """Save what was trained, such that it stands on the base as it is."""
    trainer.save_model(str(folder))
    initial = run.recipe.output / INITIAL
    if run.recipe.parameters.mode == "pissa" and trainer.args.should_save:
        _converted(trainer.model, folder, initial)
        shutil.rmtree(initial)


def _converted(model: Any, folder: Path, initial: Path) -> None:
    """PiSSA takes its directions out of the base; what it changed is a LoRA of twice the rank on the base itself.

    PEFT's conversion writes the low-rank tensors alone: what was trained whole beside them (a scoring head, embeddings)
    is taken over from the adapter that lies in ``folder`` already.
    """
    from safetensors.torch import load_file, save_file

    file = folder / "adapter_model.safetensors"
    saved = load_file(file)
    with hub_offline(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PiSSA changes the base weights", UserWarning)  # hence the conversion
        model.save_pretrained(str(folder), path_initial_model_for_weight_conversion=str(initial))
    converted = load_file(file)
    whole = {name: tensor for name, tensor in saved.items() if name not in converted}
    save_file(converted | whole, file, metadata={"format": "pt"})


def _in_float32(model: Any) -> None:
    """TRL turns what is trained over a base in 4 bits to bfloat16, in which Adam's small steps round to nothing."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype in (torch.bfloat16, torch.float16):
            parameter.data = parameter.data.float()


def _begin_loftq(run: Run, model: Any) -> None:
    import torch

    from lunheng.tuning.adapters.loftq import begin_as_lost
    from lunheng.tuning.modes import Head, load_base

    head: Head = "score" if model.peft_config["default"].task_type == "SEQ_CLS" else "words"
    plain = dataclasses.replace(run.recipe.parameters, mode="lora")
    with hub_offline():
        original = load_base(run.base, plain, torch.float32, head, run.recipe.model.trust_code)
    before, after = begin_as_lost(model, original)
    run.warnings.append(
        f"loftq: of what 4 bits lost of the weights ({before:.3f}), the adapter begins with {after:.3f} left"
    )


def _keep_initial(model: Any, folder: Path) -> None:
    """The adapter before the first step: also of a resumed run, since it hangs on the base alone."""
    config = model.peft_config["default"]
    told = config.init_lora_weights
    config.init_lora_weights = True  # else it would be taken out of the base once more when it is opened
    with hub_offline():
        model.save_pretrained(str(folder))
    config.init_lora_weights = told
