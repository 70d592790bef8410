"""A language model as a policy: the prompts that it is given, what it writes, and what that is worth.

Called by ``grpo``, ``rloo`` and ``ppo``, which differ in how they learn from it. All three are measured alike: the model
answers each held-out prompt once, taking its likeliest token each time, so that the figures before and after have no
noise of sampling in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lunheng.errors import ConfigError, DataError
from lunheng.tuning.data.examples import Problem, Prompt
from lunheng.tuning.llm.judge import Judge, check_answers, make_judge
from lunheng.tuning.messages import text_of_turns
from lunheng.tuning.reinforcement_parts import WRITTEN_AT_A_TIME, RewardPart

if TYPE_CHECKING:
    from lunheng.tuning.run import Run


@dataclass(frozen=True, slots=True)
class Task:
    """What a policy is to do, and how it is judged."""

    prompts: tuple[Prompt, ...]
    held: tuple[Prompt, ...]
    reward: RewardPart
    judge: Judge


def make_task(run: Run, tokenizer: Any) -> Task:
    """The run's prompts that fit its window, and its judge; what does not fit goes to the run's problems.

    Raises:
        ConfigError: the window has no room for a completion, a reward cannot be loaded, or the template adds tokens.
        DataError: a prompt is over the window and that is refused, or none is left, or it lacks a reference answer.
    """
    reward = run.recipe.reward
    assert reward is not None
    room = run.recipe.data.window - reward.completion_tokens
    if room < 1:
        raise ConfigError(
            f"reward.completion_tokens: {reward.completion_tokens} leave no room for a prompt in data.window, "
            f"{run.recipe.data.window}; raise the window"
        )
    if run.added_tokens:
        raise ConfigError(
            f"model.template: adds {run.added_tokens} tokens that the model has never seen, so that it could only "
            f"write nonsense; teach it the template with sft first, then {run.recipe.method}"
        )
    training: Sequence[Prompt] = run.training  # type: ignore[assignment]
    held: Sequence[Prompt] = run.held  # type: ignore[assignment]
    check_answers(reward, (*training, *held))
    kept = [_fitting(run, tokenizer, side, room) for side in (training, held)]
    for name, side, left in (("data.train", training, kept[0]), ("data.evaluation", held, kept[1])):
        if side and not left:
            raise DataError(f"{name}: no prompt is left of {len(side)}, all are over the window; raise data.window")
    run.kept = len(kept[0]), len(kept[1])
    return Task(kept[0], kept[1], reward, make_judge(reward))


def _fitting(run: Run, tokenizer: Any, prompts: Sequence[Prompt], room: int) -> tuple[Prompt, ...]:
    kept = []
    for prompt in prompts:
        length = len(encoded(tokenizer, prompt))
        if length <= room:
            kept.append(prompt)
            continue
        over = f"a prompt of {length:,} tokens, where {room:,} leave room for a completion"
        if run.recipe.data.too_long == "refuse":
            raise DataError(f'{prompt.origin}: {over}; raise data.window, or say data.too_long = "drop"')
        run.problems.append(Problem(prompt.origin, "too long", f"{over}: left out"))
    return tuple(kept)


def encoded(tokenizer: Any, prompt: Prompt) -> list[int]:
    """Token ids of a prompt, up to where the assistant begins to speak."""
    text = text_of_turns(tokenizer, prompt.origin, prompt.turns, prompt.tools, prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def write(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], tokens: int, temperature: float
) -> list[list[int]]:
    """A completion of each prompt, its end token included where it ends by itself.

    Args:
        prompts: token ids.
        tokens: of a completion at the most.
        temperature: 0 takes the likeliest token each time; otherwise tokens are drawn from the whole distribution.
    """
    import torch
    from transformers import GenerationConfig

    # What the model's own settings say of these would be another distribution than the one that is trained.
    drawn = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    config = GenerationConfig(
        max_new_tokens=tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        repetition_penalty=1.0,
        disable_compile=True,
        **(drawn if temperature else {"do_sample": False}),
    )
    written: list[list[int]] = []
    with still(model), torch.no_grad():
        for start in range(0, len(prompts), WRITTEN_AT_A_TIME):
            some = prompts[start : start + WRITTEN_AT_A_TIME]
            width = max(map(len, some))
            ids = torch.full((len(some), width), tokenizer.pad_token_id)
            mask = torch.zeros((len(some), width), dtype=torch.long)
            for row, prompt in enumerate(some):
                ids[row, width - len(prompt) :] = torch.tensor(prompt)
                mask[row, width - len(prompt) :] = 1
            device = model.device
            made = model.generate(input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=config)
            written += [_up_to_end(row, tokenizer.eos_token_id) for row in made[:, width:].tolist()]
    return written


def _up_to_end(ids: list[int], end: int) -> list[int]:
    return ids[: ids.index(end) + 1] if end in ids else ids


@contextmanager
def still(model: Any) -> Iterator[None]:
    """``model`` as it answers, without dropout and without recomputed activations; then as it was."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def measure(model: Any, tokenizer: Any, task: Task) -> dict[str, float]:
    """Means over the held-out prompts: the reward, each part of it, the completions' length, and the share
    that does not end by itself.

    The names begin with ``eval_``, as transformers' own.
    """
    prompts = [encoded(tokenizer, prompt) for prompt in task.held]
    written = write(model, tokenizer, prompts, task.reward.completion_tokens, temperature=0)
    texts = tokenizer.batch_decode(written, skip_special_tokens=True)
    scores = task.judge.scores(task.held, texts)
    columns = {
        "reward": task.judge.total(scores),
        **{f"reward_{name}": values for name, values in scores.items() if len(scores) > 1},
        "completion_tokens": [float(len(ids)) for ids in written],
        "cut_off": [float(ids[-1] != tokenizer.eos_token_id) for ids in written],
    }
    return {f"eval_{name}": sum(values) / len(values) for name, values in columns.items()}


def measure_greedily(trainer: Any, tokenizer: Any, task: Task) -> None:
    """Let transformers' ``trainer`` evaluate itself by ``measure``."""

    def evaluate(*_: Any, **__: Any) -> dict[str, float]:
        with still(trainer.model):
            found = measure(trainer.accelerator.unwrap_model(trainer.model), tokenizer, task)
            trainer.log(dict(found))
        trainer.control = trainer.callback_handler.on_evaluate(trainer.args, trainer.state, trainer.control, found)
        return found

    trainer.evaluate = evaluate
