"""What a folder in Hugging Face's form holds: a model, or an adapter and where its base lies.

Called by ``provider`` and by ``lunheng.models``, which tells a folder from a name. Reading it needs no torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.errors import ModelError
from lunheng.models.llms.hugging_face.own_code import is_trusted
from lunheng.types import content_id

CONFIG, ADAPTER, RUN = "config.json", "adapter_config.json", "manifest.json"
FOUR_BIT = ("qlora", "qadalora", "loftq")
"""What a run's manifest calls the modes whose adapters stand on a base in 4 bits (NF4 with double quantisation: Dettmers
et al. 2023)."""
_WEIGHTS = (".safetensors", ".bin", ".json", ".jinja")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on the disk, or an adapter with its base."""

    name: str
    folder: Path
    base: Path | None
    """Of an adapter; None for a whole model."""
    four_bit: bool
    """Whether an adapter was trained over its base in 4 bits; it is then measured over it, too."""
    trust_code: bool = False
    """Whether the Python that lies in it, or in its base, may be run: as its run was told."""

    @property
    def tokenizer(self) -> Path:
        """Where the tokenizer lies: the adapter's own, where it was saved with one."""
        here = any((self.folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json"))
        return self.folder if here or self.base is None else self.base

    def identity(self) -> str:
        """Changes when a file of the model or of its base is written."""
        parts: list[str] = []
        for folder in (self.folder, *((self.base,) if self.base else ())):
            for file in sorted(f for f in folder.iterdir() if f.suffix in _WEIGHTS):
                stat = file.stat()
                parts.append(f"{file.name} {stat.st_size} {stat.st_mtime_ns}")
        return content_id(*parts, str(self.four_bit))

    def positions(self) -> int | None:
        """How many tokens the model was made for, where its configuration says so."""
        plain = _read(self.base or self.folder, CONFIG)
        for config in (plain, plain.get("text_config") or {}):
            for key in ("max_position_embeddings", "n_positions", "seq_length", "max_sequence_length"):
                if isinstance(config.get(key), int):
                    return int(config[key])
        return None


def is_model_folder(path: Path) -> bool:
    """Whether ``path`` is a model's or an adapter's folder, or the output of a run."""
    return any((folder / name).is_file() for folder in (path, path / "model") for name in (CONFIG, ADAPTER))


def find_model_folder(path: Path) -> ModelFolder:
    """What lies at ``path``: a model's or an adapter's folder, or a run's of lunheng tune with ``model`` in it.

    Raises:
        ModelError: neither, or the base of an adapter is not there.
    """
    path = path.expanduser()
    name = path.resolve().name
    if not any((path / file).is_file() for file in (CONFIG, ADAPTER)) and is_model_folder(path):
        path = path / "model"
    elif name == "model" and (path.resolve().parent / RUN).is_file():
        name = path.resolve().parent.name
    if not is_model_folder(path):
        raise ModelError(f"{path}: holds neither a model ({CONFIG}) nor an adapter ({ADAPTER})")
    run = next((_read(folder, RUN) for folder in (path, *path.resolve().parents[:2]) if (folder / RUN).is_file()), {})
    if not (path / ADAPTER).is_file():
        return ModelFolder(name, path, None, False, is_trusted(run))
    said = [run.get("base_folder"), _read(path, ADAPTER).get("base_model_name_or_path"), run.get("base")]
    for base in said:
        if isinstance(base, str) and base and (Path(base).expanduser() / CONFIG).is_file():
            return ModelFolder(name, path, Path(base).expanduser(), run.get("mode") in FOUR_BIT, is_trusted(run))
    named = next((base for base in said if base), "(not named)")
    raise ModelError(
        f"{path}: its base model {named} is not here. Put it there, or merge the adapter where the base is: "
        "lunheng tune merge"
    )


@contextmanager
def offline() -> Iterator[None]:
    """No telemetry, and no look at a hub for what lies on the disk."""
    kept = {name: os.environ.get(name) for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")}
    os.environ.update(dict.fromkeys(kept, "1"))
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        plain = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / name}: cannot be read ({error})") from error
    return plain if isinstance(plain, dict) else {}
