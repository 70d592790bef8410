"""Batches of similar length, in an order that hangs on the seed and the epoch alone. Called by ``run``.

Transformers' own sampler draws from the global generator, so that a resumed run sees its examples in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def group_by_length(trainer: Any, seed: int) -> None:
    """Let ``trainer`` take its rows by length, where they have one that can be told (a column of token ids)."""
    rows = trainer.train_dataset
    columns = getattr(rows, "column_names", None) or []
    column = next((name for name in ("input_ids", "prompt_input_ids", "chosen_input_ids") if name in columns), None)
    if column is None:
        return
    lengths = [len(ids) for ids in rows[column]]
    batch = trainer.args.train_batch_size * trainer.args.gradient_accumulation_steps * trainer.args.world_size
    trainer._get_train_sampler = lambda *_: SimilarLengths(lengths, batch, seed)
