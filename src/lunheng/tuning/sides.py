"""What a recipe learns from and what it is measured on, as examples: the same two sides whenever they are read.

Called by ``run`` when a run begins, and by ``release.held_out`` when it is to be promoted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lunheng.tuning.data.examples import Example, Problem
from lunheng.tuning.data.loading import DataSource, load
from lunheng.tuning.data.splitting import split
from lunheng.tuning.recipes import Recipe, SourcePart


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of a recipe's data."""

    training: tuple[Example, ...]
    held: tuple[Example, ...]
    problems: tuple[Problem, ...]
    digests: Mapping[str, str]
    """SHA-256 by ``train`` and, where there is one, ``evaluation``."""


def read_sides(recipe: Recipe) -> Sides:
    """Read the recipe's data and hold out what it says.

    Raises:
        DataError: a file cannot be read at all, or there is not one good example in all of them.
    """
    data, seed = recipe.data, recipe.training.seed
    loaded = load(_sources(data.train), recipe.kind, seed)
    if not data.evaluation:
        training, held = split(loaded.examples, data.validation_share, seed)
        return Sides(tuple(training), tuple(held), loaded.problems, {"train": loaded.digest})
    measured = load(_sources(data.evaluation), recipe.kind)
    digests = {"train": loaded.digest, "evaluation": measured.digest}
    return Sides(loaded.examples, measured.examples, (*loaded.problems, *measured.problems), digests)


def _sources(parts: Sequence[SourcePart]) -> list[DataSource]:
    return [DataSource(part.path, part.weight, part.columns) for part in parts]
