"""Bottleneck adapters (Houlsby et al. 2019; Pfeiffer et al. 2021), a type of adapter of PEFT's kind.

Made by ``lunheng.tuning.modes``, opened by ``opening``.

Behind a module that gives a part's result back to its block stands a small network of two layers with a residual path:
y + up(gelu(down(y))). It begins as nothing, since ``up`` is zero. It is not linear, so it cannot be merged.
A module like ``callbacks``: its classes are children of PEFT's, so that it is imported when one is needed. Importing
it makes PEFT know the type, so that an adapter's folder opens like any other's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

import torch
from peft import PeftConfig
from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer

TYPE = "BOTTLENECK"
PREFIX = "bottleneck_"


@dataclass
class BottleneckConfig(PeftConfig):  # type: ignore[misc]
    """What lies in an adapter's folder."""

    size: int = field(default=16, metadata={"help": "Numbers in the bottleneck."})
    dropout: float = field(default=0.0, metadata={"help": "Of what goes into it."})
    target_modules: list[str] | str | None = field(
        default=None, metadata={"help": "The modules that it stands behind."}
    )
    exclude_modules: list[str] | str | None = None
    modules_to_save: list[str] | None = field(default=None, metadata={"help": "Modules that are trained whole."})
    bias: str = "none"
    layers_to_transform: list[int] | None = None
    layers_pattern: str | None = None
    init_weights: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = TYPE
        if isinstance(self.target_modules, list):
            self.target_modules = sorted(self.target_modules)


class BottleneckLayer(torch.nn.Module, BaseTunerLayer):  # type: ignore[misc]
    """A module with bottlenecks behind it, one for each adapter's name."""

    adapter_layer_names = ("bottleneck_down", "bottleneck_up")
    other_param_names = ("bottleneck_dropout",)

    def __init__(self, base_layer: torch.nn.Module, adapter_name: str, config: BottleneckConfig) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.bottleneck_down = torch.nn.ModuleDict({})
        self.bottleneck_up = torch.nn.ModuleDict({})
        self.bottleneck_dropout = torch.nn.ModuleDict({})
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self._active_adapter = adapter_name
        self.update_layer(adapter_name, config)

    def update_layer(self, adapter_name: str, config: BottleneckConfig) -> None:
        """Add a bottleneck."""
        base = self.get_base_layer()
        width = base.out_features if hasattr(base, "out_features") else base.nf
        down, up = torch.nn.Linear(width, config.size), torch.nn.Linear(config.size, width)
        if config.init_weights:
            torch.nn.init.zeros_(up.weight)
            torch.nn.init.zeros_(up.bias)
        self.bottleneck_down[adapter_name], self.bottleneck_up[adapter_name] = down, up
        self.bottleneck_dropout[adapter_name] = torch.nn.Dropout(config.dropout)
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, x: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        result: torch.Tensor = self.base_layer(x, *args, **options)
        if self.disable_adapters:
            return result
        for name in self.active_adapters:
            if name in self.bottleneck_down:
                down, up = self.bottleneck_down[name], self.bottleneck_up[name]
                given = self.bottleneck_dropout[name](result).to(down.weight.dtype)
                result = result + up(torch.nn.functional.gelu(down(given))).to(result.dtype)
        return result

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> NoReturn:
        """It has no place in a matrix.

        Raises:
            ValueError: always.
        """
        raise ValueError("a bottleneck adapter is not linear and cannot be merged; use it beside its base")


class BottleneckModel(BaseTuner):  # type: ignore[misc]
    """A model with bottlenecks in it."""

    prefix = PREFIX
    tuner_layer_cls = BottleneckLayer
    target_module_mapping: ClassVar[dict[str, list[str]]] = {}

    def _create_and_replace(
        self,
        config: BottleneckConfig,
        adapter_name: str,
        target: torch.nn.Module,
        target_name: str,
        parent: torch.nn.Module,
        current_key: str,
        **_: Any,
    ) -> None:
        if isinstance(target, BottleneckLayer):
            target.update_layer(adapter_name, config)
            return
        made = BottleneckLayer(target, adapter_name, config)
        if adapter_name not in self.active_adapters:
            made.requires_grad_(False)
        self._replace_module(parent, target_name, made, target)


PEFT_TYPE_TO_CONFIG_MAPPING[TYPE] = BottleneckConfig
PEFT_TYPE_TO_TUNER_MAPPING[TYPE] = BottleneckModel
PEFT_TYPE_TO_PREFIX_MAPPING[TYPE] = PREFIX
