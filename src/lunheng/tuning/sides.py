"""What a recipe learns from and what it is measured on, as examples: the same two sides whenever they are read.

Called by ``run`` when a run begins, by ``release.held_out`` when it is to be promoted, and by ``lunheng tune check``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lunheng.tuning.data.examples import Example, Problem
from lunheng.tuning.data.leaks import without_leaks
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
    """Read the recipe's data and hold out what it says; training examples that its evaluation set asks too are problems.

    Raises:
        DataError: a file cannot be read at all, or there is not one good example in all of them.
    """
    data, seed = recipe.data, recipe.training.seed
    loaded = load(sources_of(data.train), recipe.kind, seed)
    if not data.evaluation:
        kept, held = split(loaded.examples, data.validation_share, seed)
        return Sides(tuple(kept), tuple(held), loaded.problems, {"train": loaded.digest})
    measured = load(sources_of(data.evaluation), recipe.kind)
    digests = {"train": loaded.digest, "evaluation": measured.digest}
    training, leaked = without_leaks(loaded.examples, measured.examples)
    return Sides(training, measured.examples, (*loaded.problems, *measured.problems, *leaked), digests)


def sources_of(parts: Sequence[SourcePart]) -> list[DataSource]:
    """What a recipe names, as ``load`` takes it."""
    return [DataSource(part.path, part.weight, part.columns) for part in parts]
