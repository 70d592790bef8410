"""LoftQ (Li et al. 2023): an adapter over 4 bits that begins as what quantisation lost. Called by ``upkeep``.

One step of the paper's alternation, over the usual NF4 weights: the adapter begins as the best low-rank form of what
they lost. More steps would change the 4-bit weights too, and then a whole model would have to be saved with the
adapter; so, any QLoRA base serves it. PEFT's own function does the same on CUDA alone, and as if alpha were the rank.
"""

from __future__ import annotations

from typing import Any

from lunheng.errors import ModelError


def begin_as_lost(model: Any, original: Any) -> tuple[float, float]:
    """Set each adapter of ``model`` such that its weights come near to ``original``'s.

    Args:
        model: PEFT's, with LoRA layers over 4-bit ones.
        original: the base in full precision.

    Returns:
        How far the weights were from the original, as a share of it (Frobenius), before and after.

    Raises:
        ModelError: there is no 4-bit layer with an adapter.
    """
    import bitsandbytes
    import torch
    from peft.tuners.lora import LoraLayer

    lost, left, whole = 0.0, 0.0, 0.0
    for name, module in model.get_base_model().named_modules():
        weight: Any = getattr(getattr(module, "base_layer", None), "weight", None)
        if not isinstance(module, LoraLayer) or getattr(weight, "quant_state", None) is None:
            continue
        with torch.no_grad():
            device = weight.device
            wanted = original.get_submodule(name).weight.to(device, torch.float32)
            residual = wanted - bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state).float()
            for adapter in module.active_adapters:
                rank, scale = module.r[adapter], module.scaling[adapter]
                left_vectors, sizes, right_vectors = torch.linalg.svd(residual, full_matrices=False)
                roots = sizes[:rank].sqrt()
                down, up = roots[:, None] * right_vectors[:rank], left_vectors[:, :rank] * roots
                module.lora_A[adapter].weight.copy_(down)
                module.lora_B[adapter].weight.copy_(up / scale)
                lost += float(residual.square().sum())
                left += float(sizes[rank:].square().sum())
                whole += float(wanted.square().sum())
    if not whole:
        raise ModelError("parameters.mode: loftq found no 4-bit layer to begin from; take lora")
    return (lost / whole) ** 0.5, (left / whole) ** 0.5
