"""What a policy must not stray from: the model as it was before the first step. Called by ``ppo``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

_MOVES_THE_BASE = ("pissa", "olora", "corda", "loftq")
"""Initialisations of LoRA that put a part of the base's weights into the adapter."""


def is_base_when_off(model: Any) -> bool | None:
    """Whether ``model`` without its adapter is the base that it came from; None where it has no adapter."""
    if not hasattr(model, "peft_config"):
        return None
    start = getattr(model.peft_config["default"], "init_lora_weights", True)
    return not (isinstance(start, str) and start.lower().startswith(_MOVES_THE_BASE))


def reference_of(model: Any) -> Callable[[], AbstractContextManager[Any]]:
    """The reference of a policy that has not been trained yet, to be entered wherever it is asked.

    An adapter is switched off, at no cost in memory. Where the whole model is trained, or the adapter holds a part of
    the base, it is a frozen copy.
    """
    if is_base_when_off(model):

        @contextmanager
        def off() -> Iterator[Any]:
            with model.disable_adapter():
                yield model

        return off
    frozen = copy.deepcopy(model).eval().requires_grad_(False)
    return lambda: nullcontext(frozen)
