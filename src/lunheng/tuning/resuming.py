"""Where a run that has begun goes on: its last checkpoint, or the one that is asked for. Called by ``run``.

A run that is there already is never trodden on, and nothing is resumed that would not give the same curve.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.errors import ConfigError
from lunheng.tuning.arguments import CHECKPOINTS
from lunheng.tuning.manifest import MANIFEST, Manifest, read_manifest


@dataclass(frozen=True, slots=True)
class At:
    """Go on from the checkpoint of this step; what came after it is trained anew."""

    step: int


Resume = bool | At
"""False: begin. True: go on from the last checkpoint."""


def checkpoint_of(output: Path, manifest: Manifest, resume: Resume) -> Path | None:
    """The folder that the run in ``output`` goes on from; None where it begins.

    Args:
        manifest: of the run that is asked for, to be held against the one that is there.

    Raises:
        ConfigError: there is a run already, or none to resume, or it is another one.
    """
    there, whole = (output / MANIFEST).is_file(), checkpoints(output)
    if resume is False:
        if there and whole:
            raise ConfigError(
                f"{output}: holds a run already, up to step {max(whole)}; go on with --resume, or name another output"
            )
        return None
    if not there or not whole:
        raise ConfigError(f"{output}: holds no checkpoint to resume from; run it without --resume")
    step = resume.step if isinstance(resume, At) else max(whole)
    if step not in whole:
        raise ConfigError(
            f"--checkpoint: {output} holds none of step {step}; there are {', '.join(map(str, sorted(whole)))} "
            "(training.keep says how many are kept)"
        )
    earlier = read_manifest(output)
    if dict(earlier.data) != dict(manifest.data):
        raise ConfigError(f"{output}: its data has changed since it began; resuming would mix two sets: start anew")
    # A run of before this was noted has no digests, and nothing is held against it.
    others = [name for name, digest in earlier.models.items() if manifest.models.get(name) != digest]
    if others:
        raise ConfigError(
            f"{output}: its {', '.join(others)} is another than when it began, and the curve would not be the same; put "
            "back what was there, or start anew in another output"
        )
    begun, wanted = _fixed(earlier.recipe), _fixed(manifest.recipe)
    changed = [key for key in manifest.recipe if begun.get(key) != wanted.get(key)]
    if changed:
        raise ConfigError(
            f"{output}: the recipe's [{'], ['.join(changed)}] has changed since it began, and the curve would not be "
            "the same; start anew in another output, or set it back"
        )
    return whole[step]


def checkpoints(output: Path) -> dict[int, Path]:
    """The whole checkpoints of the run in ``output``, by their steps."""
    found = {step_of(folder): folder for folder in (output / CHECKPOINTS).glob("checkpoint-*")}
    # The trainer's state is written last: a checkpoint without it was cut off by a kill.
    return {step: folder for step, folder in found.items() if (folder / "trainer_state.json").is_file()}


def step_of(checkpoint: Path) -> int:
    """The step after which the folder ``checkpoint`` was written, as transformers names it."""
    return int(checkpoint.name.split("-")[1])


def forget_after(output: Path, step: int) -> None:
    """Remove the checkpoints after ``step``: they are made anew, and would be taken for the last ones until then."""
    for later, folder in checkpoints(output).items():
        if later > step:
            shutil.rmtree(folder)


def _fixed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe without what a resumed run may change, as JSON gives it back."""
    plain = json.loads(json.dumps(recipe, default=str))
    plain.pop("output", None)
    for key in ("keep", "patience", "trackers"):
        plain.get("training", {}).pop(key, None)
    return dict(plain)
