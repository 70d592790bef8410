"""A model's parameters counted and compared, also where several devices share them out. Called by ``run``.

What DeepSpeed's ZeRO-3 has shared out looks empty on each device, and what FSDP has is a part: here they count whole.
Each process must ask at the same time, for sharing needs all of them.
"""

from __future__ import annotations

from typing import Any


def fingerprint(model: Any) -> tuple[float, ...]:
    """The sums of squares of the trained parameters: another tuple where any of them has changed."""
    import torch

    with torch.no_grad():
        return tuple(float(_whole(p).double().square().sum()) for p in model.parameters() if p.requires_grad)


def size(parameter: Any) -> int:
    """Weights of a parameter on all devices together; of a 4-bit one two stand in each byte."""
    packed = type(parameter).__name__ == "Params4bit"
    return int(getattr(parameter, "ds_numel", None) or parameter.numel()) * (2 if packed else 1)


def _whole(parameter: Any) -> Any:
    """The parameter's values, gathered one parameter at a time."""
    if hasattr(parameter, "full_tensor"):  # FSDP's; offloaded to RAM, it is gathered where it is computed with
        return parameter.detach().to(parameter.device_mesh.device_type).full_tensor()
    if hasattr(parameter, "ds_numel"):
        import deepspeed

        with deepspeed.zero.GatheredParameters([parameter]):
            return parameter.detach().clone()
    return parameter.detach()
