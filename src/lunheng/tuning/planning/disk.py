"""Before the first step: will what the run writes fit on the disk? Called by the course of a run.

A disk that is full at the third checkpoint costs the hours before it. Small files (tokenizer, schedule, log) are not
counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.errors import ConfigError
from lunheng.tuning.arguments import CHECKPOINTS
from lunheng.tuning.planning.rehearsal import states
from lunheng.tuning.recipes import Recipe
from lunheng.tuning.weights import size

ROOM = 2**26
"""Bytes that are left to the small files."""


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes that a run will hold on the disk at once."""

    model: int
    """The result: a whole model, or an adapter."""
    states: int
    """What the optimiser keeps, which goes with each checkpoint."""
    checkpoints: int
    """How many there are at once."""

    @property
    def total(self) -> int:
        """All of them, and the result."""
        return self.checkpoints * (self.model + self.states) + self.model + ROOM


def written_by(recipe: Recipe, model: Any, arguments: Any) -> Written:
    """What training ``model`` with transformers' ``arguments`` will write."""
    learn = [p for p in model.parameters() if p.requires_grad]
    saved = learn if hasattr(model, "peft_config") else list(model.parameters())
    made = arguments.max_steps // max(int(arguments.save_steps), 1) + 1  # the last step's with them
    # A new one is written before the oldest goes, and the best is kept besides.
    at_once = min(made, recipe.training.keep + 1 + bool(arguments.load_best_model_at_end))
    return Written(
        model=sum(size(p) * p.element_size() for p in saved),
        states=sum(states(recipe.training.optimiser, tuple(getattr(p, "ds_shape", p.shape))) for p in learn),
        checkpoints=at_once,
    )


def refuse_full(recipe: Recipe, written: Written, free: int) -> None:
    """Say no where it does not fit; what the checkpoints of a resumed run hold is theirs already.

    Args:
        free: bytes that are free where the output goes.

    Raises:
        ConfigError: names what is needed, what is there, and the remedies.
    """
    room = free + sum(f.stat().st_size for f in Path(recipe.output / CHECKPOINTS).rglob("*") if f.is_file())
    if written.total <= room:
        return
    each = written.model + written.states
    fewer = recipe.training.keep > 1 and written.total - (recipe.training.keep - 1) * each <= room
    adapter = ', take parameters.mode = "lora"' if recipe.parameters.mode == "full" else ""
    raise ConfigError(
        f"output: {recipe.output} has {_gb(room)} of disk, and the run writes {_gb(written.total)}: "
        f"{written.checkpoints} checkpoint(s) at once of {_gb(each)} (training.keep = {recipe.training.keep}), and the "
        f"model of {_gb(written.model)}; {'set training.keep = 1' if fewer else 'make room'}{adapter}, or name an output "
        "on another disk"
    )


def _gb(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"
