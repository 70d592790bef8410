"""Measures a fine-tuned language model and the one whose place it would take, for the gate.

Called by ``lunheng models promote``. One model is in memory at a time, but where their answers are compared in pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lunheng.evaluation.model import TaskOptions, TaskResult, run_task
from lunheng.models.llms.hugging_face import HuggingFaceLLM
from lunheng.protocols import LLM, LikelihoodModel
from lunheng.tuning.manifest import Manifest
from lunheng.tuning.release.gate import ALLOWED_FORGETTING, Weighed, decided_by, forgotten, safe
from lunheng.tuning.release.held_out import Advance, held_out
from lunheng.tuning.trained import TrainedModel

Shown = Callable[[str], AbstractContextManager[Advance]]
"""Gives a progress bar for what is named."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What is measured, beside the general set, which always is."""

    data: Path | None = None
    """None: the examples that the run itself held out."""
    task: str = "answers"
    """Of ``evaluation.model``, on ``data``."""
    metric: str | None = None
    """Of the task; None: the first by which the models can be compared."""
    safety: Path | None = None
    judge: LLM | None = None
    judge_name: str = ""
    allowed: float = ALLOWED_FORGETTING
    max_tokens: int = 512
    limit: int | None = None

    def options(self, data: Path | None) -> TaskOptions:
        """For a task on ``data``."""
        return TaskOptions(data, self.limit, self.max_tokens, judge=self.judge, judge_name=self.judge_name)


def weigh(
    run: Path,
    model: TrainedModel,
    manifest: Manifest,
    other: tuple[LLM, str],
    measures: Measures,
    shown: Shown,
) -> Weighed:
    """Measure what the run in ``run`` has trained beside ``other``, given with its name. Both are closed after it.

    Without data, the gain is that over the run's base, whatever ``other`` is: another model reads other tokens.

    Raises:
        ConfigError, DataError, ModelError: as of ``run_task`` and ``held_out``.
    """
    mine = HuggingFaceLLM(run)
    if measures.data is None:
        with shown("held-out examples") as advance:
            domain = held_out(run, model, manifest, advance)
    elif measures.task == "pairwise":
        with shown("pairwise") as advance:
            options = measures.options(measures.data)
            found = run_task("pairwise", mine, mine.name, options, baseline=other[0], progress=advance)
        domain = decided_by(found, None, measures.metric)
    each = [_measured(llm, name, measures, shown) for llm, name in ((mine, mine.name), other)]
    if measures.data is not None and measures.task != "pairwise":
        domain = decided_by(each[0]["domain"], each[1]["domain"], measures.metric)
    if "forgetting" not in each[1]:  # a server tells no likelihoods: then what it forgot is what its base knew
        base = base_of(model, manifest)
        each[1]["forgetting"] = _measured(base, base.name, Measures(), shown)["forgetting"]
    return Weighed(
        domain,
        forgotten(each[0]["forgetting"], each[1]["forgetting"]),
        safe(each[0]["safety"], each[1]["safety"]) if measures.safety else (),
        measures.allowed,
    )


def base_of(model: TrainedModel, manifest: Manifest) -> HuggingFaceLLM:
    """What the run began with."""
    return HuggingFaceLLM(model.base or manifest.base_folder, trust_code=model.trust_code)


def _measured(llm: LLM, name: str, measures: Measures, shown: Shown) -> dict[str, TaskResult]:
    found: dict[str, TaskResult] = {}
    wanted: list[tuple[str, str, Path | None]] = []
    if measures.data is not None and measures.task != "pairwise":
        wanted.append(("domain", measures.task, measures.data))
    if measures.safety is not None:
        wanted.append(("safety", "safety", measures.safety))
    if isinstance(llm, LikelihoodModel):
        wanted.append(("forgetting", "forgetting", None))
    for key, task, data in wanted:
        with shown(f"{name}: {task}") as advance:
            options = measures.options(data) if data else TaskOptions()  # the general set is small, and read whole
            found[key] = run_task(task, llm, name, options, progress=advance)
    if close := getattr(llm, "close", None):
        close()
    return found
