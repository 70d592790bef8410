"""A recipe on a Ray cluster: one worker a device, each runs what ``lunheng tune METHOD`` runs.

Called by ``lunheng tune launch --ray``. Ray Train's ``TorchTrainer`` sets the processes up as torchrun does; the recipe,
its data, its base and its output lie at the same place on every machine of the cluster.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lunheng.errors import ConfigError, MissingExtraError, TrainingError
from lunheng.tuning.manifest import Manifest, read_manifest
from lunheng.tuning.recipes import Recipe, load_recipe


def train_on_ray(recipe: Recipe, recipe_file: Path, *, cpu: bool = False, resume: bool = False) -> Manifest:
    """Train on the cluster that RAY_ADDRESS names, or else on this machine alone.

    Args:
        recipe_file: the same recipe, as the workers read it.
        cpu: workers on CPUs (strategy ddp, by gloo).

    Raises:
        ConfigError: the strategy is not ddp: FSDP and DeepSpeed are accelerate's to set up, by its own launcher.
        MissingExtraError: Ray is not installed.
        TrainingError: a worker failed.
    """
    try:
        import ray
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    parallel = recipe.parallel
    if parallel.world > 1 and parallel.strategy != "ddp":
        raise ConfigError(
            f"parallel.strategy: on Ray a recipe trains by ddp, and this says {parallel.strategy}; take ddp, or start it "
            "with the script that lunheng tune launch writes without --ray"
        )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    trainer = TorchTrainer(
        _work,
        train_loop_config={"recipe": str(recipe_file.absolute()), "resume": resume},
        torch_config=TorchConfig(backend="gloo" if cpu else "nccl"),
        scaling_config=ScalingConfig(num_workers=parallel.world, use_gpu=not cpu),
        run_config=RunConfig(storage_path=str(recipe.output.absolute() / "ray")),
    )
    try:
        trainer.fit()
    except ray.exceptions.RayError as error:
        raise TrainingError(f"a worker of Ray failed: {error}") from error
    except ray.train.TrainingFailedError as error:
        raise TrainingError(f"a worker of Ray failed: {error}") from error
    return read_manifest(recipe.output)


def _work(given: dict[str, Any]) -> None:
    """What each worker does; the first alone writes."""
    from lunheng.tuning.methods import train

    train(load_recipe(given["recipe"]), given["resume"])
