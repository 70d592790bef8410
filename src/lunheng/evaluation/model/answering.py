"""Answers to questions against reference answers: exact match, F1, ROUGE-L and BLEU, of one answer each.

Called by ``tasks``. For held-out rows of the data that a model was trained on, in the forms that ``rows`` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lunheng.evaluation.model.asking import Progress, answers, silent
from lunheng.evaluation.model.bleu import bleu
from lunheng.evaluation.model.overlap import exact_match, f1
from lunheng.evaluation.model.rouge import rouge_l
from lunheng.evaluation.model.rows import Row
from lunheng.evaluation.model.scores import Metric, given, mean
from lunheng.protocols import LLM


def score_answers(texts: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[Metric, ...]:
    """The four measures of ``texts``, each against its references.

    Raises:
        MissingExtraError: the extra ``eval`` is not installed.
    """
    pairs = list(zip(texts, references, strict=True))
    return given(
        mean("exact_match", [exact_match(text, wanted) for text, wanted in pairs]),
        mean("f1", [f1(text, wanted) for text, wanted in pairs]),
        mean("rouge_l", [rouge_l(text, wanted) for text, wanted in pairs]),
        bleu(texts, references),
    )


def measure_answers(
    model: LLM, rows: Sequence[Row], max_tokens: int, progress: Progress = silent
) -> tuple[tuple[Metric, ...], list[dict[str, Any]]]:
    """Ask every row's question. Gives the metrics and each item.

    Raises:
        DataError: a row has no question or no reference.
        ModelError: the model cannot be asked.
    """
    asked, references = [row.conversation() for row in rows], [row.references() for row in rows]
    texts = answers(model, asked, max_tokens, progress)
    metrics = score_answers(texts, references)
    columns = {m.name: m.rows[:, 0] for m in metrics if m.name != "bleu"}
    records = [
        {"question": asked[n][-1].content, "answer": texts[n], "references": list(references[n])}
        | {name: float(values[n]) for name, values in columns.items()}
        for n in range(len(rows))
    ]
    return metrics, records
