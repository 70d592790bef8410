"""What watches a run: its log, its progress, its divergence, and the signal to stop. Called by ``run``.

The one module here that needs transformers to be imported: its classes are children of the trainer's.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import TrainerCallback

from lunheng.errors import TrainingError

Report = Callable[[int, int, str], None]
"""(step, steps, what is said of it)."""
WATCHED = 20
"""Steps over which a loss is averaged before it is called diverging."""
DIVERGED = 3.0
"""How many times its least average a loss may rise to."""


class Log(TrainerCallback):  # type: ignore[misc]
    """Appends every logged entry to a JSONL file, which the curves are drawn from."""

    def __init__(self, path: Path, resumed_at: int) -> None:
        self._path = path
        kept = [e for e in read_log(path) if e["step"] <= resumed_at] if resumed_at else []
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(e) + "\n" for e in kept), encoding="utf-8")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if state.is_world_process_zero and logs:
            entry = {"step": state.global_step, **{k: v for k, v in logs.items() if isinstance(v, int | float)}}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")


def read_log(path: Path) -> list[dict[str, float]]:
    """The entries of a run's log, in order; none where it has not begun."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


class Progress(TrainerCallback):  # type: ignore[misc]
    """Tells the step, the loss and the tokens a second."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._loss = math.nan
        self._began = 0.0
        self._tokens = self._steps = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = time.monotonic()
        self._tokens, self._steps = state.num_input_tokens_seen, state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if not state.max_steps:  # what is measured before the first step
            return
        self._loss = (logs or {}).get("loss", self._loss)
        seconds = max(time.monotonic() - self._began, 1e-9)
        rate = (state.num_input_tokens_seen - self._tokens) / seconds
        speed = f"{rate:,.0f} tokens/s" if rate else f"{(state.global_step - self._steps) / seconds:.2f} steps/s"
        self._report(state.global_step, state.max_steps, f"loss {self._loss:.4g}, {speed}")


class Divergence(TrainerCallback):  # type: ignore[misc]
    """Ends a run whose loss is no number, or has risen far above what it was."""

    def __init__(self, bounded: bool) -> None:
        self._rising = bounded
        self._recent: list[float] = []
        self._least = math.inf

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        entry = logs or {}
        for name in ("loss", "grad_norm"):
            value = entry.get(name)
            if isinstance(value, float) and not math.isfinite(value):
                raise TrainingError(
                    f"step {state.global_step}: the {name.replace('_', ' ')} is {value}; lower training.learning_rate "
                    f"(it is {args.learning_rate:g}), train in float32, or look at the data with lunheng tune check"
                )
        if not self._rising or not isinstance(entry.get("loss"), float):
            return
        self._recent = [*self._recent, entry["loss"]][-WATCHED:]
        if len(self._recent) < WATCHED:
            return
        mean = sum(self._recent) / WATCHED
        self._least = min(self._least, mean)
        if mean > DIVERGED * self._least and mean > 1.0:
            raise TrainingError(
                f"step {state.global_step}: the loss has risen from {self._least:.3g} to {mean:.3g} (averages of "
                f"{WATCHED} steps): it diverges; lower training.learning_rate (it is {args.learning_rate:g})"
            )


class Stop(TrainerCallback):  # type: ignore[misc]
    """SIGTERM or Ctrl-C: the step that runs is ended and saved, then the run stops; a second one ends it at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self.release()
            os.kill(os.getpid(), number)
        self.asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.asked:
            control.should_save = True
            control.should_training_stop = True

    def release(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
