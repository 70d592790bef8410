"""Several adapters over one base in memory, one of them on at each request.

Called by ``lunheng tune generate`` and ``chat``, and from Python by whoever serves several fine-tuned models: a base of
billions of weights is there once, each adapter adds its few millions.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lunheng.errors import ConfigError, ModelError
from lunheng.models.llms.hugging_face.folder import ADAPTER, ModelFolder, find_model_folder, offline
from lunheng.models.llms.hugging_face.opening import embedding_rows
from lunheng.models.llms.hugging_face.provider import HuggingFaceLLM
from lunheng.types import content_id

_CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga", "loftq")
"""Initialisations that take something out of the base's weights, so that no other adapter fits on them any more."""


class HuggingFaceAdapters(HuggingFaceLLM):
    """A base model, and views of it with one of its adapters on. Thread-safe: one call at a time, later callers wait.

    It answers as the base itself does; ``with_adapter`` gives the views, each an ``LLM`` of its own.
    """

    def __init__(self, place: Path | str, adapters: Mapping[str, Path | str], **options: Any) -> None:
        """Name the model and its adapters; nothing is loaded yet.

        Args:
            place: the base: a model's folder.
            adapters: folders of adapters, or of runs that made one, by the name that they are asked for.
            options: as of ``HuggingFaceLLM``.

        Raises:
            ConfigError: ``place`` is an adapter itself, or an adapter brings tokens or changes the base.
            ModelError, MissingExtraError: as ``HuggingFaceLLM``.
        """
        super().__init__(place, **options)
        if self._place.base is not None:
            raise ConfigError(f"{place}: is an adapter; name its base, {self._place.base}, and this among the adapters")
        self._base = self
        self._chosen: str | None = None
        self._tokenizers: dict[str | None, Any] = {}
        self._adapters = {name: self._adapter(name, Path(folder)) for name, folder in adapters.items()}

    def with_adapter(self, name: str | None) -> HuggingFaceAdapters:
        """The same loaded model with one of its adapters on, or with none: a view for each caller.

        Raises:
            ModelError: there is no adapter of this name.
        """
        if name is not None and name not in self._adapters:
            raise ModelError(f"adapter {name}: not loaded; there are: {', '.join(self._adapters) or 'none'}")
        view = copy.copy(self._base)
        view._chosen = name
        if name is not None:
            # Each answers with the tokenizer and the chat template that it was trained with.
            view._place, view._tokenizer, view._grammar_tokenizer = self._adapters[name], None, None
            view._fingerprint = content_id("transformers", view._place.identity(), self._dtype)
        return view

    def close(self) -> None:
        """Give the memory back, of the base and of every adapter."""
        with self._lock:
            self._base._model = None
            self._tokenizers.clear()
            super().close()

    def _adapter(self, name: str, folder: Path) -> ModelFolder:
        inside = folder / "model" if not (folder / ADAPTER).is_file() else folder
        if not (inside / ADAPTER).is_file():
            raise ModelError(f"adapter {name}: {folder} holds no adapter ({ADAPTER})")
        config = json.loads((inside / ADAPTER).read_text(encoding="utf-8"))
        if str(config.get("init_lora_weights")).lower().startswith(_CHANGES_BASE):
            raise ConfigError(
                f"adapter {name}: {config['init_lora_weights']} changes its base, which others stand on too; make it a "
                "plain one first: lunheng tune export --to adapter"
            )
        return ModelFolder(name, inside, self._place.folder, False, self._place.trust_code)

    def _open_tokenizer(self) -> None:
        """Read once for each adapter, however many views are made of it."""
        with self._lock:
            if self._tokenizer is None:
                if self._chosen not in self._tokenizers:
                    super()._open_tokenizer()
                    self._tokenizers[self._chosen] = self._tokenizer
                self._tokenizer = self._tokenizers[self._chosen]

    def _open_model(self) -> Any:
        """The base with this view's adapter on. Called with the lock held, before each use."""
        base = self._base
        if base._model is None:
            place, base._place = base._place, find_model_folder(base._place.folder)
            HuggingFaceLLM._open_model(base)
            base._place = place
            for name, adapter in self._adapters.items():
                base._model = _put_on(base._model, name, adapter)
        self._open_tokenizer()
        self._model = base._model
        if self._adapters:
            if self._chosen is None:
                self._model.base_model.disable_adapter_layers()
            else:
                self._model.base_model.enable_adapter_layers()
                self._model.set_adapter(self._chosen)
        return self._model


def _put_on(model: Any, name: str, adapter: ModelFolder) -> Any:
    import peft

    rows = embedding_rows(adapter.folder)
    if rows is not None and rows != model.get_input_embeddings().weight.shape[0]:
        raise ConfigError(f"adapter {name}: brings tokens that its base has not; merge it, and load it by itself")
    try:
        with offline():
            if isinstance(model, peft.PeftModel):
                model.load_adapter(str(adapter.folder), adapter_name=name)
                return model.eval()
            return peft.PeftModel.from_pretrained(model, str(adapter.folder), adapter_name=name).eval()
    except (ValueError, RuntimeError, OSError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"adapter {name}: does not fit on {adapter.base} beside the others ({error})") from error
