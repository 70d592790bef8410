"""The arithmetic of PPO, against numbers worked out by hand: whatever side the padding is on."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'tune'")

from lunheng.tuning.llm.proximal import (  # noqa: E402
    advantages,
    masked_mean,
    policy_loss,
    steered,
    token_rewards,
    value_loss,
    whiten,
)

# Three tokens with rewards 1, 0, 2 and values 0.5, 1, 1.5; gamma 0.9, lambda 0.8:
#   surprises  2: 2 - 1.5 = 0.5;  1: 0 + 0.9 * 1.5 - 1 = 0.35;  0: 1 + 0.9 * 1 - 0.5 = 1.4
#   advantages 2: 0.5;  1: 0.35 + 0.72 * 0.5 = 0.71;  0: 1.4 + 0.72 * 0.71 = 1.9112
REWARDS, VALUES, ADVANTAGES = (1.0, 0.0, 2.0), (0.5, 1.0, 1.5), (1.9112, 0.71, 0.5)


def padded(numbers: tuple[float, ...], side: str, by: float = 9.0) -> list[float]:
    before = {"left": 2, "right": 0, "both": 1}[side]
    return [by] * before + list(numbers) + [by] * (2 - before)


@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_advantages_by_hand(side: str) -> None:
    mask = torch.tensor([padded((1, 1, 1), side, 0), [1, 0, 0, 0, 0]]).bool()
    rewards = torch.tensor([padded(REWARDS, side), [3.0, 9, 9, 9, 9]])
    values = torch.tensor([padded(VALUES, side), [1.0, 9, 9, 9, 9]])
    estimates, returns = advantages(rewards, values, mask, 0.9, 0.8)
    assert torch.allclose(estimates, torch.tensor([padded(ADVANTAGES, side, 0), [2.0, 0, 0, 0, 0]]))
    summed = tuple(a + v for a, v in zip(ADVANTAGES, VALUES, strict=True))
    assert torch.allclose(returns, torch.tensor([padded(summed, side, 0), [3.0, 0, 0, 0, 0]]))


def test_the_ends_of_lambda() -> None:
    mask = torch.ones(1, 3, dtype=torch.bool)
    rewards, values = torch.tensor([REWARDS]), torch.tensor([VALUES])
    only_rewards, _ = advantages(rewards, values, mask, 1.0, 1.0)
    assert torch.allclose(only_rewards, torch.tensor([[3 - 0.5, 2 - 1.0, 2 - 1.5]]))  # what is to come, less the value
    only_values, _ = advantages(rewards, values, mask, 1.0, 0.0)
    assert torch.allclose(only_values, torch.tensor([[1 + 1.0 - 0.5, 1.5 - 1.0, 2 - 1.5]]))


@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_rewards_of_tokens(side: str) -> None:
    mask = torch.tensor([padded((1, 1, 1), side, 0)]).bool()
    policy = torch.tensor([padded((-1.0, -2.0, -0.5), side)])
    reference = torch.tensor([padded((-1.5, -2.0, -0.25), side, 5.0)])
    given = token_rewards(torch.tensor([4.0]), policy, reference, mask, 0.1)
    assert torch.allclose(given, torch.tensor([padded((-0.05, 0.0, 0.025 + 4), side, 0)]))


def test_whitening_by_hand() -> None:
    numbers, mask = torch.tensor([[1.0, 3.0, 99.0], [99.0, 5.0, 99.0]]), torch.tensor([[1, 1, 0], [0, 1, 0]]).bool()
    # Mean 3, unbiased variance (4 + 0 + 4) / 2 = 4.
    assert torch.allclose(whiten(numbers, mask), torch.tensor([[-1.0, 0, 0], [0, 1.0, 0]]))
    assert torch.allclose(whiten(numbers, mask, shift=False), torch.tensor([[2.0, 3.0, 0], [0, 4.0, 0]]))
    assert masked_mean(numbers, mask) == 3
    alone = whiten(torch.tensor([[7.0, 99.0]]), torch.tensor([[True, False]]))
    assert torch.isfinite(alone).all() and alone.abs().max() == 0


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.1, 2.0, -2.2, False),
        (1.5, 2.0, -2.4, True),  # held at 1.2
        (0.5, 2.0, -1.0, False),  # made worse: it may come back
        (0.5, -2.0, 1.6, True),  # held at 0.8
        (1.5, -2.0, 3.0, False),
    ],
)
def test_the_clipped_surrogate(ratio: float, advantage: float, loss: float, clipped: bool) -> None:
    new = torch.tensor([math.log(ratio) - 1.0], requires_grad=True)
    given, held = policy_loss(new, torch.tensor([-1.0]), torch.tensor([advantage]), 0.2)
    assert given.item() == pytest.approx(loss) and held.item() is clipped
    given.sum().backward()
    assert (new.grad == 0).item() is clipped  # what is clipped is learnt from no more


def test_the_clipped_value_loss() -> None:
    values, old = torch.tensor([1.0, 1.0, 0.1]), torch.tensor([0.5, 0.5, 0.0])
    returns = torch.tensor([2.0, 0.6, 1.0])
    # Held at 0.7, 0.7, 0.1: the greater error counts.
    assert torch.allclose(value_loss(values, old, returns, 0.2), 0.5 * torch.tensor([1.69, 0.16, 0.81]))
    assert torch.allclose(value_loss(values, old, returns, None), 0.5 * torch.tensor([1.0, 0.16, 0.81]))


def test_the_penalty_is_steered() -> None:
    assert steered(0.1, kl=6.6, target=6.0, completions=100, horizon=1000) == pytest.approx(0.1 * (1 + 0.1 * 0.1))
    assert steered(0.1, kl=60.0, target=6.0, completions=100, horizon=1000) == pytest.approx(0.1 * (1 + 0.2 * 0.1))
    assert steered(0.1, kl=-1.0, target=6.0, completions=100, horizon=1000) == pytest.approx(0.1 * (1 - 0.2 * 0.1))
