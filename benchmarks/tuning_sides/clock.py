"""What every side of the fine-tuning comparison shares: the clock of the training loop, and the report on one line.

Imported by the sides beside it, each in its own virtual environment. A side is started as ``python SIDE.py JOB``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

JOB: dict[str, Any] = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
"""model, data, rows, tokens, batch, window, rank, learning_rate, output."""
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}


class Clock(TrainerCallback):
    """Wall and processor seconds of the training loop alone: loading and tokenising are outside."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.wall, self.processor = time.perf_counter() - self._wall, time.process_time() - self._processor


def report(clock: Clock, losses: list[float]) -> None:
    """Print what the driver reads."""
    status = Path("/proc/self/status").read_text().splitlines()
    peak = int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) * 1024
    told = {"wall": clock.wall, "processor": clock.processor, "peak": peak, "first": losses[0], "last": losses[-1]}
    print("\nMEASURED " + json.dumps(told))
