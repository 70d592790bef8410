"""Before a run starts: how much memory it will take, part by part, whether that is there, and how long it will last.

Called by the course of a run, which refuses what cannot fit and chooses what the recipe leaves open, and by
``lunheng tune plan``. What the model holds and does comes from a rehearsal without weights; what only the process
knows (imports, the allocator's rest) are constants measured by benchmarks/tuning_memory.py.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lunheng.errors import OutOfMemoryPredictedError
from lunheng.tuning.arguments import with_optimiser
from lunheng.tuning.encoder_parts import EmbeddingPart
from lunheng.tuning.modes import CHANGES_BASE
from lunheng.tuning.planning.generation import generation_values
from lunheng.tuning.planning.hardware import Device, Hardware, Precision
from lunheng.tuning.planning.rehearsal import Step, Weights, rehearse, weights_of
from lunheng.tuning.recipes import FOUR_BIT, ParameterPart, Recipe

PROCESS = 590 * 2**20
"""Bytes of a process that has imported torch, transformers, TRL and PEFT, and has a tokenizer and a data set."""
CUDA_CONTEXT = 700 * 2**20
"""Bytes on each GPU of CUDA's own context and libraries' workspaces (PyTorch's notes on CUDA semantics: 0.4 to 1 GB)."""
SLACK = {"cpu": 0.4, "cuda": 0.08, "mps": 0.08}
"""Of what a step holds, which the allocator keeps besides: glibc's heap frays (measured; mapping every block by itself,
by mallopt, saves it and takes a fifth more time), the GPUs' caching allocator rounds up."""
FOUR_BIT_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Of a parameter: half a byte, a byte of scale each 64, four bytes each 256 scales (QLoRA, Dettmers et al. 2023)."""
USABLE = 0.95
"""Of the memory that is free, what a run may plan with."""
MINI_BATCH = 16
"""Examples at a time of an embedder's cached loss."""
MOST = {"cpu": 4, "cuda": 64, "mps": 16}
"""Examples at a time beyond which a device of the kind does not get faster."""
SHORTEST = 16
"""Tokens of a recipe's window at the least."""
_SIZES = {"float32": 4, "bfloat16": 2, "float16": 2}
_WITH_REFERENCE = ("dpo", "kto", "ppo", "rloo", "grpo")


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one device will hold at the most, and how much there is."""

    parts: Mapping[str, int]
    """Bytes by what they are for."""
    available: int
    """Bytes that the device has free."""
    device: str
    precision: Precision
    batch: int
    """Examples at a time on one device."""
    checkpointing: bool
    parameters: int
    """Of the base model."""
    trained: int
    """That learn."""
    flops: int
    """Floating-point operations of one optimiser step on one device."""

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        """Whether the device has so much."""
        return self.total <= self.available * USABLE


def estimate(
    recipe: Recipe,
    config: Any,
    hardware: Hardware,
    *,
    window: int | None = None,
    batch: int | None = None,
    checkpointing: bool | None = None,
) -> Estimate:
    """The memory that ``recipe`` takes on one of the devices of ``hardware``.

    Args:
        config: transformers' configuration of the base model.
        window: tokens of the longest example, where it is known to be less than the recipe's window.
        batch: examples at a time; the recipe's, or 1.
        checkpointing: whether activations are recomputed; the recipe's, or not.
    """
    recipe = with_optimiser(recipe, hardware.device)
    window = None if window is None else max(window, SHORTEST)
    if window is not None and window < recipe.data.window:
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, window=window))
    batch = batch or recipe.training.device_batch or 1
    again = recipe.training.batch // recipe.parallel.world > batch
    checkpointing = bool(recipe.training.checkpointing) if checkpointing is None else checkpointing
    precision = precision_of(recipe, hardware)
    case = _case(recipe, config)
    weights = _weights(case, precision)
    step = _step(case, batch, checkpointing, precision, again, hardware.device)
    parts = _parts(recipe, config, hardware, weights, step, precision)
    return Estimate(
        parts={name: int(size) for name, size in parts.items() if size},
        available=hardware.device_memory,
        device=hardware.device,
        precision=precision,
        batch=batch,
        checkpointing=checkpointing,
        parameters=weights.base,
        trained=weights.trained,
        flops=round(step.flops) * max(recipe.training.batch // recipe.parallel.world // batch, 1),
    )


def precision_of(recipe: Recipe, hardware: Hardware) -> Precision:
    """The number type that the run computes in."""
    return hardware.precision if recipe.model.precision == "auto" else recipe.model.precision


@dataclass(frozen=True)
class _Case:
    """What a rehearsal depends on, as the key of a cache: neither recipes nor configurations can be hashed."""

    key: str
    recipe: Recipe = dataclasses.field(compare=False)
    config: Any = dataclasses.field(compare=False)


def _case(recipe: Recipe, config: Any) -> _Case:
    sizes = json.dumps(config.to_dict(), sort_keys=True, default=str)
    parts: tuple[object, ...] = (
        recipe.method,
        recipe.parameters,
        recipe.data.window,
        recipe.training.optimiser,
        recipe.parallel.strategy,
    )
    parts += (recipe.embedding, recipe.reranking)
    return _Case(repr((sizes, *parts, recipe.reward)), recipe, config)


@functools.lru_cache(maxsize=64)
def _weights(case: _Case, precision: Precision) -> Weights:
    return weights_of(case.recipe, case.config, precision)


@functools.lru_cache(maxsize=64)
def _played(case: _Case, batch: int, checkpointing: bool, precision: Precision, again: bool, device: Device) -> Step:
    return rehearse(
        case.recipe,
        case.config,
        batch,
        checkpointing=checkpointing,
        dtype=precision,
        equal=_weights(case, precision).equal,
        again=again,
        device=device,
    )


def _step(case: _Case, batch: int, *how: Any) -> Step:
    """What a step holds grows by the same bytes with each example: beyond two, the line through one and two."""
    return (
        _played(case, batch, *how) if batch <= 2 else _played(case, 1, *how).towards(_played(case, 2, *how), batch - 1)
    )


def _parts(
    recipe: Recipe, config: Any, hardware: Hardware, weights: Weights, step: Step, precision: Precision
) -> dict[str, float]:
    parallel, size = recipe.parallel, _SIZES[precision]
    everything = parallel.strategy in ("fsdp", "zero3")
    share = parallel.world if everything else 1
    states_share = parallel.world if everything or parallel.strategy == "zero2" else 1
    away = parallel.offload and parallel.strategy != "none"
    gradients = 0 if everything else weights.gradients
    # The optimiser's own step holds all gradients and, of one parameter at a time, two results on the way.
    updating = weights.gradients / states_share + 2 * weights.widest * 4
    activations = max(step.peak - gradients, updating - weights.gradients / states_share)
    writing = generation_values(recipe, config) * size if recipe.reward is not None else 0
    parts: dict[str, float] = {
        "process": CUDA_CONTEXT if hardware.device == "cuda" else PROCESS,
        "weights": (weights.bytes + weights.four_bit * FOUR_BIT_BYTES) / share,
        "gradients": weights.gradients / states_share,
        "optimiser": weights.states / states_share,
        "activations": max(activations, 0),
        # On CPU the file stays mapped, and counts, while a weight that was not quantised is read from it.
        "mapped": weights.four_bit * 4 if hardware.device == "cpu" else 0,
        "dequantised": weights.largest * size,
        "reference": weights.base * size / share if _has_reference(recipe) else 0,
        "reward model": weights.base * size if recipe.reward is not None and recipe.reward.model else 0,
        "generation": max(writing - activations, 0),
    }
    if parallel.strategy == "ddp" and parallel.world > 1:
        parts["buckets"] = weights.gradients  # DistributedDataParallel reduces in copies of them
    if everything:
        # Two blocks are gathered at a time, the next while this one computes; what is in no block stays gathered.
        rest = max(weights.base - weights.block * getattr(config, "num_hidden_layers", 1), 0)
        parts["gathered"] = (2 * weights.block + rest) * size
    if away:
        parts["optimiser"] = 0
        parts["weights"] = parts["weights"] if parallel.strategy == "zero2" else 0
        parts["gradients"] = 0
    parts["allocator"] = SLACK[hardware.device] * (parts["activations"] + parts["generation"] + parts["gradients"])
    return parts


def _has_reference(recipe: Recipe) -> bool:
    """Whether another copy of the base stands beside the model: with adapters the base itself is the reference."""
    if recipe.method not in _WITH_REFERENCE or recipe.parameters.mode not in ("full", *CHANGES_BASE):
        return False
    free = recipe.preference is not None and recipe.preference.reference_free
    return not free and not (recipe.reward is not None and recipe.reward.kl == 0)


def settle(recipe: Recipe, config: Any, hardware: Hardware, *, window: int | None = None) -> tuple[Recipe, Estimate]:
    """The recipe with what it leaves open (device_batch, checkpointing, precision, optimiser) chosen so that it fits, and its estimate.

    Without checkpointing where that fits, with the most examples at a time that do: recomputing costs a third more.

    Raises:
        OutOfMemoryPredictedError: it does not fit, whatever is chosen; names what would.
    """
    recipe = with_optimiser(recipe, hardware.device)
    ask = functools.partial(estimate, recipe, config, hardware, window=window)
    given = recipe.training.checkpointing
    if given is None and recipe.parameters.mode == "prefix":  # its vectors do not outlive recomputing
        given = False
    for checkpointing in (False, True) if given is None else (given,):
        found = _largest(recipe, ask, checkpointing, hardware)
        if found.fits:
            chosen = choices(recipe) | {
                "device_batch": found.batch,
                "checkpointing": checkpointing,
                "precision": found.precision,
            }
            return with_choices(recipe, chosen), found
    raise OutOfMemoryPredictedError(_refusal(recipe, config, hardware, found, window))


def choices(recipe: Recipe) -> dict[str, Any]:
    """What ``settle`` has chosen, as the manifest keeps it for a resumption."""
    training = recipe.training
    return {
        "device_batch": training.device_batch,
        "checkpointing": training.checkpointing,
        "precision": recipe.model.precision,
        "optimiser": training.optimiser,
    }


def with_choices(recipe: Recipe, chosen: Mapping[str, Any]) -> Recipe:
    """The recipe with what ``choices`` gave."""
    made = _with(recipe, "model", precision=chosen["precision"])
    own = {key: chosen[key] for key in ("device_batch", "checkpointing", "optimiser")}
    return _with(made, "training", **own)


def _largest(recipe: Recipe, ask: Any, checkpointing: bool, hardware: Hardware) -> Estimate:
    """The estimate of the largest batch that fits, or of the smallest where none does."""
    share = recipe.training.batch // recipe.parallel.world
    if recipe.training.device_batch is not None:
        return ask(batch=recipe.training.device_batch, checkpointing=checkpointing)  # type: ignore[no-any-return]
    sizes = [size for size in range(1, min(share, MOST[hardware.device]) + 1) if share % size == 0]
    if recipe.method == "kto" and share > 1:  # one answer has no other to be held against
        sizes = sizes[1:] or [share]
    if recipe.method == "embed":
        loss = (recipe.embedding or EmbeddingPart()).loss
        if loss == "multiple_negatives":  # the other examples at a time are what each is told apart from
            sizes = [share]
        elif loss == "cached_multiple_negatives":  # as many as the recipe leaves open, whatever there is room for
            sizes = [size for size in sizes if size <= MINI_BATCH]
    best: Estimate = ask(batch=sizes[0], checkpointing=checkpointing)
    if best.fits:
        for size in reversed(sizes[1:]):
            found: Estimate = ask(batch=size, checkpointing=checkpointing)
            if found.fits:
                return found
    return best


def _refusal(recipe: Recipe, config: Any, hardware: Hardware, least: Estimate, window: int | None) -> str:
    """Why it does not fit, and the changes, one at a time and the gentlest first, that would make it."""
    training, parameters = recipe.training, recipe.parameters
    changes: list[tuple[str, Recipe]] = []
    if training.device_batch not in (None, 1) and recipe.method != "embed":  # there it is what each is told apart from
        changes.append(("training.device_batch = 1", _with(recipe, "training", device_batch=1)))
    if training.checkpointing is False and parameters.mode != "prefix":
        changes.append(("training.checkpointing = true", _with(recipe, "training", checkpointing=True)))
    if parameters.mode == "full":
        changes.append(('parameters.mode = "lora"', _with(recipe, "parameters", mode="lora")))
    shared = recipe.parallel.strategy in ("fsdp", "zero2", "zero3")
    if parameters.mode not in FOUR_BIT and not shared:
        changes.append(
            ('parameters.mode = "qlora"', dataclasses.replace(recipe, parameters=ParameterPart(mode="qlora")))
        )
    longest = min(window or recipe.data.window, recipe.data.window)
    for shorter in (longest // 2, longest // 4):
        if shorter >= 64:
            changes.append((f"data.window = {shorter}", _with(recipe, "data", window=shorter)))
    helps = []
    for said, changed in changes:
        batch = changed.training.device_batch or least.batch
        checkpointing = True if training.checkpointing is None else None
        found = estimate(changed, config, hardware, window=window, batch=batch, checkpointing=checkpointing)
        if found.fits:
            helps.append(f"{said} ({_gb(found.total)})")
    best = "; it would fit with " + ", or ".join(helps) if helps else "; take a smaller model or a larger machine"
    largest = sorted(least.parts.items(), key=lambda part: -part[1])[:3]
    made_of = ", ".join(f"{name} {_gb(size)}" for name, size in largest)
    return (
        f"this recipe needs about {_gb(least.total)} on each device ({made_of}), and {_gb(least.available)} of "
        f"{least.device} memory are free{best}"
    )


def _with(recipe: Recipe, part: str, **changes: Any) -> Recipe:
    return dataclasses.replace(recipe, **{part: dataclasses.replace(getattr(recipe, part), **changes)})


def _gb(size: float) -> str:
    return f"{size / 2**30:.1f} GiB"
