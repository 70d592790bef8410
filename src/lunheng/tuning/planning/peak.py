"""The most memory that a run has held, of the kind that its estimate speaks of: the GPU's where it trains there.

Called by ``run`` around the training.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from lunheng.tuning.planning.hardware import Device


def begin_peak(device: Device) -> None:
    """Forget what earlier runs of this process held on the GPU. (What it held in RAM cannot be forgotten.)"""
    if device == "cuda":
        import torch

        for number in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(number)


def peak_memory(device: Device = "cpu") -> int:
    """Bytes: the most that this process held at a time.

    On CUDA of the fullest GPU, as the caching allocator reserved it: CUDA's own context comes on top. Else of the RAM,
    on Linux by the process's own high-water mark: what getrusage tells begins with what the process that started it
    held.
    """
    if device == "cuda":
        import torch

        return max(int(torch.cuda.max_memory_reserved(number)) for number in range(torch.cuda.device_count()))
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        found = next((line for line in lines if line.startswith("VmHWM:")), None)
        if found:
            return int(found.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
