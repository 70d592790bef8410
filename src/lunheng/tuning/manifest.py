"""The manifest of a run: all that is needed to know what a model was made of, and to make it again.

Written by ``run`` when a run starts and when it ends; read by ``--resume``, ``lunheng models trained``, the export.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from lunheng.errors import NotFoundError

MANIFEST = "manifest.json"
_PACKAGES = ("lunheng", "torch", "transformers", "trl", "peft", "accelerate", "sentence-transformers", "bitsandbytes")
Status = Literal["running", "done", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run is made of and what came of it."""

    id: str
    """Twelve hexadecimal digits of the recipe, the data, and the models' content: runs of one id are repetitions."""
    method: str
    mode: str
    base: str
    """The base model as the recipe names it."""
    base_folder: str
    """Where it lay on the machine that trained."""
    recipe: Mapping[str, Any]
    data: Mapping[str, str]
    """SHA-256 of the training set, and of the evaluation set where there is one."""
    seed: int
    models: Mapping[str, str] = field(default_factory=dict)
    """Digests of what else it stands on, as of ``made_of``: the base, a reward model, a teacher, a general set."""
    status: Status = "running"
    started: str = ""
    """UTC, ISO 8601."""
    ended: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, int] = field(default_factory=dict)
    """How many there are, and how many of them were trained."""
    examples: Mapping[str, int] = field(default_factory=dict)
    """Trained on, held out, left out."""
    before: Mapping[str, float] = field(default_factory=dict)
    """Measured on the held-out examples before the first step."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The same after the last."""
    steps: int = 0
    seconds: float = 0.0
    settled: Mapping[str, Any] = field(default_factory=dict)
    """What the recipe leaves open, as it was chosen by the memory estimate: device_batch, checkpointing, precision,
    optimiser."""
    estimate: Mapping[str, int] = field(default_factory=dict)
    """The bytes that were expected, part by part."""
    peak_bytes: int = 0
    """The most memory that the process held: the GPU's where it trained there, else the RAM."""
    warnings: tuple[str, ...] = ()
    error: str = ""
    lineage: tuple[str, ...] = ()
    """Ids of the runs that its base came out of, the nearest first."""


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Into ``folder``, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dataclasses.asdict(manifest), ensure_ascii=False, indent=2, default=str)
    making = folder / f"{MANIFEST}.part"
    making.write_text(text + "\n", encoding="utf-8")
    making.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the run in ``folder``.

    Raises:
        NotFoundError: there is none, or it cannot be read.
    """
    path = folder / MANIFEST
    try:
        return TypeAdapter(Manifest).validate_json(path.read_bytes())
    except OSError as error:
        raise NotFoundError(f"{folder}: holds no run of lunheng tune ({MANIFEST} is missing)") from error
    except ValueError as error:
        raise NotFoundError(f"{path}: cannot be read as a run's manifest ({error})") from error


def lineage_of(base_folder: str) -> tuple[str, ...]:
    """The runs that a base model came out of, where it was trained by ``lunheng tune`` too."""
    for folder in (Path(base_folder), Path(base_folder).parent):
        if (folder / MANIFEST).is_file():
            parent = read_manifest(folder)
            return (parent.id, *parent.lineage)
    return ()


def versions() -> dict[str, str]:
    """Of Python and of what the result hangs on."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine(threads: int) -> dict[str, Any]:
    """What it ran on, and in how many threads."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "threads": threads,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
