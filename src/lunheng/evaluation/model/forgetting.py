"""Has a model forgotten what it knew? A small general set in both languages, before and after fine-tuning.

Called by ``tasks``. The set is shipped with the package and was written for it: general knowledge, arithmetic, language
and common sense as multiple choice, and short texts for perplexity. It is meant for the difference between a model and
its base (``--baseline``), not for a ranking of models. Your own set of multiple choice can be added.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from lunheng.evaluation.model.asking import Progress, silent
from lunheng.evaluation.model.choice import Question, measure_choice, read_question
from lunheng.evaluation.model.perplexity import measure_perplexity
from lunheng.evaluation.model.rows import Row
from lunheng.evaluation.model.scores import Metric
from lunheng.protocols import LikelihoodModel


def general_set() -> tuple[list[Question], list[str]]:
    """The shipped questions, their subjects ``zh`` and ``en``; and the texts."""
    questions: list[Question] = []
    texts: list[str] = []
    lines = files("lunheng.evaluation.model").joinpath("general.jsonl").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        values = json.loads(line)
        if "text" in values:
            texts.append(values["text"])
        else:
            questions.append(read_question(Row(f"general.jsonl, line {number}", "general", values)))
    return questions, texts


def measure_forgetting(
    model: LikelihoodModel,
    own: Sequence[Question] = (),
    limit: int | None = None,
    progress: Progress = silent,
) -> tuple[tuple[Metric, ...], tuple[Metric, ...], list[str], list[dict[str, Any]]]:
    """Accuracies on the general set and on your ``own`` questions; perplexities; each question's group; each item."""
    questions, texts = general_set()
    if limit:  # evenly, so that both languages stay in
        questions, texts = questions[:: -(-len(questions) // limit)], texts[:: -(-len(texts) // limit)]
    everything = [*questions, *own]
    accuracies, records = measure_choice(model, everything, progress=progress)
    return accuracies, measure_perplexity(model, texts), [question.subject for question in everything], records
