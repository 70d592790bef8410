"""In how many threads a run computes on the processor. Called by the course of a run.

The hardware probe says it (the cores that others leave idle, or OMP_NUM_THREADS); left alone, torch takes all cores,
those of a container's host included. Sums in another number of threads round differently: a resumed run keeps its own.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lunheng.tuning.planning.hardware import Hardware


def as_begun(hardware: Hardware, machine: Mapping[str, Any]) -> Hardware:
    """With the threads that a run began with (by its manifest's ``machine``), unless the user has set others."""
    begun = machine.get("threads")
    if os.environ.get("OMP_NUM_THREADS") or not isinstance(begun, int):
        return hardware
    return dataclasses.replace(hardware, threads=begun)


@contextmanager
def in_threads(count: int) -> Iterator[None]:
    """Compute in so many threads meanwhile."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
