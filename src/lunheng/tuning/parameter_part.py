"""The part of a recipe that says which parameters are trained. Called by ``recipes``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from lunheng.models.llms.hugging_face.folder import FOUR_BIT as FOUR_BIT

Mode = Literal[
    "full",
    "lora",
    "qlora",
    "dora",
    "rslora",
    "loftq",
    "pissa",
    "adalora",
    "qadalora",
    "ia3",
    "prefix",
    "prompt",
    "ptuning",
    "bottleneck",
]
LOW_RANK: tuple[Mode, ...] = ("lora", "qlora", "dora", "rslora", "loftq", "pissa", "adalora", "qadalora")
"""Modes that add a product of two narrow matrices to a wide one."""
VIRTUAL: tuple[Mode, ...] = ("prefix", "prompt", "ptuning")
"""Modes that learn tokens, or what the attention keeps of them, and put them before each text."""
ENCODER_MODES: tuple[Mode, ...] = ("full", "lora", "qlora", "dora", "rslora")
"""Modes of embedders and rerankers."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ParameterPart:
    """Which parameters are trained."""

    mode: Mode = "lora"
    rank: Annotated[int, Field(ge=1)] = 16
    """Of the low-rank modes (AdaLoRA's in the mean, at the end), and the width of a bottleneck."""
    alpha: float | None = None
    """None: twice the rank (the rank's square root times two for rslora scales alike)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: str | tuple[str, ...] = "all-linear"
    """Modules that adapters sit on: all-linear, attention, mlp, or names as they end in the model (q_proj)."""
    virtual_tokens: Annotated[int, Field(ge=1)] = 20
    """Of prefix, prompt and P-tuning."""
    bottleneck: Literal["houlsby", "pfeiffer"] = "houlsby"
    """Where bottlenecks stand: behind attention and feed-forward part (Houlsby et al. 2019), or behind the second alone
    (Pfeiffer et al. 2021)."""
    plus_ratio: Annotated[float, Field(ge=1)] | None = None
    """LoRA+ (Hayou et al. 2024): the learning rate of B over that of A; the paper takes 16."""
    save_embeddings: bool | None = None
    """Train and save the embeddings whole; None: where tokens were added. Of the low-rank modes."""


_KNOWN_TO: Mapping[str, tuple[Mode, ...]] = {
    # A recipe for an adapter is tried with everything trained by changing its mode alone.
    "rank": ("full", *LOW_RANK, "bottleneck"),
    "alpha": ("full", *LOW_RANK),
    "dropout": ("full", *LOW_RANK, "bottleneck"),
    "targets": ("full", *LOW_RANK, "ia3"),
    "virtual_tokens": VIRTUAL,
    "bottleneck": ("bottleneck",),
    "plus_ratio": tuple(mode for mode in LOW_RANK if mode not in ("adalora", "qadalora")),
    "save_embeddings": LOW_RANK,
}
"""The modes that each key says something to."""


def check_parameters(part: ParameterPart, checkpointing: bool) -> None:
    """Refuse what the mode does not act on, and what it cannot do.

    Args:
        checkpointing: whether activations are computed anew in the backward pass.

    Raises:
        ValueError: names the key and the remedy.
    """
    for key, modes in _KNOWN_TO.items():
        if getattr(part, key) not in (None, False, getattr(ParameterPart, key)) and part.mode not in modes:
            raise ValueError(
                f"parameters.{key}: the mode {part.mode} does not know it; it is of {', '.join(modes)}; remove it"
            )
    if part.mode == "prefix" and checkpointing:
        raise ValueError(
            "training.checkpointing: prefix tuning puts its vectors into the attention's cache, which checkpointing "
            "does not keep; leave checkpointing out, or take ptuning or lora"
        )
