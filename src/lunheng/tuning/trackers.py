"""Trackers beside a run: TensorBoard, MLflow, Weights & Biases, each in the run's own folder, and none calls anybody.

Called by ``run``. They hold their settings for the whole process (environment variables, a run that is open), so that
they are set here for one run and set back after it: the next one in this process writes into its own folder. A
variable that the user has set stands above ours.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lunheng.errors import MissingExtraError
from lunheng.tuning.recipes import Recipe

PROJECT = "lunheng"
"""The project (Weights & Biases) and the experiment (MLflow) that a run is listed under."""


def refuse_missing(recipe: Recipe) -> None:
    """Say no before anything loads.

    Raises:
        MissingExtraError: a tracker of the recipe's is not installed.
    """
    for name in recipe.training.trackers:
        if importlib.util.find_spec(name) is None:
            remedy = f"pip install {name} (or all of them: pip install 'lunheng[trackers]')"
            raise MissingExtraError(f"the tracker {name}", "trackers", remedy)


@contextmanager
def tracked(recipe: Recipe, trainer: Any) -> Iterator[None]:
    """Let the recipe's trackers follow ``trainer``, measurements before and after the training included."""
    from transformers.integrations import get_reporting_integration_callbacks

    names, folder = recipe.training.trackers, recipe.output
    if not names:
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(_environment({"TENSORBOARD_LOGGING_DIR": str(folder / "tensorboard")}))
        if "mlflow" in names:
            stack.enter_context(_mlflow_run(folder))
        if "wandb" in names:
            stack.enter_context(_wandb_run(folder))
        for kind in get_reporting_integration_callbacks(list(names)):
            trainer.add_callback(kind())
        yield


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Variables that hold meanwhile, where the user has not set them."""
    ours = {key: value for key, value in wanted.items() if not os.environ.get(key)}
    os.environ.update(ours)
    try:
        yield
    finally:
        for key in ours:
            os.environ.pop(key, None)


@contextmanager
def _mlflow_run(folder: Path) -> Iterator[None]:
    """A run in a database in ``folder``, which the callback joins: its own would end with the last step, and what is
    measured after it would stand in another."""
    import mlflow

    own = not mlflow.is_tracking_uri_set()
    with _environment({"MLFLOW_TRACKING_URI": f"sqlite:///{(folder / 'mlflow.db').absolute()}"}):
        experiment = mlflow.get_experiment_by_name(PROJECT)
        place = (folder / "mlflow").absolute().as_uri() if own else None
        number = experiment.experiment_id if experiment else mlflow.create_experiment(PROJECT, place)
        with mlflow.start_run(experiment_id=number, run_name=folder.name, nested=mlflow.active_run() is not None):
            yield
            mlflow.flush_async_logging()


@contextmanager
def _wandb_run(folder: Path) -> Iterator[None]:
    """A run in ``folder``, which the callback joins and would never end."""
    import wandb

    asked = os.environ.get
    with wandb.init(
        project=asked("WANDB_PROJECT") or PROJECT,
        dir=asked("WANDB_DIR") or str(folder),
        mode=asked("WANDB_MODE") or "offline",
        name=folder.name,
        settings=wandb.Settings(silent=True, console="off"),
    ):
        yield
