"""A dry run: everything of a recipe but the weights, so that one knows before one has the machine, or the model.

Called by ``lunheng tune plan``, ``lunheng tune launch`` and the tests of the recipes that are shipped.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass

from lunheng.errors import ConfigError, DataError, OutOfMemoryPredictedError
from lunheng.tuning.arguments import learning_rate, steps_of
from lunheng.tuning.data.loading import DataSource, load
from lunheng.tuning.planning.architectures import architecture
from lunheng.tuning.planning.hardware import Accelerator, Hardware, shared_out
from lunheng.tuning.planning.memory import Estimate, estimate, settle
from lunheng.tuning.planning.refusals import refuse
from lunheng.tuning.recipes import Recipe

AMPERE = (8, 0)
TERAFLOPS = {"float32": 15.0, "bfloat16": 120.0, "float16": 60.0}
"""Of a planned GPU that nothing is known of: an A10's or L4's dense peak (NVIDIA's data sheets)."""
BIG, BIG_TERAFLOPS = 40 * 2**30, 312.0
"""From so much memory on, an A100's."""
UTILISATION = {"cpu": 0.6, "cuda": 0.35, "mps": 0.35}
"""Of the peak, what training reaches: measured on CPU; on GPUs as large runs report (PaLM, 46%; most, 30 to 40)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would be."""

    recipe: Recipe
    """With what it left open chosen, where it fits."""
    estimate: Estimate
    fits: bool
    remedy: str
    """What would make it fit; empty where it does."""
    examples: int | None
    """To train on; None where the data is not here."""
    steps: int | None
    tokens: int | None
    """Read in all, at the most: every example as long as the window."""
    seconds: float | None
    """None where the number of steps is not known."""
    learning_rate: float
    notes: tuple[str, ...]

    def as_json(self) -> Mapping[str, object]:
        """What ``--json`` prints."""
        found, training = self.estimate, self.recipe.training
        return {
            "method": self.recipe.method,
            "mode": self.recipe.parameters.mode,
            "base": self.recipe.model.name,
            "device": found.device,
            "devices": self.recipe.parallel.world,
            "strategy": self.recipe.parallel.strategy,
            "precision": found.precision,
            "batch": training.batch,
            "device_batch": found.batch,
            "checkpointing": found.checkpointing,
            "parameters": {"all": found.parameters, "trained": found.trained},
            "memory": {"parts": found.parts, "total": found.total, "available": found.available},
            "fits": self.fits,
            "remedy": self.remedy,
            "examples": self.examples,
            "steps": self.steps,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "learning_rate": self.learning_rate,
            "notes": self.notes,
        }


def imagined(gpus: int, memory: float) -> Hardware:
    """A machine of so many GPUs with so many GiB each (of the kind that multiplies bfloat16)."""
    size = int(memory * 2**30)
    each = Accelerator("cuda", f"{memory:g} GiB GPU", size, size, AMPERE)
    return Hardware("", 8.0, 8, 2**40, 2**40, 2**50, cpu_bfloat16=True, accelerators=(each,) * gpus)


def plan(recipe: Recipe, hardware: Hardware, teraflops: float | None = None) -> Plan:
    """Build all of ``recipe`` but the weights.

    Args:
        hardware: the machine (or each of the machines) that is planned for.
        teraflops: what one device computes a second at its peak; None: measured on this CPU, assumed of a GPU.

    Raises:
        ConfigError, MissingExtraError: the machine cannot run it, whatever its memory.
        ModelError: nothing here tells how the model is built.
    """
    parallel = recipe.parallel
    if hardware.accelerators and len(hardware.accelerators) < parallel.devices:
        raise ConfigError(
            f"parallel.devices: {parallel.devices} GPUs a machine are planned for, and there are "
            f"{len(hardware.accelerators)}; say --gpus {parallel.devices}"
        )
    refuse(recipe, hardware)
    config = architecture(recipe.model.name, recipe.model.trust_code)
    notes: list[str] = []
    remedy = ""
    share = shared_out(hardware, recipe)
    try:
        recipe, found = settle(recipe, config, share)
    except OutOfMemoryPredictedError as error:
        remedy, found = str(error), estimate(recipe, config, share)
    examples = _examples(recipe, notes)
    steps = recipe.training.steps or (steps_of(recipe, examples) if examples else None)
    seconds = None
    if steps is not None:
        peak, said = _peak(share, found.precision, teraflops)
        notes.append(said)
        seconds = steps * found.flops / (peak * UTILISATION[found.device])
    return Plan(
        recipe=recipe,
        estimate=found,
        fits=not remedy,
        remedy=remedy,
        examples=examples,
        steps=steps,
        tokens=steps * recipe.training.batch * recipe.data.window if steps else None,
        seconds=seconds,
        learning_rate=learning_rate(recipe),
        notes=tuple(notes),
    )


def _examples(recipe: Recipe, notes: list[str]) -> int | None:
    """How many there are to train on, where the data is here."""
    try:
        found = len(load([DataSource(s.path, s.weight, s.columns) for s in recipe.data.train], recipe.kind).examples)
    except DataError as error:
        notes.append(f"without data the number of steps is not known ({error})")
        return None
    held = 0 if recipe.data.evaluation else round(found * recipe.data.validation_share)
    return max(found - held, 1)


def _peak(hardware: Hardware, precision: str, teraflops: float | None) -> tuple[float, str]:
    """Floating-point operations a second of one device, and where the number comes from."""
    if teraflops is not None:
        return teraflops * 1e12, f"time: at {teraflops:g} TFLOP/s a device, as given"
    if hardware.device == "cpu":
        rate = measured_flops(precision)
        return rate, f"time: at {rate / 1e9:.0f} GFLOP/s, measured here just now"
    big = precision != "float32" and hardware.accelerators[0].memory >= BIG
    assumed = BIG_TERAFLOPS if big else TERAFLOPS[precision]
    return assumed * 1e12, f"time: at {assumed:g} TFLOP/s a device, assumed; --tflops says what yours has"


@functools.cache
def measured_flops(precision: str, size: int = 1024, least: float = 0.2) -> float:
    """Floating-point operations a second of matrix products on this CPU.

    Args:
        size: rows and columns of the square matrices.
        least: seconds that are measured at the least.
    """
    import torch

    left = torch.ones(size, size, dtype=getattr(torch, precision))
    with torch.no_grad():
        left @ left  # the first one sets up the library
        began, rounds = time.perf_counter(), 0
        while (spent := time.perf_counter() - began) < least:
            left @ left
            rounds += 1
    return 2 * size**3 * rounds / spent


def described(made: Plan) -> str:
    """The settled recipe's parallel part in a few words."""
    parallel = made.recipe.parallel
    return (
        "one device"
        if parallel.world == 1
        else f"{parallel.world} devices, {parallel.strategy}" + (", offloading" if parallel.offload else "")
    )
