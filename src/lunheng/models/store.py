"""Where pulled models lie: ``<cache>/models/NAME/`` with the files and a manifest.

Called by ``models.download``, which fills it, and by ``lunheng.models``, which loads from it. A
model's folder appears only when every file in it was verified, so what is there is whole.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lunheng.config import cache_dir
from lunheng.errors import ModelError

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was pulled, and from where."""

    model: str
    place: str
    identity: str
    """Checksum of the weights (of their source, where they were converted): goes into fingerprints."""
    files: dict[str, str]
    """sha256 by file name."""


def models_folder() -> Path:
    """The folder of all models."""
    return cache_dir() / "models"


def installed(name: str) -> tuple[Path, Manifest] | None:
    """The folder and manifest of model ``name``, or None where it was not pulled.

    Raises:
        ModelError: the manifest is damaged, or a file that it names is gone.
    """
    folder = models_folder() / name
    if not (folder / MANIFEST).is_file():
        return None
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
        gone = [f for f in manifest.files if not (folder / f).is_file()]
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(
            f"model {name}: {folder / MANIFEST} is damaged ({error}). {remedy(name, force=True)}"
        ) from error
    if gone:
        raise ModelError(f"model {name}: {folder} lacks {', '.join(gone)}. {remedy(name, force=True)}")
    return folder, manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into ``folder``."""
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")


def remedy(name: str, force: bool = False) -> str:
    """The sentence that tells how to get a model."""
    return f"Run: lunheng models pull {name}{' --force' if force else ''}"
