"""Settings: ``lunheng.toml`` and ``LUNHENG_*`` environment variables, strict.

Called by ``KnowledgeBase.open`` and the CLI. An unknown key is an error at load. Precedence:
arguments, then environment (``LUNHENG_RETRIEVAL__RRF_K=30``), then the file, then the defaults.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, get_args

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from lunheng.errors import ConfigError
from lunheng.types import Limits

CONFIG_NAME = "lunheng.toml"
Place = Literal["package", "hub", "modelscope", "url", "folder"]
_OWN_VARIABLES = ("LUNHENG_KB", "LUNHENG_CACHE", "LUNHENG_DATA")
"""Environment variables that are no settings."""


def cache_dir() -> Path:
    """Where models are kept: ``LUNHENG_CACHE``, else the user's XDG cache."""
    given = os.environ.get("LUNHENG_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("lunheng"))


def data_dir() -> Path:
    """Where the list of trained models is kept: ``LUNHENG_DATA``, else the user's XDG data folder."""
    given = os.environ.get("LUNHENG_DATA")
    return Path(given) if given else Path(platformdirs.user_data_dir("lunheng"))


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EndpointSettings(_Section):
    """An OpenAI-compatible server."""

    base_url: str
    model: str
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key; keys never stand in the file."""
    timeout_seconds: float = 60.0
    max_retries: int = Field(4, ge=0)
    window: int = Field(8192, gt=0)
    dimension: int | None = None
    shape: Literal["openai", "cohere"] = "openai"


class ModelSettings(_Section):
    """Which models are in use. A name is looked up in models.toml; ``pkg.module:Name`` is your own."""

    embedder: str = "multilingual-e5-small"
    llm: str = "qwen2.5-coder-1.5b-instruct"
    """A registry name, a GGUF file, a model's folder, ``package.module:Name``, ``endpoint``, or ``none`` (extractive)."""
    reranker: str = "default"
    """``default``, ``none``, a registry name, or ``package.module:Name``."""
    llm_endpoint: EndpointSettings | None = None
    embedder_endpoint: EndpointSettings | None = None
    vision_endpoint: EndpointSettings | None = None
    """A model that reads pictures, for ``parsing.describe_figures``."""
    registry: Path | None = None
    """A models.toml of your own, laid over the one in the package."""
    places: tuple[Place, ...] = ("folder", "package", "hub", "modelscope", "url")
    threads: int = Field(0, ge=0)
    """0: as many as the machine has cores."""
    auto_pull: bool = False
    """Fetch a missing model when it is first needed, instead of an error that names the command."""


class ChunkingSettings(_Section):
    strategy: str = "auto"
    size: int | None = Field(None, ge=16, le=8192)
    """Tokens of the embedder, lowered to its window where larger; None: by domain (see chunking/presets.py)."""
    overlap: int = Field(40, ge=0)
    tokenizer: Literal["model", "cl100k"] = "model"
    """What counts the tokens: the embedder's tokenizer, or OpenAI's (extra ``cl100k``) within the embedder's window."""
    context: Literal["auto", "none", "headings", "outline", "sentence", "llm"] = "auto"
    """What stands before each chunk where it is embedded and indexed: nothing; its title and headings; those, or the
    document's first sentence where it has neither; those and the first sentence above it; or those and a line by the
    language model. ``auto``: as the strategy has it."""
    heading_level: int = Field(0, ge=0, le=6)
    """``structure`` never joins sections across a heading of this level or above; 0: the highest level that has two."""
    child_size: int = Field(128, ge=16)
    """``parent_child`` searches pieces of so many tokens, and gives their parents of ``size`` to the answer."""
    boundaries: Literal["embeddings", "llm"] = "embeddings"
    """What proposes where ``semantic`` cuts: the distance of neighbouring sentences, or the language model."""
    breakpoint: Literal["percentile", "standard_deviation", "interquartile", "gradient", "absolute"] = "percentile"
    """How a distance is found to be large; see chunking/breakpoints.py."""
    threshold: float | None = Field(None, ge=0)
    """In the unit of ``breakpoint``; by default what is usual for it."""
    buffer: int = Field(1, ge=0, le=10)
    """Sentences before and after that are read together with each."""
    min_size: int = Field(64, ge=0)
    """Tokens that a piece of ``semantic`` has at the least, where the text allows."""


class RetrievalSettings(_Section):
    candidates: int = Field(60, ge=1)
    """How many each retriever gives to the fusion."""
    rrf_k: int = Field(60, ge=1)
    dense_weight: float = Field(1.0, ge=0)
    lexical_weight: float = Field(1.0, ge=0)
    adaptive: bool = True
    """Scale the weights by the evidence of each query (see retrieval/fusion.py)."""
    rerank_candidates: int = Field(30, ge=0)
    duplicate_similarity: float = Field(0.97, gt=0, le=1)
    """Hits whose vectors are at least this close, and whose words mostly agree, count as one."""
    neighbours: int = Field(0, ge=0)
    """Chunks before and after each hit that are joined to it."""
    sections: bool = False
    """Join each hit to the rest of its section: the chunks around it under the same headings."""


class AnsweringSettings(_Section):
    strategy: Literal["naive", "advanced"] = "naive"
    context_tokens: int = Field(700, ge=64)
    max_answer_tokens: int = Field(256, ge=16)
    max_sources: int = Field(4, ge=1)
    attempts: int = Field(3, ge=1)
    """How often an answer is written: where nothing of the first passes the check, anew from one source alone."""
    confidence_threshold: float = Field(0.12, ge=0, le=1)
    """Below it nothing is written: the sources hardly ever answer the question then."""
    translate_below: float = Field(0.6, ge=0, le=1)
    """A question whose own words find less confidence than this is also searched in the collection's other language."""
    temperature: float = Field(0.0, ge=0)


class StorageSettings(_Section):
    vectors: Literal["auto", "exact", "qdrant", "faiss"] = "auto"
    exact_below: int = Field(16_000, ge=0)
    """``auto`` scans exactly below so many chunks and uses qdrant above."""
    vector_type: Literal["float32", "int8"] = "float32"
    writer_timeout_seconds: float = Field(60.0, ge=0)


_LIMITS = Limits()


class ParsingSettings(_Section):
    max_bytes: int = _LIMITS.max_bytes
    max_pages: int = _LIMITS.max_pages
    max_expanded_bytes: int = _LIMITS.max_expanded_bytes
    max_expansion_ratio: float = _LIMITS.max_expansion_ratio
    max_nesting: int = _LIMITS.max_nesting
    max_pixels: int = _LIMITS.max_pixels
    max_cells: int = _LIMITS.max_cells
    max_seconds: float = _LIMITS.max_seconds
    max_memory_bytes: int = _LIMITS.max_memory_bytes
    wide_sheet_columns: int = _LIMITS.wide_sheet_columns
    ocr_figures: int = Field(_LIMITS.ocr_figures, ge=0)
    """How many pictures in a document are recognised; 0: none."""
    describe_figures: int = Field(_LIMITS.describe_figures, ge=0)
    """How many pictures of a document are described by ``models.vision_endpoint``; 0: none."""
    ocr: Literal["auto", "off", "rapidocr", "tesseract"] = "auto"
    """Which engine recognises pages without a text layer, and pictures; ``auto``: the first that is installed."""

    def limits(self) -> Limits:
        """The limits that each parse runs under."""
        return Limits(**{k: v for k, v in self.model_dump().items() if k != "ocr"})


class Settings(BaseSettings):
    """Everything that can be set, with its default."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="LUNHENG_", env_nested_delimiter="__", toml_file=None
    )

    models: ModelSettings = ModelSettings()
    chunking: ChunkingSettings = ChunkingSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    answering: AnsweringSettings = AnsweringSettings()
    storage: StorageSettings = StorageSettings()
    parsing: ParsingSettings = ParsingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @classmethod
    def load(cls, folder: Path | str | None = None, **overrides: Any) -> Settings:
        """Read ``lunheng.toml`` in ``folder`` (else in the working directory), then the environment.

        Raises:
            ConfigError: for an unknown key, a wrong type or a value out of range; names the key.
        """
        for name in os.environ:
            section = name.removeprefix("LUNHENG_").split("__")[0].lower()
            if name.startswith("LUNHENG_") and name not in _OWN_VARIABLES and section not in cls.model_fields:
                raise ConfigError(
                    f"environment: {name} sets nothing; a setting is written LUNHENG_SECTION__KEY, as "
                    "LUNHENG_RETRIEVAL__RRF_K. See `lunheng config show` for every key."
                )
        candidates = [Path(folder) / CONFIG_NAME] if folder else []
        candidates.append(Path.cwd() / CONFIG_NAME)
        path = next((c for c in candidates if c.is_file()), None)
        bound = type(
            cls.__name__, (cls,), {"model_config": SettingsConfigDict(**{**cls.model_config, "toml_file": path})}
        )
        try:
            return bound(**overrides)  # type: ignore[no-any-return]
        except ValidationError as error:
            where = "; ".join(_complaint(tuple(map(str, e["loc"])), e["type"], e["msg"]) for e in error.errors())
            where += "" if where.endswith("?") else "."
            raise ConfigError(
                f"settings ({path or 'environment'}): {where} See `lunheng config show` for every key."
            ) from error
        except ValueError as error:  # tomllib.TOMLDecodeError, SettingsError
            raise ConfigError(f"settings ({path or 'environment'}): {error}") from error


def _complaint(place: tuple[str, ...], kind: str, message: str) -> str:
    """What is wrong at ``place``; for an unknown key, the one that was likely meant."""
    where = ".".join(place)
    if kind != "extra_forbidden":
        return f"{where}: {message}"
    import difflib

    section: type[BaseModel] = Settings
    for step in place[:-1]:
        annotation = section.model_fields[step].annotation
        section = next(c for c in (annotation, *get_args(annotation)) if isinstance(c, type))
    near = difflib.get_close_matches(place[-1], section.model_fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(section.model_fields)}"
    return f"{where} is no setting; {hint}"
