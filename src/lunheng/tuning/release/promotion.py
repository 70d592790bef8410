"""From a run to a language model that a knowledge base can name: its adapter, or the whole model, in the cache.

Called by ``lunheng models promote`` when the gate has let it pass. An adapter's base stays where it lies.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lunheng.errors import RefusedError
from lunheng.models.llms.hugging_face import find_model_folder
from lunheng.models.llms.hugging_face.provider import DEFAULT_WINDOW
from lunheng.models.promoted import licence_of, promote
from lunheng.tuning.manifest import MANIFEST, Manifest
from lunheng.tuning.release.gate import Weighed
from lunheng.tuning.run import MODEL

WEIGHED = "promotion.json"
"""In the run's folder: what the gate saw, whether it opened or not."""


def insist_on_done(run: Path, manifest: Manifest) -> None:
    """A run that was stopped is not promoted.

    Raises:
        RefusedError: it was, or it failed.
    """
    if manifest.status != "done":
        raise RefusedError(f"not promoted: the run in {run} is {manifest.status}, not done; go on with --resume")


def promote_llm(name: str, run: Path, manifest: Manifest, weighed: Weighed) -> Path:
    """Add what the run in ``run`` has trained to the machine's models as ``name``; gives its folder in the cache.

    Raises:
        RefusedError: the gate refuses it.
        ModelError: the name is not of its form, or another model has it.
    """
    note(run, weighed)
    if weighed.refusals:
        raise RefusedError(f"not promoted: {'; '.join(weighed.refusals)}")
    table: dict[str, Any] = {
        "task": "llm",
        "format": "torch",
        "licence": licence_of(manifest.base),
        "about": f"Trained here from {manifest.base} by {manifest.method}, run {manifest.id}: {weighed.domain}.",
        "window": min(find_model_folder(run).positions() or DEFAULT_WINDOW, DEFAULT_WINDOW),
    }
    inside = sorted(str(p.relative_to(run)) for p in (run / MODEL).rglob("*") if p.is_file())
    # The run's manifest says where the base lies; in the cache its name at the top is the cache's own.
    return promote(name, run, table, {path: path for path in inside} | {MANIFEST: f"{MODEL}/{MANIFEST}"})


def note(run: Path, weighed: Weighed) -> None:
    """Write what was weighed into the run's folder."""
    text = json.dumps(weighed.to_dict(), ensure_ascii=False, indent=1)
    (run / WEIGHED).write_text(text + "\n", encoding="utf-8")
