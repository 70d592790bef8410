"""What sentence-transformers' trainers are given to measure with, and what of the model is left as it is.

Called by ``embedder`` and ``reranker``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lunheng.evaluation.runner import RetrievalReport

BEST = "validation_ndcg@10"
"""The measure that picks the best checkpoint."""


def evaluator(measure: Callable[[Any], RetrievalReport]) -> Any:
    """``measure`` in the shape that the trainer calls: our own metrics, as everywhere else."""
    from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator

    class Validation(SentenceEvaluator):  # type: ignore[misc]
        def __call__(self, model: Any, output_path: Any = None, epoch: Any = -1, steps: Any = -1) -> dict[str, float]:
            found = measure(model)
            return {f"validation_{name}": interval.mean for name, interval in found.metrics.items()}

    return Validation()


def quietly() -> None:
    """Transformers' own bars and reports off: what they say of a fresh head or a pooler that is not used alarms."""
    from datasets import disable_progress_bars
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()


def freeze_words(encoder: Any) -> None:
    """Leave the word embeddings of a transformers model as they are."""
    encoder.get_input_embeddings().weight.requires_grad_(False)
