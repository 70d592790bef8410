"""The model that is trained, as a folder in Hugging Face's form, whatever it was given as.

Called by the trainers, ``merge`` and ``export``. A GGUF file is dequantised to float32 once and kept in the cache;
a hub id is fetched only by transformers itself, and only where the user has not set HF_HUB_OFFLINE.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from lunheng.config import cache_dir
from lunheng.errors import MissingExtraError, ModelError
from lunheng.models.llms.hugging_face.folder import offline
from lunheng.models.registry import Registry
from lunheng.models.store import installed, remedy

CONFIG_FILE = "config.json"


def base_folder(name: str) -> str:
    """The folder of the base model called ``name``; a hub id is fetched there, since the recipe names it.

    Raises:
        ModelError: it is a model of models.toml that was not pulled, or no model of a form that can be trained.
        MissingExtraError: the extra ``tune`` is not installed.
    """
    path = Path(name).expanduser()
    if (path / CONFIG_FILE).is_file():
        return str(path)
    if path.suffix == ".gguf" and path.is_file():
        return str(_dequantised(path))
    if path.is_dir():
        ggufs = sorted(path.glob("*.gguf"))
        if len(ggufs) == 1:
            return str(_dequantised(ggufs[0]))
        raise ModelError(f"{path}: holds neither {CONFIG_FILE} nor one .gguf file; it is no model that can be trained")
    if name in Registry.load():
        found = installed(name)
        if found is None:
            raise ModelError(f"model {name}: is not on this machine yet. {remedy(name)}")
        return base_folder(str(found[0]))
    if name.count("/") == 1 and not path.is_absolute():
        return _of_hub(name)
    raise ModelError(f"model {name}: no such folder or file, and no name of models.toml; see lunheng models list")


def _of_hub(name: str) -> str:
    """The folder of a hub's model, fetched unless it lies in the hub's cache or HF_HUB_OFFLINE is set."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "tune") from error
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        return str(snapshot_download(name, ignore_patterns=["*.gguf", "*.bin", "*.onnx", "original/*"]))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(f"model {name}: could not be fetched from the hub ({error}); name a folder instead") from error


def _dequantised(gguf: Path) -> Path:
    """The float32 form of a GGUF file, made once (a kill leaves a folder that is made again)."""
    stat = gguf.stat()
    folder = cache_dir() / "bases" / f"{gguf.parent.name}-{stat.st_size}-{int(stat.st_mtime)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / CONFIG_FILE).is_file():
            making = folder.with_name(folder.name + ".part")
            shutil.rmtree(making, ignore_errors=True)
            _convert(gguf, making)
            making.rename(folder)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    with hub_offline():
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
        except ImportError as error:
            raise MissingExtraError("transformers", "tune") from error
        try:
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            model = AutoModelForCausalLM.from_pretrained(
                gguf.parent,
                gguf_file=gguf.name,
                dtype=torch.float32,
                quantization_config=GgufConfig(dequantize=True),
            )
        except (ValueError, OSError, KeyError, NotImplementedError) as error:
            raise ModelError(f"{gguf}: cannot be turned into a trainable model ({error})") from error
    # Its weights are plain now, and saying otherwise would have them read as quantised.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def hub_offline() -> Iterator[None]:
    """No look at a hub for what lies on the disk; and no telemetry, also afterwards, where trainers are made."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    with offline():
        yield
