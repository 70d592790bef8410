"""What writing completions takes: the keys and values of every token so far, of every completion that is written at once.

Called by ``memory``. Nothing is learnt meanwhile, so that a run holds this or a step's activations, never both.
"""

from __future__ import annotations

from typing import Any

from lunheng.tuning.recipes import Recipe
from lunheng.tuning.reinforcement_parts import WRITTEN_AT_A_TIME, ProximalPart


def written_at_once(recipe: Recipe) -> int:
    """Completions that one device writes together.

    TRL writes a whole step of grpo and rloo at once; ppo, and what is held out, are written some at a time.
    """
    share = recipe.training.batch // recipe.parallel.world
    if recipe.method == "ppo":
        drawn = min(share * (recipe.ppo or ProximalPart()).minibatches, WRITTEN_AT_A_TIME)
    else:
        drawn = share
    measured = bool(recipe.data.evaluation) or recipe.data.validation_share > 0
    return max(drawn, WRITTEN_AT_A_TIME if measured else 0)


def generation_values(recipe: Recipe, config: Any) -> int:
    """Numbers that are held while completions are written up to the end of the window.

    Keys and values of all layers; and of one layer, while the prompts are read, what its feed-forward part is given,
    makes in between, and gives back.
    """
    assert recipe.reward is not None
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    window = recipe.data.window
    kept = 2 * config.num_hidden_layers * heads * width * window
    # A longer cache is written beside the old one, layer by layer.
    growing = 2 * heads * width * window
    read = (window - min(recipe.reward.completion_tokens, window)) * (2 * config.hidden_size + 2 * inner)
    return int(written_at_once(recipe) * (kept + max(growing, read)))
