"""The course that every run takes: what is made ready before the first step, and what is kept after the last.

Called by each method, whose own file holds what only it does: its rows, its model, its trainer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lunheng.errors import DataError, MissingExtraError, TrainingError
from lunheng.models.llms.hugging_face.own_code import own_code
from lunheng.tuning.adapters.upkeep import save, tend
from lunheng.tuning.bases import base_folder, hub_offline
from lunheng.tuning.curves import CURVES, draw_curves
from lunheng.tuning.data.examples import Example, Problem
from lunheng.tuning.data.loading import write_quarantine
from lunheng.tuning.made_of import made_of
from lunheng.tuning.manifest import (
    Manifest,
    lineage_of,
    machine,
    now,
    read_manifest,
    versions,
    write_manifest,
)
from lunheng.tuning.on_disk import AT_A_TIME, Columns, write_rows
from lunheng.tuning.planning.architectures import architecture
from lunheng.tuning.planning.disk import refuse_full, written_by
from lunheng.tuning.planning.hardware import Hardware, probe, shared_out
from lunheng.tuning.planning.memory import SHORTEST, choices, settle, with_choices
from lunheng.tuning.planning.peak import begin_peak, peak_memory
from lunheng.tuning.planning.refusals import refuse, refuse_start
from lunheng.tuning.planning.threads import as_begun, in_threads
from lunheng.tuning.preflight import HasLength, Prepared
from lunheng.tuning.recipes import Recipe, as_plain, write_recipe
from lunheng.tuning.registry import register
from lunheng.tuning.resuming import Resume, checkpoint_of, forget_after, step_of
from lunheng.tuning.sampling import group_by_length
from lunheng.tuning.sides import read_sides
from lunheng.tuning.templates import apply_template
from lunheng.tuning.trackers import refuse_missing, tracked
from lunheng.tuning.weights import fingerprint, size

if TYPE_CHECKING:
    from lunheng.tuning.callbacks import Report

Row = TypeVar("Row", bound=HasLength)
QUARANTINE = "quarantine.jsonl"
LOG = "log.jsonl"
RECIPE = "recipe.toml"
MODEL = "model"
"""The folder in a run's output that holds what was trained: an adapter, or a whole model."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a run."""

    output: Path
    manifest: Manifest
    first_loss: float
    last_loss: float

    @property
    def model(self) -> Path:
        """The folder of what was trained."""
        return self.output / MODEL

    @property
    def steps(self) -> int:
        """Optimiser steps taken, those before a resumption included."""
        return self.manifest.steps

    @property
    def left_out(self) -> int:
        """Examples that went to quarantine."""
        return self.manifest.examples["left_out"]


@dataclass(slots=True)
class Run:
    """A run on its way. ``problems`` and ``warnings`` grow while rows are rendered and the model is loaded."""

    recipe: Recipe
    base: str
    """The base model's folder."""
    training: tuple[Example, ...]
    held: tuple[Example, ...]
    manifest: Manifest
    checkpoint: Path | None
    """Where a resumed run goes on."""
    report: Report | None
    problems: list[Problem]
    warnings: list[str]
    hardware: Hardware
    added_tokens: int = 0
    kept: tuple[int, int] | None = None
    """Rows that are trained on and held out, where they were rendered; None: all examples."""

    def tokenizer(self) -> Any:
        """The base model's, with the recipe's chat template where it names one (or needs none: raw text)."""
        from transformers import AutoTokenizer

        with hub_offline(), own_code(self.base, self.recipe.model.trust_code) as trusted:
            tokenizer = AutoTokenizer.from_pretrained(self.base, trust_remote_code=trusted)
        if trusted:
            self.warnings.append(f"model.trust_code: Python that lies in {self.base} was run")
        if self.recipe.kind != "text":
            self.added_tokens, warning = apply_template(tokenizer, self.recipe.model.template)
            if warning:
                self.warnings.append(warning)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    @property
    def tokens(self) -> Path:
        """Where tokenised rows lie while it trains: each process has its own, so that none waits for another."""
        return self.recipe.output / f"tokens-{os.environ.get('RANK', '0')}"

    @contextmanager
    def rows(
        self,
        tokenizer: Any,
        prepare: Callable[..., Prepared[Row]],
        columns: Columns,
        as_row: Callable[[Row], Mapping[str, Any]],
    ) -> Iterator[tuple[Any, Any]]:
        """Both sides rendered by ``prepare`` (of ``preflight``), as data sets that are read from the disk meanwhile.

        What is of no use, or was cut, is counted and named. Nothing held out gives None.

        Raises:
            DataError: as ``prepare``.
        """
        data = self.recipe.data
        found: list[Problem] = []
        longest, kept = [1], [0, 0]

        def rendered(side: int, examples: Sequence[Example], too_long: str) -> Iterator[Mapping[str, Any]]:
            for start in range(0, len(examples), AT_A_TIME):
                some = prepare(tokenizer, examples[start : start + AT_A_TIME], data.window, too_long)
                found.extend(some.problems)
                kept[side] += some.examples
                longest[0] = max(longest[0], *(row.length for row in some.rows), 1)
                yield from map(as_row, some.rows)

        measured = "data.evaluation" if data.evaluation else "data.validation_share"
        lenient = "truncate" if data.too_long == "refuse" else data.too_long
        sides = ("data.train", self.training, data.too_long), (measured, self.held, lenient)
        made: list[Any] = []
        try:
            for side, (name, examples, too_long) in enumerate(sides):
                before = len(found)
                made.append(write_rows(rendered(side, examples, too_long), columns, self.tokens / f"{name}.arrow"))
                if made[-1] is None and (name == "data.train" or examples):
                    first = f"; the first: {found[before].origin}: {found[before].message}"
                    raise DataError(f"{name}: no example is left of {len(found) - before}{first}")
            self.problems += found
            self.training = ()  # the texts are of no use any more, and may be many
            self.kept = kept[0], kept[1]
            if len(made[0]) > kept[0]:
                self.warnings.append(
                    f"model.template: rewrites earlier turns, so that {kept[0]:,} conversations are {len(made[0]):,} rows, "
                    "one for each turn of the assistant"
                )
            for kind, count in Counter(p.kind for p in found if not p.fatal).items():
                one = next(p for p in found if p.kind == kind)
                self.warnings.append(f"{kind}: {count} of the examples; the first: {one.origin}: {one.message}")
            self.settle(longest[0])
            yield made[0], made[1]
        finally:
            shutil.rmtree(self.tokens, ignore_errors=True)

    def settle(self, longest: int | None = None) -> None:
        """Choose what the recipe leaves open so that the run fits into memory; a resumed run keeps what was chosen.

        Args:
            longest: tokens of the longest example; None: as many as the recipe's window.

        Raises:
            OutOfMemoryPredictedError: nothing that the recipe leaves open makes it fit.
        """
        if not self.manifest.settled:
            window = None if self.recipe.data.packing else longest
            self.recipe, estimate = settle(
                self.recipe, architecture(self.base, self.recipe.model.trust_code), self.hardware, window=window
            )
            self._note(settled=choices(self.recipe), estimate=dict(estimate.parts))
        self.recipe = with_choices(self.recipe, self.manifest.settled)

    def refuse_hopeless(self) -> None:
        """Refuse what would not fit with the shortest of examples, where the model is loaded to know their lengths.

        Raises:
            OutOfMemoryPredictedError: as ``settle``.
        """
        if not self.manifest.settled:
            settle(self.recipe, architecture(self.base, self.recipe.model.trust_code), self.hardware, window=SHORTEST)

    def train(self, trainer: Any, *, bounded: bool = True) -> Trained:
        """Train, measure, save; the manifest says what came of it also where it goes wrong.

        Args:
            trainer: transformers', TRL's or sentence-transformers' own, ready to train.
            bounded: whether a loss that rises far is a sign of divergence (it is not for a policy's).

        Raises:
            ConfigError: what it writes does not fit on the disk.
            TrainingError: it diverged, or no parameter has changed.
        """
        from lunheng.tuning.callbacks import Divergence, Log, Progress, Stop, read_log

        if _writes():
            refuse_full(self.recipe, written_by(self.recipe, trainer.model, trainer.args), self.hardware.disk)
        log, stop = self.recipe.output / LOG, Stop()
        at = step_of(self.checkpoint) if self.checkpoint else 0
        watchers: list[Any] = [Divergence(bounded), stop]
        if _writes():
            watchers.append(Log(log, at))
            if self.checkpoint:
                forget_after(self.recipe.output, at)
        if self.report:
            watchers.append(Progress(self.report))
        if self.recipe.training.patience:
            from transformers import EarlyStoppingCallback

            watchers.append(EarlyStoppingCallback(self.recipe.training.patience))
        for watcher in watchers:
            trainer.add_callback(watcher)
        _without_printing(trainer)
        tend(self, trainer)
        if self.recipe.training.by_length and not self.recipe.data.packing:
            group_by_length(trainer, self.recipe.training.seed)
        self._note(
            parameters={
                "all": sum(size(p) for p in trainer.model.parameters()),
                "trained": sum(size(p) for p in trainer.model.parameters() if p.requires_grad),
            },
            examples={
                "trained": self.kept[0] if self.kept else len(self.training),
                "held_out": self.kept[1] if self.kept else len(self.held),
                "left_out": write_quarantine(self.problems, self.recipe.output / QUARANTINE) if _writes() else 0,
            },
            warnings=tuple(dict.fromkeys(self.warnings)),
        )
        began = time.monotonic()
        begin_peak(self.hardware.device)
        try:
            followed = tracked(self.recipe, trainer) if _writes() else nullcontext()
            with hub_offline(), in_threads(self.hardware.threads), followed:
                if self.held and not self.manifest.before:
                    self._measure_before(trainer)
                before = fingerprint(trainer.model)
                trainer.train(resume_from_checkpoint=str(self.checkpoint) if self.checkpoint else None)
                if fingerprint(trainer.model) == before:
                    raise TrainingError(
                        "no parameter has changed: nothing was trained; is the learning rate "
                        f"{trainer.args.learning_rate:g}, and is there anything to learn in the data?"
                    )
                after = _measured(trainer) if self.held and not stop.asked else {}
                save(self, trainer, self.recipe.output / MODEL)
        except BaseException as error:
            self._note(status="failed", ended=now(), error=f"{type(error).__name__}: {error}")
            raise
        finally:
            stop.release()
        entries = read_log(log)
        if _writes():
            draw_curves(entries, self.recipe.output / CURVES)
        self._note(
            status="stopped" if stop.asked else "done",
            ended=now(),
            metrics=after,
            steps=trainer.state.global_step,
            seconds=self.manifest.seconds + time.monotonic() - began,
            peak_bytes=peak_memory(self.hardware.device),
        )
        if _writes():
            register(self.recipe.output)
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        return Trained(self.recipe.output, self.manifest, losses[0], losses[-1])

    def _measure_before(self, trainer: Any) -> None:
        """What the held-out examples say of the model that it begins as, where that can be asked.

        Transformers can train no more after it has measured on DeepSpeed (ZeRO-2 refuses, ZeRO-3 loses its engine).
        """
        if trainer.is_deepspeed_enabled:
            self.warnings.append(
                f"parallel.strategy: {self.recipe.parallel.strategy} cannot measure before the first step, so that what "
                "is measured after the last has nothing beside it; ddp and fsdp can"
            )
            self._note(warnings=tuple(dict.fromkeys(self.warnings)))
        else:
            self._note(before=_measured(trainer))

    def _note(self, **changes: Any) -> None:
        """Change the manifest, in memory and on the disk."""
        self.manifest = dataclasses.replace(self.manifest, **changes)
        if _writes():
            write_manifest(self.manifest, self.recipe.output)


def begin(
    recipe: Recipe, resume: Resume = False, report: Report | None = None, find_base: Callable[[str], str] = base_folder
) -> Run:
    """Read the data and find the base, before anything that takes memory.

    Args:
        find_base: gives the folder of the model that the recipe names; a language model's by default.

    Raises:
        ConfigError: the output folder holds another run, there is nothing to resume, or this machine cannot run it.
        DataError, ModelError, MissingExtraError: as ``load`` and ``base_folder``.
    """
    try:
        from transformers import set_seed
    except ImportError as error:
        raise MissingExtraError("transformers", "tune") from error
    hardware = shared_out(probe(recipe.output), recipe)
    refuse(recipe, hardware)
    refuse_start(recipe)
    refuse_missing(recipe)
    base = find_base(recipe.model.name)
    sides = read_sides(recipe)
    manifest = _manifest(recipe, base, sides.digests, hardware.threads)
    checkpoint = checkpoint_of(recipe.output, manifest, resume)
    if checkpoint is not None:
        earlier = read_manifest(recipe.output)
        hardware = as_begun(hardware, earlier.machine)
        manifest = dataclasses.replace(
            manifest,
            machine=machine(hardware.threads),
            before=earlier.before,
            seconds=earlier.seconds,
            started=earlier.started,
            settled=earlier.settled,
            estimate=earlier.estimate,
        )
    set_seed(recipe.training.seed)
    if _writes():
        write_recipe(recipe, recipe.output / RECIPE)
        write_manifest(manifest, recipe.output)
    problems, warnings = list(sides.problems), _leak_warnings(sides.problems)
    return Run(recipe, base, sides.training, sides.held, manifest, checkpoint, report, problems, warnings, hardware)


def _leak_warnings(problems: Sequence[Problem]) -> list[str]:
    leaked = [problem for problem in problems if problem.kind == "leak"]
    if not leaked:
        return []
    first = f"the first: {leaked[0].origin}: {leaked[0].message}"
    return [f"leak: {len(leaked)} of the examples are asked by data.evaluation too and are left out; {first}"]


def _manifest(recipe: Recipe, base: str, digests: Mapping[str, str], threads: int) -> Manifest:
    plain = as_plain(recipe)
    fixed = {key: value for key, value in plain.items() if key != "output"}
    models = made_of(recipe, base)
    text = json.dumps([fixed, dict(digests), models], sort_keys=True, default=str)
    return Manifest(
        id=hashlib.blake2b(text.encode(), digest_size=6).hexdigest(),
        method=recipe.method,
        mode=recipe.parameters.mode,
        base=recipe.model.name,
        base_folder=base,
        recipe=plain,
        data=digests,
        models=models,
        seed=recipe.training.seed,
        started=now(),
        versions=versions(),
        machine=machine(threads),
        lineage=lineage_of(base),
    )


def _measured(trainer: Any) -> dict[str, float]:
    """What the trainer's evaluation gives, without how fast it was."""
    found = trainer.evaluate()
    speed = ("_runtime", "_per_second", "_num_tokens", "_time")
    return {
        key.removeprefix("eval_"): float(value)
        for key, value in found.items()
        if isinstance(value, int | float) and not key.endswith(speed) and key.startswith("eval_")
    }


def _without_printing(trainer: Any) -> None:
    """Transformers prints each log as a dictionary where its bar is off; ours is shown instead."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _writes() -> bool:
    """Whether this process writes the run's files: the first of all, on however many machines."""
    return os.environ.get("RANK", "0") == "0"
