"""From a run to a model that a knowledge base can name: only where the run says that it is better.

Called by ``lunheng tune embed|rerank --promote``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from lunheng.errors import RefusedError
from lunheng.models.promoted import licence_of, promote
from lunheng.tuning.encoders.lift import Lift
from lunheng.tuning.encoders.served import Form
from lunheng.tuning.manifest import Manifest


def insist_on_better(lift: Lift | None) -> None:
    """The gate.

    Raises:
        RefusedError: the run was stopped before it was measured, or what it measured is no gain.
    """
    if lift is None:
        raise RefusedError("not promoted: the run was stopped before its model was measured; go on with --resume")
    if lift.refusal:
        raise RefusedError(f"not promoted: {lift.refusal}")


def promote_run(name: str, task: Literal["embedder", "reranker"], form: Form, lift: Lift | None, run: Manifest) -> Path:
    """Add what a run has trained to the machine's models as ``name``; gives its folder.

    Raises:
        RefusedError: as ``insist_on_better``.
        ModelError: the name is not of its form, or another model has it.
    """
    insist_on_better(lift)
    assert lift is not None
    gain = lift.held_out.difference
    table: dict[str, Any] = {
        "task": task,
        "format": form.format,
        "licence": licence_of(run.base),
        "about": f"Trained here from {run.base} by the run {run.id}: nDCG@10 {gain.mean:+.3f} on held-out questions.",
        "window": form.window,
    }
    if task == "embedder":
        table |= {
            "dimension": form.dimension,
            "query_prefix": form.query_prefix,
            "passage_prefix": form.passage_prefix,
            "pooling": form.pooling,
        }
    return promote(name, form.folder, table)
