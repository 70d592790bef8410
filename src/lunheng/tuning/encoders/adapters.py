"""Low-rank modes for embedders and rerankers: narrow matrices learn, and the whole model is saved, merged.

Called by ``embedder``, ``reranker`` and the memory rehearsal. An index holds vectors of one model, so that an adapter
kept apart would serve nothing; what is saved is the base in full precision with what was learnt merged into it (also
where it was learnt over 4 bits). Checkpoints hold only what learns. sentence-transformers has a way to add adapters
too, but does not train a head beside them, nor load such a checkpoint into the model that it has.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lunheng.models.llms.hugging_face.opening import four_bit
from lunheng.tuning.modes import adapter_config
from lunheng.tuning.parameter_part import FOUR_BIT, ParameterPart

HEADS = ("classifier", "score", "pooler")
"""What stands behind a reranker's blocks: it may be new, and learns whole."""
LEARNT = "learnt.safetensors"
"""In a checkpoint."""


def opening(part: ParameterPart) -> dict[str, Any]:
    """What sentence-transformers is told when it opens the base for ``part``."""
    if part.mode not in FOUR_BIT:
        return {}
    import torch

    return {
        "model_kwargs": {"quantization_config": four_bit(torch.float32, whole=[rf"(.*\.)?{name}" for name in HEADS])}
    }


def adapt(encoder: Any, part: ParameterPart, *, head: bool) -> None:
    """Put adapters into a transformers encoder, which then trains these alone; ``full`` leaves it as it is.

    Args:
        head: whether it has a head that is read, which then learns, too.
    """
    if part.mode == "full":
        return
    import peft

    peft.inject_adapter_in_model(adapter_config(encoder, part, steps=0), encoder)
    for name, parameter in encoder.named_parameters():
        if head and any(part in HEADS for part in name.split(".")[:2]):
            parameter.requires_grad_(True)


def trainer_of(kind: type, part: ParameterPart, reopen: Callable[[], Any], *, head: bool) -> type:
    """sentence-transformers' trainer ``kind``, which saves what learns in checkpoints, and at the end all, merged.

    Args:
        reopen: opens the base anew in full precision.
        head: as of ``adapt``.
    """
    if part.mode == "full":
        return kind

    class AdapterTrainer(kind):  # type: ignore[misc]
        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            import torch
            from safetensors.torch import save_file
            from transformers.trainer import TRAINING_ARGS_NAME
            from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

            folder = Path(output_dir or self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            learnt = {
                name: parameter.detach().float().cpu().contiguous()
                for name, parameter in self.model.named_parameters()
                if parameter.requires_grad
            }
            if folder.name.startswith(PREFIX_CHECKPOINT_DIR):
                save_file(learnt, folder / LEARNT)
                torch.save(self.args, folder / TRAINING_ARGS_NAME)
                return
            whole = reopen()
            adapt(whole[0].auto_model, part, head=head)
            whole.load_state_dict(learnt, strict=False)
            merge(whole[0].auto_model)
            whole.save_pretrained(str(folder))

        def _load_from_checkpoint(self, checkpoint_path: str) -> None:
            from safetensors.torch import load_file

            self.model.load_state_dict(load_file(Path(checkpoint_path) / LEARNT), strict=False)

    return AdapterTrainer


def merge(encoder: Any) -> None:
    """Add each adapter to the matrix that it sits on, and take it out."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(encoder.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            encoder.set_submodule(name, module.get_base_layer())
    if hasattr(encoder, "peft_config"):
        del encoder.peft_config
