"""Lunheng: a recipe, as ``lunheng tune sft`` runs it."""

from __future__ import annotations

from clock import JOB, Clock, report

from lunheng.tuning import run as course
from lunheng.tuning.methods import train
from lunheng.tuning.recipes import make_recipe

clock = Clock()
before = course.Run.train


def clocked(self: course.Run, trainer: object, **options: object) -> course.Trained:
    trainer.add_callback(clock)  # type: ignore[attr-defined]
    return before(self, trainer, **options)  # type: ignore[arg-type]


course.Run.train = clocked  # type: ignore[method-assign, assignment]
trained = train(
    make_recipe(
        {
            "method": "sft",
            "model": {"name": JOB["model"]},
            "data": {"train": JOB["data"], "window": JOB["window"], "validation_share": 0.0},
            "parameters": {"mode": "lora", "rank": JOB["rank"]},
            "training": {
                "epochs": 1,
                "batch": JOB["batch"],
                "device_batch": JOB["batch"],
                "learning_rate": JOB["learning_rate"],
                "checkpointing": False,
            },
            "output": JOB["output"],
        }
    )
)
report(clock, [trained.first_loss, trained.last_loss])
