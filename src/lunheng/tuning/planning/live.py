"""Bytes of tensors that live at a time, and operations computed, operator by operator. Called by the rehearsal.

In place of torch's own ``MemTracker`` (three times as slow) and ``FlopCounterMode``, whose hooks keep the activations
that checkpointing would let go. The formulas of operations are torch's.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

_ATTENTION = "_scaled_dot_product_flash_attention_for_cpu"
"""The CPU's name of an operator whose operations torch counts under the GPU's."""


def live(known: Iterable[Any]) -> Any:
    """A context in which every storage counts from its making to its end; ``known`` tensors do not count.

    It has ``peaks``, the most bytes at a time in each phase, ``mark()``, which begins the next phase, and ``flops``.
    """
    from torch import Tensor
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return int(sdpa_flop_count(query.shape, key.shape, value.shape))

    def attention_backward(above: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return int(sdpa_backward_flop_count(above.shape, query.shape, key.shape, value.shape))

    ours: dict[str, Callable[..., int]] = {_ATTENTION: attention, f"{_ATTENTION}_backward": attention_backward}

    class Live(TorchDispatchMode):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.now = self.flops = 0
            self.peaks = [0]
            self._storages: dict[int, Any] = {id(s): s for s in (t.untyped_storage() for t in known)}

        def mark(self) -> None:
            self.peaks.append(self.now)

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = function(*args, **(kwargs or {}))
            packet = function._overloadpacket
            if packet in flop_registry:
                self.flops += int(flop_registry[packet](*args, **(kwargs or {}), out_val=made))
            elif packet.__name__ in ours:
                self.flops += ours[packet.__name__](*args)
            for tensor in (made,) if isinstance(made, Tensor) else tree_leaves(made):
                if isinstance(tensor, Tensor):
                    self._count(tensor.untyped_storage())
            return made

        def _count(self, storage: Any) -> None:
            key, size = id(storage), storage.nbytes()
            if key in self._storages:
                return

            def ended(_: Any) -> None:
                del self._storages[key]
                self.now -= size

            self._storages[key] = weakref.ref(storage, ended)
            self.now += size
            self.peaks[-1] = max(self.peaks[-1], self.now)

    return Live()
