"""A trained model in the form that something else serves. Called by ``lunheng tune export``."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from lunheng.errors import ConfigError, ModelError
from lunheng.tuning.bases import CONFIG_FILE, hub_offline
from lunheng.tuning.release.gguf_adapter import write_gguf_adapter
from lunheng.tuning.release.gguf_file import GgufKind, write_gguf
from lunheng.tuning.release.merge import Precision, merge
from lunheng.tuning.release.modelfile import write_modelfile
from lunheng.tuning.release.readings import QUESTIONS, prompt_ids
from lunheng.tuning.release.serving import largest_rank, lora_complaints, plain_lora, rename_base, write_readme
from lunheng.tuning.trained import TrainedModel, find_trained, open_base, open_tokenizer

Target = Literal["safetensors", "gguf", "adapter", "gguf-adapter"]
MODEL_FILE = "model.gguf"
ADAPTER_MODEL_FILE = "adapter.gguf"
_OLLAMA_WINDOW = 4096
"""Tokens, unless the model was trained for fewer: a window costs memory whether it is used or not."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    output: Path
    target: Target
    kind: str
    """The precision or mixture of the weights."""
    files: tuple[str, ...]
    size: int
    """Bytes of all of them."""
    warnings: tuple[str, ...]


def export(
    model: TrainedModel,
    target: Target,
    output: Path,
    *,
    kind: GgufKind = "f16",
    precision: Precision = "auto",
    shard: str = "5GB",
    name: str = "",
    system: str = "",
    threads: int = 0,
) -> Exported:
    """Write ``model`` into the folder ``output`` in the form of ``target``.

    Args:
        kind: of a GGUF file.
        precision: of safetensors.
        shard: the most that one file of safetensors holds, as 5GB.
        name: by which a server is asked for the adapter; by default the folder's.
        system: a system message for Ollama's Modelfile.
        threads: for quantising; 0 for as many as there are cores.

    Raises:
        ConfigError: it is no language model, ``output`` is not empty, or an adapter was asked of a whole model.
        ModelError, MissingExtraError: it cannot be had in that form; the message says which can.
    """
    model.insist_on_words()
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"{output}: is there already and not empty; name another folder")
    if target in ("adapter", "gguf-adapter") and not model.is_adapter:
        raise ConfigError(f"{model.folder}: is a whole model and no adapter; export it --to safetensors or gguf")
    making = output.with_name(output.name + ".part")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        match target:
            case "safetensors":
                made, warnings = _safetensors(model, making, precision, shard)
            case "gguf":
                made, warnings = kind, _gguf(model, making, kind, system, threads)
            case "adapter":
                made, warnings = _adapter(model, making, output, name or _name(model))
            case "gguf-adapter":
                made, warnings = _gguf_adapter(model, making)
        if output.is_dir():
            output.rmdir()
        making.rename(output)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    files = sorted(p for p in output.rglob("*") if p.is_file())
    names = tuple(str(p.relative_to(output)) for p in files)
    return Exported(output, target, made, names, sum(p.stat().st_size for p in files), tuple(warnings))


def _safetensors(model: TrainedModel, folder: Path, precision: Precision, shard: str) -> tuple[str, list[str]]:
    if not re.fullmatch(r"\d+(MB|GB)", shard):
        raise ConfigError(f"--shard {shard!r}: is not of the form 500MB or 5GB")
    if model.is_adapter:
        merged = merge(model, folder / "merged", precision, shard=shard)
        for file in (folder / "merged").iterdir():
            file.rename(folder / file.name)
        (folder / "merged").rmdir()
        return merged.precision, list(merged.warnings)
    import torch

    tokenizer = open_tokenizer(model)
    said = json.loads((model.folder / CONFIG_FILE).read_text(encoding="utf-8"))
    chosen = precision if precision != "auto" else str(said.get("dtype") or said.get("torch_dtype") or "float32")
    with hub_offline():
        open_base(model).to(getattr(torch, chosen)).save_pretrained(folder, max_shard_size=shard)
        tokenizer.save_pretrained(folder)
    again = open_tokenizer(replace(model, folder=folder))
    for _, messages in QUESTIONS:
        if prompt_ids(tokenizer, messages) != prompt_ids(again, messages):
            raise ModelError(f"{folder}: the tokenizer renders conversations otherwise than before it was written")
    return chosen, []


def _gguf(model: TrainedModel, folder: Path, kind: GgufKind, system: str, threads: int) -> list[str]:
    if kind not in get_args(GgufKind):
        raise ConfigError(f"--kind {kind!r}: is not one of {', '.join(get_args(GgufKind))}")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        whole = model.folder
        if model.is_adapter:
            whole = Path(scratch) / "merged"
            # Rounded once, when the file is written.
            merge(model, whole, "float32" if kind in ("f32", "f16") else "auto")
        tokenizer = open_tokenizer(find_trained(whole))
        warnings = write_gguf(whole, folder / MODEL_FILE, kind, tokenizer, threads)
        config = json.loads((whole / CONFIG_FILE).read_text(encoding="utf-8"))
        window = min(int(config.get("max_position_embeddings") or _OLLAMA_WINDOW), _OLLAMA_WINDOW)
        warnings += write_modelfile(folder, MODEL_FILE, tokenizer, _ends(whole, tokenizer.eos_token_id), window, system)
    return warnings


def _ends(folder: Path, own: int) -> list[int]:
    """The tokens that end an answer, the tokenizer's first."""
    file = folder / "generation_config.json"
    said = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id") if file.is_file() else None
    return list(dict.fromkeys([own, *([said] if isinstance(said, int) else said or ())]))


def _adapter(model: TrainedModel, folder: Path, output: Path, name: str) -> tuple[str, list[str]]:
    complaints = lora_complaints(model)
    base = _served_base(model)
    if model.adapter_config().get("peft_type") == "LORA":
        plain_lora(model, folder)
        rename_base(folder, base)
        write_readme(folder, output, base, name, largest_rank(folder), complaints, model.four_bit)
    else:
        shutil.copytree(model.folder, folder, dirs_exist_ok=True)
    remedy = "; serve it with transformers and PEFT, or merge it: lunheng tune export --to safetensors"
    return str(model.adapter_config().get("peft_type")), [c + remedy for c in complaints]


def _gguf_adapter(model: TrainedModel, folder: Path) -> tuple[str, list[str]]:
    if complaints := lora_complaints(model):
        raise ModelError(
            f"{model.folder}: {complaints[0]}, and llama.cpp's adapters are LoRA too; export it merged: --to gguf"
        )
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        plain_lora(model, Path(scratch))
        plain = TrainedModel(Path(scratch), model.base, model.four_bit, model.manifest)
        write_gguf_adapter(plain, folder / ADAPTER_MODEL_FILE)
    warnings = []
    if model.four_bit:
        warnings.append(
            "it was trained over its base in 4 bits (NF4), which llama.cpp does not read: over its base as another GGUF, "
            "its answers differ a little; --to gguf keeps them"
        )
    return "f32", warnings


def _served_base(model: TrainedModel) -> str:
    """What a server calls the base: its hub id where the recipe named one, else the folder."""
    named = model.manifest.base if model.manifest else ""
    return named if named.count("/") == 1 and not Path(named).is_absolute() else str(model.base)


def _name(model: TrainedModel) -> str:
    """``runs/door/model`` is called door."""
    folder = model.folder.absolute()
    return folder.parent.name if folder.name == "model" else folder.name
