"""The loop of proximal policy optimisation, as a transformers trainer. Called by ``ppo``.

A batch of completions is written and judged, then learnt from several times; a step of the trainer is one optimiser
update. Saving, resuming, schedules and callbacks are the trainer's own. TRL has dropped its loop; this is one of our own,
short enough to be read.

**The values** come from a linear head on the policy's last hidden states, whose gradient stops there: a head that
begins from nothing (all values 0) does not pull at the policy, and there is no second model in memory. It has its own
optimiser.

Like ``callbacks``, this module needs transformers to be imported.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from lunheng.tuning.data.examples import Prompt
from lunheng.tuning.llm import proximal
from lunheng.tuning.llm.policy import Task, encoded, still, write
from lunheng.tuning.llm.reference import reference_of
from lunheng.tuning.reinforcement_parts import ProximalPart

STATE = "ppo.pt"
"""In a checkpoint: the value head, its optimiser, the penalty's coefficient, and the completions that are learnt from."""


@dataclass(frozen=True)
class Rollout:
    """Completions that were written by the policy, and what is learnt from them.

    Prompt and completion stand at the left of each row. Tensors but the first two are of (rows, tokens - 1): the place t
    is where the token t + 1 was chosen.
    """

    ids: Tensor
    attention: Tensor
    mask: Tensor
    """Where a token of the completion was chosen."""
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def rows(self, places: Tensor) -> Rollout:
        """Some of its rows."""
        return Rollout(**{f.name: getattr(self, f.name)[places] for f in dataclasses.fields(self)})


class ProximalTrainer(Trainer):  # type: ignore[misc]
    """Trains ``model`` on the task's prompts.

    Args:
        args: a batch of ``args`` is a minibatch; ``part.minibatches`` of them are written at a time.
    """

    loss_is_scaled_for_ga = True  # each part of a minibatch is divided by the tokens of the whole

    def __init__(self, model: Any, args: Any, tokenizer: Any, task: Task, part: ProximalPart) -> None:
        self._task, self._part, self._tokenizer = task, part, tokenizer
        self._minibatch = args.per_device_train_batch_size * args.gradient_accumulation_steps
        args._n_gpu = min(args.n_gpu, 1)  # else the trainer would spread a batch over all that it sees
        super().__init__(
            model=model,
            args=args,
            data_collator=lambda places: {"places": torch.tensor(places)},
            train_dataset=range(args.max_steps * self._minibatch),
            eval_dataset=range(len(task.held)) if task.held else None,
            processing_class=tokenizer,
        )
        self._prompts = [encoded(tokenizer, prompt) for prompt in task.prompts]
        self._reference = reference_of(model)
        self._kl = task.reward.kl
        self._head = torch.nn.Linear(model.config.get_text_config().hidden_size, 1).to(args.device)
        # No opinion at first: values drawn at random would be noise of the rewards' own size in every advantage.
        torch.nn.init.zeros_(self._head.weight)
        torch.nn.init.zeros_(self._head.bias)
        self._head_optimizer = torch.optim.Adam(self._head.parameters(), lr=part.value_learning_rate)
        self._rollout: Rollout | None = None
        self._number = -1
        self._told: dict[str, list[float]] = defaultdict(list)

    def _get_train_sampler(self, *_: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: most of the work is writing."""
        return 0

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """A part of a minibatch; after the last part the value head takes its step too."""
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        if self.accelerator.sync_gradients:
            self._head_optimizer.step()
            self._head_optimizer.zero_grad()
        return loss

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """The clipped losses of policy and values."""
        update, first = divmod(int(inputs["places"][0]), self._minibatch)
        number, turn = divmod(update, self._part.epochs * self._part.minibatches)
        if number != self._number or self._rollout is None:
            self._rollout, self._number = self._roll_out(number), number
        order = self._shuffled(number, turn // self._part.minibatches)
        begin = turn % self._part.minibatches * self._minibatch
        whole = order[begin : begin + self._minibatch]
        tokens = self._rollout.mask[whole].sum()
        rows = self._rollout.rows(whole[first : first + len(inputs["places"])])
        logprobs, values, _ = self._read(model, rows.ids, rows.attention)
        each, clipped = proximal.policy_loss(logprobs, rows.logprobs, rows.advantages, self._part.clip)
        errors = proximal.value_loss(values, rows.values, rows.returns, self._part.value_clip)
        policy, value = (each * rows.mask).sum() / tokens, (errors * rows.mask).sum() / tokens
        with torch.no_grad():
            moved = logprobs - rows.logprobs
            self._tell(
                ["policy_loss", "value_loss", "clipped_share", "moved_kl"],
                [
                    policy,
                    value,
                    (clipped * rows.mask).sum() / tokens,
                    (moved.exp() - 1 - moved)[rows.mask].sum() / tokens,
                ],
            )
        return policy + value

    def _roll_out(self, number: int) -> Rollout:
        """Write and judge the completions of a batch, and estimate what each of their tokens was worth."""
        chosen = self._chosen(number)
        prompts = [self._prompts[n] for n in chosen]
        reward, part = self._task.reward, self._part
        written = write(self.model, self._tokenizer, prompts, reward.completion_tokens, reward.temperature)
        self.state.num_input_tokens_seen += sum(map(len, prompts)) + sum(map(len, written))
        ids, attention, mask = (t.to(self.args.device) for t in self._laid_out(prompts, written))
        with torch.no_grad(), still(self.model):
            logprobs, values, entropy = self._in_parts(self.model, ids, attention)
            with self._reference() as reference, still(reference):
                before, _, _ = self._in_parts(reference, ids, attention)
        given = self._judged([self._task.prompts[n] for n in chosen], written)
        ended = torch.tensor([row[-1] == self._tokenizer.eos_token_id for row in written])
        scores = torch.tensor(given) - part.missing_end_penalty * (~ended).float()
        rewards = proximal.token_rewards(scores.to(ids.device), logprobs, before, mask, self._kl)
        if part.whiten_rewards:
            rewards = proximal.whiten(rewards, mask, shift=False)
        advantages, returns = proximal.advantages(rewards, values, mask, part.gamma, part.gae_lambda)
        strayed = float(((logprobs - before) * mask).sum(1).mean())
        unexplained = proximal.masked_mean((returns - values) ** 2, mask)
        spread = proximal.masked_mean((returns - proximal.masked_mean(returns, mask)) ** 2, mask)
        self._tell(
            ["kl", "kl_coefficient", "entropy", "completion_tokens", "ended", "explained_variance"],
            [
                *(strayed, self._kl, proximal.masked_mean(entropy, mask), mask.sum(1).float().mean()),
                *((~ended).float().mean(), 1 - unexplained / spread.clamp(min=1e-8)),
            ],
        )
        if part.kl_target is not None:
            self._kl = proximal.steered(self._kl, strayed, part.kl_target, len(written), part.kl_horizon)
        return Rollout(ids, attention, mask, logprobs, values, proximal.whiten(advantages, mask), returns)

    def _judged(self, prompts: list[Prompt], written: list[list[int]]) -> list[float]:
        scores = self._task.judge.scores(prompts, self._tokenizer.batch_decode(written, skip_special_tokens=True))
        total = self._task.judge.total(scores)
        self._tell(["reward"], [sum(total) / len(total)])
        if len(scores) > 1:
            self._tell([f"reward_{name}" for name in scores], [sum(v) / len(v) for v in scores.values()])
        return total

    def _laid_out(self, prompts: list[list[int]], written: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Ids, attention mask, and mask of choices: without padding between, positions are what they always are."""
        width = max(len(p) + len(w) for p, w in zip(prompts, written, strict=True))
        ids = torch.full((len(prompts), width), self._tokenizer.pad_token_id)
        attention = torch.zeros((len(prompts), width), dtype=torch.long)
        mask = torch.zeros((len(prompts), width - 1), dtype=torch.bool)
        for row, (prompt, completion) in enumerate(zip(prompts, written, strict=True)):
            end = len(prompt) + len(completion)
            ids[row, :end] = torch.tensor(prompt + completion)
            attention[row, :end] = 1
            mask[row, len(prompt) - 1 : end - 1] = True
        return ids, attention, mask

    def _read(self, model: Any, ids: Tensor, attention: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logarithms of the chosen tokens' probabilities, values, and entropies, at each place but the last."""
        width = ids.shape[1]
        read = model(input_ids=ids, attention_mask=attention, output_hidden_states=True, use_cache=False)
        # Prompt tuning puts tokens of its own before the text's.
        logits = read.logits[:, -width:-1].float() / self._task.reward.temperature
        norms = logits.logsumexp(-1)
        logprobs = logits.gather(-1, ids[:, 1:].unsqueeze(-1)).squeeze(-1) - norms
        values = self._head(read.hidden_states[-1][:, -width:-1].detach().float()).squeeze(-1)
        with torch.no_grad():
            entropy = norms - ((logits - norms.unsqueeze(-1)).exp() * logits).sum(-1)
        return logprobs, values, entropy

    def _in_parts(self, model: Any, ids: Tensor, attention: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        size = self.args.per_device_train_batch_size
        parts = [self._read(model, *some) for some in zip(ids.split(size), attention.split(size), strict=True)]
        logprobs, values, entropy = (torch.cat(column) for column in zip(*parts, strict=True))
        return logprobs, values, entropy

    def _chosen(self, number: int) -> list[int]:
        """The prompts of a batch, each as often as it is answered: epoch after epoch, each in an order of its own."""
        each = self._minibatch * self._part.minibatches // self._task.reward.samples
        chosen: list[int] = []
        for place in range(number * each, (number + 1) * each):
            epoch, at = divmod(place, len(self._prompts))
            chosen += [int(_order(len(self._prompts), self.args.seed, epoch)[at])] * self._task.reward.samples
        return chosen

    def _shuffled(self, number: int, turn: int) -> Tensor:
        """The order in which a batch's rows are learnt from."""
        return _order(self._minibatch * self._part.minibatches, self.args.seed, number, turn)

    def _tell(self, names: list[str], values: list[Any]) -> None:
        for name, value in zip(names, values, strict=True):
            self._told[name].append(float(value))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Beside the losses, what the last batch of completions was like, in the step that has written it."""
        if "loss" in logs:
            parts = self.args.gradient_accumulation_steps
            for name, values in self._told.items():
                summed = name in ("policy_loss", "value_loss", "clipped_share", "moved_kl")
                logs[name] = sum(values) * (parts if summed else 1) / len(values)
            self._told.clear()
        super().log(logs, start_time)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        rollout = None if self._rollout is None else {k: v.cpu() for k, v in vars(self._rollout).items()}
        state = {
            "head": self._head.state_dict(),
            "optimizer": self._head_optimizer.state_dict(),
            "kl": self._kl,
            "number": self._number,
            "rollout": rollout,
        }
        torch.save(state, Path(output_dir) / STATE)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        state = torch.load(Path(checkpoint) / STATE, map_location=self.args.device, weights_only=True)
        self._head.load_state_dict(state["head"])
        self._head_optimizer.load_state_dict(state["optimizer"])
        self._kl, self._number = state["kl"], state["number"]
        self._rollout = None if state["rollout"] is None else Rollout(**state["rollout"])


def _order(size: int, *seeds: int) -> Tensor:
    """A permutation that hangs on ``seeds`` alone."""
    chance = torch.Generator()
    seed = 0
    for one in seeds:
        seed = (seed * 1_000_003 + one) % 2**63
    return torch.randperm(size, generator=chance.manual_seed(seed))
