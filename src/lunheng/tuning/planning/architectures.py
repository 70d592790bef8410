"""What a model is built like, from its config.json alone, also of some well-known models that are not here.

Called by the memory estimate and ``lunheng tune plan``. The sizes in architectures.json are those that each model's
published config.json states; nothing else of a model is needed to build it on the meta device.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from lunheng.errors import ModelError
from lunheng.models.llms.hugging_face.own_code import own_code
from lunheng.tuning.bases import CONFIG_FILE, base_folder, hub_offline

_SAME = {
    "qwen2.5-coder-0.5b-instruct": "Qwen/Qwen2.5-0.5B-Instruct",
    "smollm2-135m-instruct": "HuggingFaceTB/SmolLM2-135M-Instruct",
}
"""Names of models.toml whose architecture stands here under the hub's name."""
_VARIANTS = ("-instruct", "-base")


@functools.cache
def shipped() -> Mapping[str, Mapping[str, Any]]:
    """The architectures that come with the package, by hub id."""
    text = (files("lunheng.tuning.planning") / "architectures.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def architecture(name: str, trust_code: bool = False) -> Any:
    """transformers' configuration of the model called ``name``: its folder's, a shipped one, or the hub cache's.

    Args:
        trust_code: run the configuration's own Python, where a folder brings it.

    Raises:
        ModelError: nothing here tells how the model is built, or its own Python is needed and not trusted.
    """
    from transformers import AutoConfig

    folder = Path(name).expanduser()
    if (folder / CONFIG_FILE).is_file():
        with own_code(folder, trust_code) as trusted:
            return AutoConfig.from_pretrained(folder, trust_remote_code=trusted)
    found = _shipped(name)
    if found is not None:
        sizes = dict(found)
        return AutoConfig.for_model(sizes.pop("model_type"), **sizes)
    try:
        with hub_offline():
            # A hub id is looked up in the hub's cache only: a plan fetches nothing.
            return AutoConfig.from_pretrained(name if _is_hub_id(name) else base_folder(name), local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"model {name}: how it is built is not known here, and no hub is asked; put its {CONFIG_FILE} into a folder "
            f"and name that. Known are {', '.join(shipped())}"
        ) from error


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not Path(name).expanduser().exists()


def _shipped(name: str) -> Mapping[str, Any] | None:
    """The shipped architecture of ``name`` or of the same model in another tuning (-Instruct, -Base, none)."""
    by_stem = {_stem(key): sizes for key, sizes in shipped().items()}
    return by_stem.get(_stem(_SAME.get(name, name)))


def _stem(name: str) -> str:
    stem = name.lower()
    for variant in _VARIANTS:
        stem = stem.removesuffix(variant)
    return stem
