"""Which modules of a model an adapter sits on, read off the model's own structure. Called by ``modes``.

No table of architectures: a decoder is a list of equal blocks, and what multiplies matrices in a block belongs to its
attention or to its feed-forward part. So a model that nobody has heard of is adapted like one that everybody knows,
and embeddings and output layers, which stand outside of the blocks, are never touched.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lunheng.errors import ConfigError

ALL, ATTENTION, MLP = "all-linear", "attention", "mlp"
"""Short names for targets."""
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_READS = re.compile(r"(^|_)(q|k|v|qkv)(_|$)|query|key|value|qkv|pack|c_attn", re.IGNORECASE)
_KEY_OR_VALUE = re.compile(r"(^|_)(k|v)(_|$)|^(key|value)s?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Blocks:
    """The modules of a model's blocks that multiply matrices, by their names within a block, in order."""

    attention: tuple[str, ...]
    mlp: tuple[str, ...]
    attention_out: tuple[str, ...]
    """Of the attention: what gives its result back to the block."""
    mlp_out: tuple[str, ...]
    """Of the feed-forward part: the same."""
    key_value: tuple[str, ...]
    """Of the attention: what makes keys and values; what makes queries too, where one module makes all three."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every one."""
        return self.attention + self.mlp

    @property
    def short(self) -> tuple[str, ...]:
        """Every one by the last part of its name."""
        return tuple(dict.fromkeys(name.rsplit(".", 1)[-1] for name in self.all))


def blocks_of(model: Any) -> Blocks:
    """The structure of ``model``, plain or wrapped, in full precision, 4 bits or on the meta device.

    Raises:
        ConfigError: it has no blocks.
    """
    found: dict[str, tuple[bool, bool]] = {}  # whether it belongs to the attention, whether it gives the result back
    names = dict(model.named_modules())
    for name, module in names.items():
        match = re.match(r"(.*\.\d+)\.(.+)$", name)
        if match is None or not _multiplies(module):
            continue
        within = match[2]
        parents = [
            type(names[f"{match[1]}.{within.rsplit('.', n)[0]}"]).__name__ for n in range(1, within.count(".") + 1)
        ]
        attends = any(_ATTENTION.search(word) for word in (within, *parents))
        reads = _READS.search(within.rsplit(".", 1)[-1])
        found[within] = (attends, not reads if attends else _narrows(module))
    if not found:
        raise ConfigError(
            f"{type(model).__name__}: no blocks with linear layers were found in it; name parameters.targets by hand"
        )
    attention = tuple(name for name, (attends, _) in found.items() if attends)
    mlp = tuple(name for name, (attends, _) in found.items() if not attends)
    key_value = tuple(name for name in attention if _KEY_OR_VALUE.search(name.rsplit(".", 1)[-1]))
    return Blocks(
        attention,
        mlp,
        tuple(name for name in attention if found[name][1]),
        tuple(name for name in mlp if found[name][1]),
        key_value or tuple(name for name in attention if not found[name][1]),
    )


def target_names(model: Any, targets: str | Sequence[str]) -> list[str]:
    """The names that PEFT takes, for ``targets`` of a recipe.

    Args:
        targets: all-linear, attention, mlp, a name as it ends in the model (q_proj, mlp.c_proj), or several.

    Raises:
        ConfigError: a name that no module of the model has; lists those that it has.
    """
    blocks = blocks_of(model)
    chosen: list[str] = []
    for target in [targets] if isinstance(targets, str) else targets:
        named = {ALL: blocks.all, ATTENTION: blocks.attention, MLP: blocks.mlp}.get(target)
        if named is None:
            named = tuple(name for name in blocks.all if f".{name}".endswith(f".{target}"))
        if not named:
            raise ConfigError(
                f"parameters.targets: no module of this model's blocks is called {target}; there are "
                f"{', '.join(blocks.short)}, and for short {ALL}, {ATTENTION} and {MLP}"
                + ("; embeddings are trained by parameters.save_embeddings" if _stands_outside(model, target) else "")
            )
        chosen += named
    return shortened(blocks, dict.fromkeys(chosen))


def shortened(blocks: Blocks, names: Sequence[str] | dict[str, None]) -> list[str]:
    """``names`` by their last part, as other tools write them, where that names no other module of the blocks."""
    chosen = set(names)
    short: dict[str, None] = {}
    for name in names:
        leaf = name.rsplit(".", 1)[-1]
        alone = all(other in chosen for other in blocks.all if other.rsplit(".", 1)[-1] == leaf)
        short[leaf if alone else name] = None
    return list(short)


def _stands_outside(model: Any, target: str) -> bool:
    return any(f".{name}".endswith(f".{target}") for name, _ in model.named_modules())


def _multiplies(module: Any) -> bool:
    """torch's linear layer and its 4-bit children, and GPT-2's, which holds its matrix the other way round."""
    import torch
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, torch.nn.Linear | Conv1D)


def _narrows(module: Any) -> bool:
    """Whether it gives out fewer numbers than it takes in."""
    if hasattr(module, "in_features"):
        return bool(module.in_features > module.out_features)
    return bool(module.nx > module.nf)
