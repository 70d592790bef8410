"""The ports to models: give the settings, get an embedder, a reranker, a language model.

Called by ``KnowledgeBase`` and the CLI. Light to import; each provider is imported when it is
asked for. Names come from models.toml (see ``models.registry``), or are ``endpoint``, or are your
own ``package.module:Name``: a class or function that is called without arguments and gives an
object with the methods of the protocol. A language model may also be a path: a GGUF file, or a
folder in Hugging Face's form.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lunheng.config import EndpointSettings, ModelSettings
from lunheng.errors import ConfigError, ModelError, ModelNotPulledError
from lunheng.protocols import LLM, Describer, Embedder, Reranker

if TYPE_CHECKING:
    from lunheng.models.registry import ModelEntry, Registry, Task
    from lunheng.models.store import Manifest

LATE_INTERACTION = "late-interaction"
"""The reranker that needs no model of its own: MaxSim over the embedder's token vectors."""
DEFAULT_RERANKER = "none"
"""What ``models.reranker = "default"`` means."""

__all__ = ["DEFAULT_RERANKER", "LATE_INTERACTION", "load_describer", "load_embedder", "load_llm", "load_reranker"]


def load_embedder(settings: ModelSettings) -> Embedder:
    """The embedder that ``settings.embedder`` names.

    Raises:
        ModelError: unknown, not pulled (the message names the command), damaged, or of another task.
        ConfigError: ``endpoint`` without ``embedder_endpoint``, or ``package.module:Name`` that is not there.
        MissingExtraError: it needs torch, which is not installed.
    """
    name = settings.embedder
    if ":" in name:
        return cast(Embedder, _own(name, Embedder))
    registry = _registry(settings)
    if name == "endpoint":
        return _endpoint_embedder(settings, registry)
    entry = _entry(registry, name, "embedder")
    folder, manifest = _folder(settings, registry, entry)
    if entry.format == "onnx":
        from lunheng.models.embedders.onnx import OnnxEmbedder

        return OnnxEmbedder(
            folder,
            query_prefix=entry.query_prefix,
            passage_prefix=entry.passage_prefix,
            window=entry.window,
            pooling=entry.pooling,
            identity=manifest.identity,
            threads=settings.threads,
        )
    if entry.format == "torch":
        from lunheng.models.embedders.sentence_transformers import SentenceTransformersEmbedder

        return SentenceTransformersEmbedder(
            folder,
            query_prefix=entry.query_prefix,
            passage_prefix=entry.passage_prefix,
            window=entry.window,
            identity=manifest.identity,
        )
    raise _wrong_format(entry)


def load_llm(settings: ModelSettings) -> LLM | None:
    """The language model that ``settings.llm`` names; None for ``none`` (extractive answers).

    A name of the registry comes before a folder that is called the same; write ``./NAME`` for the folder.

    Raises:
        ModelError, ConfigError, MissingExtraError: as ``load_embedder``.
    """
    name = settings.llm
    if name == "none":
        return None
    if name not in (registry := _registry(settings)) and (found := _llm_on_disk(name, settings)) is not None:
        return found
    if ":" in name:
        return cast(LLM, _own(name, LLM))
    if name == "endpoint":
        from lunheng.models.llms.openai_compatible import OpenAICompatibleLLM

        return OpenAICompatibleLLM(_endpoint(settings.llm_endpoint, "llm"))
    entry = _entry(registry, name, "llm")
    if entry.format not in ("gguf", "torch"):
        raise _wrong_format(entry)
    folder, manifest = _folder(settings, registry, entry)
    if entry.format == "torch":
        from lunheng.models.llms.hugging_face import HuggingFaceLLM

        return HuggingFaceLLM(folder, threads=settings.threads)
    from lunheng.models.llms.llamacpp import DEFAULT_WINDOW, LlamaCppLLM

    return LlamaCppLLM(
        folder / "model.gguf",
        name=entry.name,
        identity=manifest.identity,
        window=min(DEFAULT_WINDOW, entry.window),
        threads=settings.threads,
    )


def _llm_on_disk(name: str, settings: ModelSettings) -> LLM | None:
    """The model that lies at the path ``name``; None where it is no path.

    Raises:
        ModelError: it is one, and there is no model.
    """
    path = Path(name).expanduser()
    gguf = path
    if path.is_dir():
        from lunheng.models.llms.hugging_face import HuggingFaceLLM, is_model_folder

        if is_model_folder(path):
            return HuggingFaceLLM(path, threads=settings.threads)
        inside = sorted(path.glob("*.gguf"))
        if len(inside) != 1:
            raise ModelError(
                f"model {name}: this folder holds neither config.json nor adapter_config.json, nor a run of "
                f"lunheng tune, nor one .gguf file ({len(inside)} found)"
            )
        gguf = inside[0]
    if gguf.suffix == ".gguf" and gguf.is_file():
        from lunheng.models.llms.llamacpp import LlamaCppLLM

        return LlamaCppLLM(gguf, threads=settings.threads)
    if gguf.suffix == ".gguf" or name.startswith((".", "~", "/")):
        raise ModelError(f"model {name}: no such folder or file")
    return None


def load_describer(settings: ModelSettings, pictures: int) -> Describer | None:
    """What describes pictures; None where ``pictures``, the setting parsing.describe_figures, is 0.

    Raises:
        ConfigError: pictures are to be described, and no endpoint is set.
    """
    if pictures == 0:
        return None
    if settings.vision_endpoint is None:
        raise ConfigError(
            f"parsing.describe_figures is {pictures}, and no model is set that reads pictures: add the table "
            "[models.vision_endpoint] with base_url and model, or set parsing.describe_figures to 0."
        )
    from lunheng.models.describers.openai_compatible import EndpointDescriber

    return EndpointDescriber(settings.vision_endpoint)


def load_reranker(settings: ModelSettings, embedder: Embedder) -> Reranker | None:
    """The reranker that ``settings.reranker`` names; None for ``none``.

    Raises:
        ModelError, ConfigError, MissingExtraError: as ``load_embedder``; also where late interaction
            is asked of an embedder that gives no token vectors.
    """
    name = DEFAULT_RERANKER if settings.reranker == "default" else settings.reranker
    if name == "none":
        return None
    if ":" in name:
        return cast(Reranker, _own(name, Reranker))
    if name == LATE_INTERACTION:
        from lunheng.models.rerankers.late_interaction import LateInteractionReranker, TokenEmbedder

        if not isinstance(embedder, TokenEmbedder):
            raise ModelError(
                f"reranker {name}: the embedder {type(embedder).__name__} gives no token vectors. "
                "Use an ONNX embedder, or set models.reranker to another."
            )
        return LateInteractionReranker(embedder)
    registry = _registry(settings)
    entry = _entry(registry, name, "reranker")
    folder, manifest = _folder(settings, registry, entry)
    if entry.format == "onnx":
        from lunheng.models.rerankers.onnx import OnnxReranker

        return OnnxReranker(folder, window=entry.window, identity=manifest.identity, threads=settings.threads)
    if entry.format == "torch":
        from lunheng.models.rerankers.cross_encoder_torch import TorchReranker

        return TorchReranker(folder, window=min(entry.window, 1024), identity=manifest.identity)
    raise _wrong_format(entry)


def _registry(settings: ModelSettings) -> Registry:
    from lunheng.models.registry import Registry

    return Registry.load(settings.registry)


def _entry(registry: Registry, name: str, task: Task) -> ModelEntry:
    entry = registry[name]
    if entry.task != task:
        raise ModelError(f"model {name}: is a {entry.task} and a {task} was asked for.")
    return entry


def _folder(settings: ModelSettings, registry: Registry, entry: ModelEntry) -> tuple[Path, Manifest]:
    from lunheng.models.store import installed, models_folder, remedy

    there = installed(entry.name)
    if there is None and settings.auto_pull and entry.places:
        from lunheng.models.download import pull

        pull(entry.name, registry=registry, places=settings.places)
        there = installed(entry.name)
    if there is None:
        if entry.format == "endpoint":
            raise _wrong_format(entry)
        raise ModelNotPulledError(f"model {entry.name}: is not in {models_folder()}. {remedy(entry.name)}")
    return there


def _endpoint(endpoint: EndpointSettings | None, part: str) -> EndpointSettings:
    if endpoint is None:
        raise ConfigError(
            f'models.{part} is "endpoint", but [models.{part}_endpoint] with base_url and model is missing.'
        )
    return endpoint


def _endpoint_embedder(settings: ModelSettings, registry: Registry) -> Embedder:
    """What the registry knows of the served model (prefixes, dimension, window) fills what is not set."""
    from lunheng.models.embedders.openai_compatible import EndpointEmbedder

    endpoint = _endpoint(settings.embedder_endpoint, "embedder")
    name = next((n for n in (endpoint.model, endpoint.model.rpartition("/")[2]) if n in registry), None)
    if name is None:
        return EndpointEmbedder(endpoint)
    entry = registry[name]
    known = {"dimension": endpoint.dimension or entry.dimension, "window": min(endpoint.window, entry.window)}
    return EndpointEmbedder(
        endpoint.model_copy(update=known), query_prefix=entry.query_prefix, passage_prefix=entry.passage_prefix
    )


def _own(name: str, protocol: Any) -> Any:
    module, _, attribute = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"model {name!r}: cannot be imported: {error}") from error
    if isinstance(made, type) or not isinstance(made, protocol):
        made = made()
    if not isinstance(made, protocol):
        raise ConfigError(f"model {name!r}: gives a {type(made).__name__}, which lacks methods of {protocol.__name__}.")
    return made


def _wrong_format(entry: ModelEntry) -> ModelError:
    if entry.format == "endpoint":
        return ModelError(
            f'model {entry.name}: is served by an endpoint. Set models.{entry.task} = "endpoint" and '
            f"[models.{entry.task}_endpoint] with its base_url and model."
        )
    return ModelError(f"model {entry.name}: the format {entry.format} is not one for a {entry.task}.")
