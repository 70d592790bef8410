"""What a path given after training holds: a run, an adapter, a whole model; and opening it in torch.

Called by ``merge``, ``export`` and ``parity``. Everything is opened in float32 on the processor: these are checks of
numbers, and half precision there is slower than it is small.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lunheng.errors import ConfigError, MissingExtraError, ModelError, NotFoundError
from lunheng.models.llms.hugging_face import opening
from lunheng.models.llms.hugging_face.own_code import is_trusted, own_code
from lunheng.tuning.bases import CONFIG_FILE, base_folder, hub_offline
from lunheng.tuning.manifest import MANIFEST, Manifest, read_manifest
from lunheng.tuning.modes import Head, load_base
from lunheng.tuning.recipes import ENCODERS, FOUR_BIT, ParameterPart
from lunheng.tuning.run import MODEL

ADAPTER_FILE = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model or an adapter on the disk."""

    folder: Path
    """Holds adapter_config.json, or config.json with the weights."""
    base: str | None
    """The folder of the model that an adapter stands on; None for a whole model."""
    four_bit: bool
    """Whether an adapter was trained over its base in 4 bits."""
    manifest: Manifest | None
    """Of the run that it came out of, where it is known."""

    @property
    def is_adapter(self) -> bool:
        """Whether it is an adapter."""
        return self.base is not None

    @property
    def gives_scores(self) -> bool:
        """Whether it says by itself that it gives one number, as a reward model does."""
        if self.is_adapter:
            return self.adapter_config().get("task_type") == "SEQ_CLS"
        config = json.loads((self.folder / CONFIG_FILE).read_text(encoding="utf-8"))
        return any("SequenceClassification" in name for name in config.get("architectures") or ())

    @property
    def trust_code(self) -> bool:
        """Whether its run was told to run the Python that its base brings."""
        return self.manifest is not None and is_trusted({"recipe": self.manifest.recipe})

    def insist_on_words(self) -> None:
        """It must be a language model.

        Raises:
            ConfigError: it is a reward model, an embedder or a reranker.
        """
        if self.manifest is not None and self.manifest.method in ENCODERS:
            raise ConfigError(
                f"{self.folder}: was trained by {self.manifest.method} and writes no text; it is served as it lies there"
            )
        if self.gives_scores:
            raise ConfigError(
                f"{self.folder}: is a reward model and writes no text; a recipe of ppo, rloo or grpo takes it as it lies "
                "there: [reward] model"
            )

    def adapter_config(self) -> dict[str, Any]:
        """PEFT's configuration of an adapter, as it lies on the disk."""
        plain: dict[str, Any] = json.loads((self.folder / ADAPTER_FILE).read_text(encoding="utf-8"))
        return plain


def find_trained(place: Path | str, base: str | None = None, four_bit: bool | None = None) -> TrainedModel:
    """What is at ``place``: a run's folder, a checkpoint, an adapter's or a model's folder, or a name of a model.

    Args:
        base: the model that an adapter stands on, where its run does not say it or has moved.
        four_bit: whether the adapter was trained over a base in 4 bits; None: as its run says.

    Raises:
        NotFoundError: there is neither a model nor an adapter.
        ModelError: the base of an adapter cannot be found.
    """
    path = Path(place).expanduser()
    if path.is_dir() and not _holds(path) and _holds(path / MODEL):
        path = path / MODEL
    manifest = next((read_manifest(f) for f in (path, *path.parents[:2]) if (f / MANIFEST).is_file()), None)
    if not (path / ADAPTER_FILE).is_file():
        if not path.is_dir() or not _holds(path):
            return TrainedModel(Path(_whole(str(place))), None, False, None)
        return TrainedModel(path, None, False, manifest)
    found = base_folder(base) if base else _base_of(path, manifest)
    if four_bit is None:
        four_bit = manifest is not None and manifest.mode in FOUR_BIT
    return TrainedModel(path, found, four_bit, manifest)


def _holds(path: Path) -> bool:
    return (path / ADAPTER_FILE).is_file() or (path / CONFIG_FILE).is_file()


def _whole(name: str) -> str:
    try:
        return base_folder(name)
    except ModelError as error:
        raise NotFoundError(
            f"{name}: holds neither a model ({CONFIG_FILE}) nor an adapter ({ADAPTER_FILE}), and is no run of "
            "lunheng tune; give the run's folder"
        ) from error


def _base_of(path: Path, manifest: Manifest | None) -> str:
    """Where the run left its base, else where the recipe or the adapter says that it comes from."""
    if manifest is not None and (Path(manifest.base_folder) / CONFIG_FILE).is_file():
        return manifest.base_folder
    said = json.loads((path / ADAPTER_FILE).read_text(encoding="utf-8")).get("base_model_name_or_path") or ""
    for name in ([manifest.base] if manifest else []) + [said]:
        if name:
            try:
                return base_folder(name)
            except ModelError:
                continue
    raise ModelError(f"{path}: its base model {said or '(not named)'} is not here; name it with --base")


def open_tokenizer(model: TrainedModel) -> Any:
    """Its tokenizer, chat template included: the adapter's own where it was saved with one.

    Raises:
        MissingExtraError: the extra ``tune`` is not installed.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "tune") from error

    here = (model.folder / "tokenizer_config.json").is_file()
    folder = str(model.folder if here or model.base is None else model.base)
    with hub_offline(), own_code(folder, model.trust_code) as trusted:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trusted)


def open_base(model: TrainedModel, *, four_bit: bool = False, dequantised: bool = False, head: Head = "words") -> Any:
    """The base of an adapter, with as many embeddings as the adapter brings; or a whole model.

    Args:
        four_bit: in NF4 with double quantisation, as QLoRA trains over it.
        dequantised: the same, then turned back into float32: exactly the weights that the adapter has seen.

    Raises:
        MissingExtraError: the extra ``tune`` is not installed.
        ModelError: the weights cannot be read.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("transformers", "tune") from error
    folder = model.base or str(model.folder)
    try:
        with hub_offline():
            opened = load_base(
                folder,
                ParameterPart(mode="qlora" if four_bit or dequantised else "lora"),
                torch.float32,
                head,
                model.trust_code,
            )
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: cannot be opened as a language model ({error})") from error
    if dequantised:
        opened = opened.dequantize(dtype=torch.float32)
    if model.is_adapter:
        opening.fit_embeddings(opened, model.folder)
    return opened.eval()


def attach(opened: Any, model: TrainedModel) -> Any:
    """The adapter on its base.

    Raises:
        ModelError: it does not fit, or PEFT does not know it.
    """
    return opening.attach(opened, model.folder)


def open_trained(model: TrainedModel, head: Head = "words") -> Any:
    """The model as it was trained: an adapter on its base (in 4 bits, where it was), or a whole model."""
    opened = open_base(model, four_bit=model.four_bit, head=head)
    return attach(opened, model) if model.is_adapter else opened
