"""A trained model opened to be talked with, with several adapters over one base where they are given.

Called by ``lunheng tune generate`` and ``lunheng tune chat``. A folder is opened in torch, a GGUF file in llama.cpp;
both switch adapters from one request to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lunheng.errors import ConfigError
from lunheng.models.llms.hugging_face import HuggingFaceAdapters, HuggingFaceLLM, find_model_folder
from lunheng.models.llms.llamacpp import LlamaCppLLM
from lunheng.tuning.trained import find_trained

Speaker = HuggingFaceLLM | HuggingFaceAdapters | LlamaCppLLM
GGUF = ".gguf"
_WINDOW = 4096


def open_speaker(model: str, adapters: Mapping[str, Path], threads: int = 0) -> Speaker:
    """The model called ``model``: a run's folder, a model's or an adapter's, a GGUF file, a name of ``models list``.

    Args:
        adapters: by the name that each is asked for: folders over a folder, GGUF adapters over a GGUF file.

    Raises:
        ConfigError: adapters of the one form were given over a model of the other.
        ModelError, NotFoundError, MissingExtraError: it cannot be opened.
    """
    path = Path(model).expanduser()
    is_gguf = path.suffix == GGUF
    if wrong := [name for name, file in adapters.items() if (file.suffix == GGUF) != is_gguf]:
        raise ConfigError(
            f"adapter {wrong[0]}: over a GGUF file stand GGUF adapters (lunheng tune export --to gguf-adapter), over a "
            "folder stand folders"
        )
    if is_gguf:
        return LlamaCppLLM(path, window=_WINDOW, threads=threads, adapters=adapters)
    found = find_trained(model)
    if not adapters:
        return HuggingFaceLLM(found.folder, threads=threads)
    if found.base is None:
        return HuggingFaceAdapters(found.folder, adapters, threads=threads)
    # The run's own adapter stands among the others, under the run's name.
    own = {find_model_folder(found.folder).name: found.folder}
    return HuggingFaceAdapters(found.base, {**own, **adapters}, threads=threads)


def notes(adapters: Mapping[str, Path]) -> list[str]:
    """What is to be said of the adapters before they speak."""
    return [
        f"adapter {name}: was trained over its base in 4 bits, and stands here over the whole one: its answers may differ "
        "a little from those in training"
        for name, folder in adapters.items()
        if folder.suffix != GGUF and find_trained(folder).four_bit
    ]


def with_adapter(speaker: Speaker, name: str | None) -> Speaker:
    """``speaker`` with another of its adapters on, or with none.

    Raises:
        ConfigError: it has none.
        ModelError: it has none of this name.
    """
    if isinstance(speaker, (HuggingFaceAdapters, LlamaCppLLM)):
        return speaker.with_adapter(name)
    raise ConfigError("no adapters were given: --adapter NAME=FOLDER, as often as there are adapters")
