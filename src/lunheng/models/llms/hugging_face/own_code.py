"""Checkpoints that bring Python of their own, as ChatGLM's and Baichuan's first ones: run only where a recipe says so.

Called by whoever opens a configuration, a tokenizer or weights. Such a checkpoint is a program: it may do whatever its
user may. So nothing runs by itself; the recipe of a run says ``model.trust_code = true``, and its manifest remembers it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lunheng.errors import ModelError

log = logging.getLogger(__name__)


@contextmanager
def own_code(folder: Path | str, trusted: bool) -> Iterator[bool]:
    """Gives transformers' ``trust_remote_code``, and names the recipe's key where it would have to be set.

    Raises:
        ModelError: what is in ``folder`` needs its own Python, and that is not trusted.
    """
    if trusted and any(Path(folder).glob("*.py")):
        log.warning("%s: runs the Python that lies in it, as model.trust_code says", folder)
    try:
        yield trusted
    except ValueError as error:
        if trusted or "trust_remote_code" not in str(error):
            raise
        raise ModelError(
            f"{folder}: is of an architecture that transformers does not hold, and brings Python of its own (auto_map). "
            "Read that code, and if you trust it, say model.trust_code = true in the recipe; or take the same model in "
            "transformers' own form, whose names often end in -hf"
        ) from error


def is_trusted(manifest: Any) -> bool:
    """Whether the run that wrote ``manifest`` (manifest.json as read) was told to run its base's own Python."""
    try:
        return manifest["recipe"]["model"].get("trust_code") is True
    except (KeyError, TypeError, AttributeError):
        return False
