"""Models that were trained on this machine and put to use: a registry file of its own, laid over the packaged one.

Called by ``lunheng tune embed|rerank --promote`` and ``lunheng models promote``, and read by ``Registry.load``. Each
entry says where the run lies, so that the model can be pulled again when the cache is cleared; a knowledge base's own
models.toml stands above it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from lunheng.config import data_dir
from lunheng.errors import ConfigError, MissingExtraError, ModelError
from lunheng.models.progress import sha256_of

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]*$")


def promoted_file() -> Path:
    """The file of all promoted models."""
    return data_dir() / "models.toml"


def promoted_tables() -> dict[str, dict[str, Any]]:
    """Each promoted model's table, by name.

    Raises:
        ConfigError: the file is damaged.
    """
    path = promoted_file()
    if not path.is_file():
        return {}
    try:
        found: dict[str, dict[str, Any]] = dict(tomllib.loads(path.read_text(encoding="utf-8"))["models"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: the list of promoted models is damaged ({error}); mend or delete it") from error
    return found


def name_of(folder: str, run: str) -> str:
    """A name of the registry for the run ``run``, whose output folder is called ``folder``."""
    return f"{re.sub('[^a-z0-9._-]+', '-', folder.lower()).strip('-._') or 'trained'}-{run[:8]}"


def licence_of(base: str) -> str:
    """Of what was trained from the model called ``base``."""
    from lunheng.models.registry import Registry

    registry = Registry.load()
    return registry[base].licence if base in registry else f"as of {base}"


def promote(name: str, folder: Path, table: dict[str, Any], renamed: Mapping[str, str] | None = None) -> Path:
    """Add the model in ``folder`` to the registry as ``name``, and copy it into the cache; gives its folder there.

    Promoting the same weights under the same name again changes nothing.

    Args:
        table: the keys of a registry entry, without ``places``.
        renamed: the files to take, and what each is called in the cache; None: all, as they are.

    Raises:
        ModelError: the name is not of its form, or another model has it.
        MissingExtraError: tomli-w is not installed.
    """
    try:
        import tomli_w
    except ImportError as error:
        raise MissingExtraError("tomli-w", "tune") from error
    from lunheng.models.download import pull
    from lunheng.models.registry import Registry

    if not _NAME.match(name):
        raise ModelError(f"model {name!r}: a name has lower-case letters, digits, dots and dashes only")
    if renamed is None:
        there = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        renamed = {path: path for path in there if not path.startswith("checkpoint")}
    files = [
        {"path": path, "name": called, "sha256": sha256_of(folder / path)} for path, called in sorted(renamed.items())
    ]
    entry = {**table, "places": [{"kind": "folder", "path": str(folder.absolute()), "files": files}]}
    path = promoted_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        known = promoted_tables()
        if name not in known and name in Registry.load():
            raise ModelError(f"model {name}: another model of models.toml has this name; take another with --name")
        # What was measured of it may differ from time to time: the same weights are the same model.
        if name in known and {**known[name], "about": ""} != {**entry, "about": ""}:
            raise ModelError(
                f"model {name}: another trained model has this name ({known[name].get('about', '')}), and knowledge "
                "bases may use it; take another with --name"
            )
        making = path.with_suffix(".part")
        making.write_text(tomli_w.dumps({"models": {**known, name: entry}}), encoding="utf-8")
        making.replace(path)
    return pull(name, places=("folder",))
