"""Measuring language models: one task a file, all with intervals, and with a paired test against a baseline.

Called by ``lunheng eval model``, and by the trainers after a run. Nothing here needs torch: a model is any object
with the methods of ``protocols.LLM``, and of ``protocols.LikelihoodModel`` where a task reads likelihoods.
"""

from lunheng.evaluation.model.scores import Comparison, Metric, TaskResult
from lunheng.evaluation.model.tasks import TASKS, TaskOptions, run_task

__all__ = ["TASKS", "Comparison", "Metric", "TaskOptions", "TaskResult", "run_task"]
