"""Batches of similar length, in an order that hangs on the seed and the epoch alone. Called by ``run``.

Transformers' own sampler draws from the global generator, so that a resumed run sees its examples in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any


class SimilarLengths:
    """Indices for a data loader; torch's Sampler by its methods.

    Args:
        lengths: tokens of each example.
        batch: examples of an optimiser step on all devices: those of one step are alike.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths, self._batch, self._seed, self._epoch = list(lengths), batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Accelerate calls this when an epoch begins, also in a resumed run."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        import torch
        from transformers.trainer_pt_utils import get_length_grouped_indices

        chance = torch.Generator()
        chance.manual_seed(self._seed * 1_000_003 + self._epoch)
        return iter(get_length_grouped_indices(self._lengths, self._batch, generator=chance))


class ByEpoch:
    """Indices in the order of a sampler that is made anew, with another seed, for each epoch.

    Args:
        make: a seed to a sampler.
    """

    def __init__(self, make: Callable[[int], Iterable[int]], seed: int) -> None:
        self._make, self._seed, self._epoch = make, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """As of ``SimilarLengths``."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._make(self._seed))  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        return iter(self._make(self._seed * 1_000_003 + self._epoch))


def group_by_length(trainer: Any, seed: int) -> None:
    """Let ``trainer`` take its rows by length, where these are token ids; one whose order means something is left."""
    if getattr(trainer.args, "train_sampling_strategy", "") == "sequential":
        return
    lengths = lengths_of(trainer.train_dataset)
    if not lengths:
        return
    batch = trainer.args.train_batch_size * trainer.args.gradient_accumulation_steps * trainer.args.world_size
    trainer._get_train_sampler = lambda *_: SimilarLengths(lengths, batch, seed)


def lengths_of(rows: Any) -> list[int]:
    """Tokens that the model reads of each row: of the longer one, where it is a pair; empty where none can be told."""
    import pyarrow.compute as compute

    columns = set(getattr(rows, "column_names", None) or ())
    if "input_ids" in columns:
        parts: list[tuple[str, ...]] = [("input_ids",)]
    elif {"chosen_ids", "rejected_ids"} <= columns:
        prompt = ("prompt_ids",) if "prompt_ids" in columns else ()
        parts = [(*prompt, "chosen_ids"), (*prompt, "rejected_ids")]
    else:
        return []
    lengths: list[int] = []
    # As Arrow: the ids of a big set never become Python's numbers.
    for batch in rows.with_format("arrow").iter(10_000):
        counted = [[compute.list_value_length(batch[name]).to_pylist() for name in part] for part in parts]
        lengths += [
            max(sum(part) for part in row) for row in zip(*(zip(*c, strict=True) for c in counted), strict=True)
        ]
    return lengths
