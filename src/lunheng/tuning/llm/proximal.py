"""The arithmetic of proximal policy optimisation, on tensors of (completions, tokens). Called by ``ppo_trainer``.

Every tensor goes with a mask of the tokens that the policy wrote; what is outside of it, on whichever side, changes
nothing. Schulman et al. 2016 (advantages), Schulman et al. 2017 (clipping), Ziegler et al. 2019 (the penalty and how it
is steered); the details are those of Huang et al. 2024, "The N+ implementation details of RLHF with PPO".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def token_rewards(scores: Tensor, logprobs: Tensor, reference: Tensor, mask: Tensor, kl: float) -> Tensor:
    """Rewards of tokens: each pays for its divergence from the reference, the last one gets its completion's score.

    Args:
        scores: (completions,).
        logprobs: natural logarithms of the tokens' probabilities under the policy, and ``reference`` under it.
        kl: the coefficient.
    """
    import torch

    rewards = -kl * (logprobs - reference) * mask
    places = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
    last = (places * mask).argmax(dim=1, keepdim=True)
    return rewards.scatter_add(1, last, scores.to(rewards.dtype).unsqueeze(1))


def advantages(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, gae_lambda: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates, and the returns (advantage + value) that the values are to learn.

    Nothing follows a completion's last token: what was cut off by the limit of tokens is taken as it stands.
    """
    import torch

    estimates = torch.zeros_like(values)
    after = torch.zeros_like(values[:, 0])
    next_value = torch.zeros_like(values[:, 0])
    for t in range(values.shape[1] - 1, -1, -1):
        surprise = rewards[:, t] + gamma * next_value - values[:, t]
        estimate = surprise + gamma * gae_lambda * after
        here = mask[:, t]
        estimates[:, t] = torch.where(here, estimate, estimates[:, t])
        after = torch.where(here, estimate, after)
        next_value = torch.where(here, values[:, t], next_value)
    return estimates, (estimates + values) * mask


def masked_mean(tensor: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens of ``mask``."""
    return (tensor * mask).sum() / mask.sum()


def whiten(tensor: Tensor, mask: Tensor, shift: bool = True) -> Tensor:
    """Scale to a standard deviation of 1 (unbiased) over the tokens of ``mask``, and to a mean of 0 if ``shift``."""
    mean = masked_mean(tensor, mask)
    variance = masked_mean((tensor - mean) ** 2, mask) * mask.sum() / (mask.sum() - 1).clamp(min=1)
    scaled = (tensor - mean) * (variance + 1e-8).rsqrt()
    return (scaled if shift else scaled + mean) * mask


def policy_loss(logprobs: Tensor, old: Tensor, advantage: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """(the clipped surrogate loss of each token, whether it was clipped).

    Args:
        logprobs: of the policy that is trained, and ``old`` of the one that wrote the tokens.
    """
    import torch

    ratio = (logprobs - old).exp()
    free, held = -advantage * ratio, -advantage * ratio.clamp(1 - clip, 1 + clip)
    return torch.maximum(free, held), held > free


def value_loss(values: Tensor, old: Tensor, returns: Tensor, clip: float | None) -> Tensor:
    """Half the squared error of each value; one that has moved by more than ``clip`` gains nothing by moving on."""
    import torch

    free = (values - returns) ** 2
    if clip is None:
        return 0.5 * free
    held = (old + (values - old).clamp(-clip, clip) - returns) ** 2
    return 0.5 * torch.maximum(free, held)


def steered(coefficient: float, kl: float, target: float, completions: int, horizon: int) -> float:
    """The coefficient of the penalty after ``completions`` that strayed by ``kl`` nats each, on average."""
    error = min(max(kl / target - 1.0, -0.2), 0.2)
    return coefficient * (1.0 + error * completions / horizon)
