"""REINFORCE, leave-one-out (Kool et al. 2019; Ahmadian et al. 2024). Called by ``methods``.

Each completion's advantage is its reward less the mean of its siblings'; the divergence from the reference is part of
the reward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lunheng.tuning.llm.groups import train_by_groups
from lunheng.tuning.recipes import Recipe
from lunheng.tuning.resuming import Resume
from lunheng.tuning.run import Trained

if TYPE_CHECKING:
    from lunheng.tuning.callbacks import Report


def rloo(recipe: Recipe, resume: Resume = False, report: Report | None = None) -> Trained:
    """Train on prompts, by their rewards; see ``methods.train``."""
    import trl

    return train_by_groups(recipe, trl.RLOOTrainer, trl.RLOOConfig, resume, report)
