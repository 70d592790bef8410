"""What GRPO and RLOO share: several completions of each prompt, each judged against its siblings. Called by both.

TRL's trainers do the learning. Set around them here: our judge, a greedy measurement, an order of prompts that a resumed
run keeps, and the reference that the parameter mode calls for.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lunheng.errors import DataError
from lunheng.tuning.arguments import arguments
from lunheng.tuning.llm.judge import Part
from lunheng.tuning.llm.policy import Task, encoded, make_task, measure_greedily
from lunheng.tuning.modes import CHANGES_BASE, adapter_config, parameters_of, ready
from lunheng.tuning.recipes import Recipe
from lunheng.tuning.resuming import Resume
from lunheng.tuning.run import Trained, begin
from lunheng.tuning.sampling import ByEpoch

if TYPE_CHECKING:
    from lunheng.tuning.callbacks import Report


def train_by_groups(
    recipe: Recipe, trainer_class: Any, config_class: Any, resume: Resume, report: Report | None
) -> Trained:
    """Train with TRL's ``trainer_class``; see ``methods.train``.

    Raises:
        DataError: there are fewer prompts than a step takes.
    """
    run = begin(recipe, resume, report)
    tokenizer = run.tokenizer()
    task = make_task(run, tokenizer)
    run.settle()
    recipe = run.recipe
    reward, each_step = task.reward, recipe.training.batch // task.reward.samples
    if len(task.prompts) < each_step:
        raise DataError(
            f"{len(task.prompts)} prompts are fewer than the {each_step} of a step (training.batch / reward.samples); "
            "lower training.batch, or add prompts"
        )
    settings = arguments(
        recipe,
        config_class,
        len(task.prompts) * reward.samples,
        held=bool(task.held),
        best="eval_reward",
        greater=True,
        num_generations=reward.samples,
        num_generations_eval=1,
        max_completion_length=reward.completion_tokens,
        temperature=reward.temperature,
        beta=reward.kl,
        reward_weights=[part.weight for part in task.judge.parts],
        disable_dropout=True,
        include_num_input_tokens_seen="no",  # TRL counts them, completions included
    )
    base = ready(run, tokenizer)
    reference = copy.deepcopy(base).eval().requires_grad_(False) if recipe.parameters.mode in CHANGES_BASE else None
    trainer = trainer_class(
        model=base,
        reward_funcs=[_reward(part, task) for part in task.judge.parts],
        args=settings,
        processing_class=tokenizer,
        train_dataset=_rows(len(task.prompts)),
        eval_dataset=_rows(len(task.held)) if task.held else None,
        # Put on by TRL, an adapter that is off is the reference; one that is there already gets a second beside it.
        peft_config=adapter_config(base, parameters_of(run), settings.max_steps),
    )
    if reference is not None and reward.kl:
        from trl.trainer.utils import add_fused_lm_head

        add_fused_lm_head(reference, temperature=settings.temperature)
        trainer.ref_model = trainer.accelerator.prepare_model(reference, evaluation_mode=True)
    trainer._tokenize_prompts = functools.partial(_prompt_ids, [encoded(tokenizer, p) for p in task.prompts])
    _keep_order(trainer, reward.samples)
    _log_by_our_names(trainer)
    measure_greedily(trainer, tokenizer, task)
    return run.train(trainer, bounded=False)


_NAMES = {
    "reward": "reward",
    "reward_std": "reward_spread",
    "frac_reward_zero_std": "groups_without_spread",
    "kl": "kl",
    "entropy": "entropy",
    "completions/mean_length": "completion_tokens",
    "completions/clipped_ratio": "cut_off",
}
"""What is kept of TRL's metrics, by the names of ``ppo_trainer`` where it has them; the others are of no use here: clip
ratios of probabilities that have not moved yet, lengths six times over."""


def _log_by_our_names(trainer: Any) -> None:
    log = trainer.log

    def renamed(logs: dict[str, float], start_time: float | None = None) -> None:
        metrics = trainer._metrics["train" if trainer.model.training else "eval"]
        names = _NAMES | {f"rewards/{name}/mean": f"reward_{name}" for name in trainer.reward_func_names}
        kept = {names[name]: values for name, values in metrics.items() if name in names}
        metrics.clear()
        metrics.update(kept)
        log(logs, start_time)

    trainer.log = renamed


def _rows(count: int) -> Any:
    """One message for each prompt that only says which it is: TRL would render them without their tools, and Arrow would
    give every call the arguments of all."""
    from datasets import Dataset

    return Dataset.from_list([{"prompt": [{"role": "user", "content": str(n)}], "number": n} for n in range(count)])


def _prompt_ids(known: Sequence[Sequence[int]], prompts: Sequence[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
    """What TRL asks for: the token ids of what ``_rows`` has named, no pictures, and nothing beside."""
    return [list(known[int(prompt[-1]["content"])]) for prompt in prompts], None, {}


def _reward(part: Part, task: Task) -> Callable[..., list[float]]:
    """A part of the judge in the form of TRL's reward functions."""

    def score(completions: Sequence[Any], number: Sequence[int], **_: Any) -> list[float]:
        return part.score([task.prompts[n] for n in number], [said[0]["content"] for said in completions])

    score.__name__ = part.name
    return score


def _keep_order(trainer: Any, samples: int) -> None:
    """Each epoch's order from the seed: TRL draws all from one generator, which a resumed run has not."""
    from trl.trainer.utils import RepeatSampler

    sampler = functools.partial(
        RepeatSampler,
        trainer.train_dataset,
        mini_repeat_count=samples,
        batch_size=trainer.args.generation_batch_size // samples,
        repeat_count=trainer.args.steps_per_generation,
    )
    trainer._get_train_sampler = lambda *_: ByEpoch(lambda seed: sampler(seed=seed), trainer.args.seed)
