"""Recipes: everything that a training run is made of, strict, from TOML or from Python.

Called by ``lunheng tune`` and by whoever trains from Python. An unknown key is an error at load that names the one
likely meant; what a method does not use is an error too, so that no line of a recipe says nothing.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from lunheng.errors import ConfigError, MissingExtraError
from lunheng.tuning.data.examples import Kind
from lunheng.tuning.encoder_parts import EmbeddingPart, RerankingPart
from lunheng.tuning.parameter_part import ENCODER_MODES, VIRTUAL, check_parameters
from lunheng.tuning.parameter_part import FOUR_BIT as FOUR_BIT
from lunheng.tuning.parameter_part import ParameterPart as ParameterPart
from lunheng.tuning.reinforcement_parts import ProximalPart, RewardPart, check_reward

Method = Literal["clm", "sft", "reward", "dpo", "kto", "ppo", "rloo", "grpo", "embed", "rerank"]
ENCODERS: tuple[Method, ...] = ("embed", "rerank")
"""Methods that train an encoder rather than a language model."""
NEEDS: Mapping[Method, Kind] = {
    "clm": "text",
    "sft": "conversation",
    "reward": "preference",
    "dpo": "preference",
    "kto": "judged",
    "ppo": "prompt",
    "rloo": "prompt",
    "grpo": "prompt",
    "embed": "triple",
    "rerank": "triple",
}
"""The kind of example that each method learns from."""

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class ModelPart:
    """The model that is trained."""

    name: str
    """A folder in Hugging Face's form, a GGUF file, a name of models.toml, or a hub id (fetched only where configured)."""
    template: str | None = None
    """The chat template of a base model that has none: chatml, llama3, or a Jinja file. A model's own is always used."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    trust_code: bool = False
    """Run the Python that lies in the checkpoint, which architectures need that transformers does not hold."""


@dataclass(frozen=True, config=_STRICT)
class SourcePart:
    """One data set of a mix."""

    path: Path
    weight: Annotated[float, Field(gt=0)] = 1.0
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, config=_STRICT)
class DataPart:
    """What is learnt, and what it is measured on."""

    train: tuple[SourcePart, ...]
    evaluation: tuple[SourcePart, ...] = ()
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Of the training groups, where no evaluation set is given."""
    window: Annotated[int, Field(ge=16)] = 1024
    """Tokens of an example at the most."""
    packing: bool = False
    """sft: several examples in one window, each blind to the others. (clm always packs.)"""
    across_documents: bool = False
    """clm: a document sees those before it in its window."""
    too_long: Literal["truncate", "drop", "refuse"] = "refuse"
    """What becomes of an example over the window; what is cut or dropped is counted and named."""


@dataclass(frozen=True, config=_STRICT)
class TrainingPart:
    """How it is trained."""

    epochs: Annotated[float, Field(gt=0)] = 3.0
    steps: Annotated[int, Field(ge=1)] | None = None
    """Stop after so many steps, whatever ``epochs`` says."""
    batch: Annotated[int, Field(ge=1)] = 8
    """Examples a step on all devices together."""
    device_batch: Annotated[int, Field(ge=1)] | None = None
    """Examples at a time on one device; the rest of the batch is accumulated. None: as many as the memory estimate allows."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """None: by method and mode."""
    schedule: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    warmup_share: Annotated[float, Field(ge=0, lt=1)] = 0.05
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip: Annotated[float, Field(gt=0)] = 1.0
    optimiser: Literal["auto", "adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor"] = "auto"
    """auto: paged_adamw_8bit over a base in 4 bits on a CUDA GPU (Dettmers et al. 2023), else adamw."""
    checkpointing: bool | None = None
    """Recompute activations to save memory; None: where the estimate does not fit without."""
    by_length: bool = True
    """Batches of similar length."""
    seed: int = 0
    save_steps: Annotated[int, Field(ge=1)] | None = None
    evaluate_steps: Annotated[int, Field(ge=1)] | None = None
    keep: Annotated[int, Field(ge=1)] = 2
    """Checkpoints kept, the best aside."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Stop after so many evaluations without a better one."""
    trackers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = ()


@dataclass(frozen=True, config=_STRICT)
class PreferencePart:
    """Of dpo, kto and reward; each key says which of them know it."""

    beta: Annotated[float, Field(gt=0)] | None = None
    """dpo, kto: how near the model stays to the reference; ipo's tau. None: 0.1."""
    loss: Literal["sigmoid", "ipo", "hinge", "robust", "apo_zero", "sigmoid_norm", "kto"] | None = None
    """dpo: sigmoid (Rafailov et al. 2023, the default), ipo (Azar et al. 2023), hinge (Zhao et al. 2023), robust
    (Chowdhury et al. 2024, where some labels are wrong), apo_zero (D'Oosterlinck et al. 2024), sigmoid_norm (per
    token: an answer gains nothing by being short). kto: kto (Ethayarajh et al. 2024, the default), apo_zero."""
    label_smoothing: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """robust: the share of labels that are taken to be wrong. None: 0.1."""
    reference_free: bool = False
    """dpo: the reference finds all answers equally likely, and none is loaded."""
    precompute: bool = False
    """dpo, kto: what the reference says is computed once, before the first step, and it is not kept in memory."""
    supervised: Annotated[float, Field(ge=0)] = 0.0
    """dpo: the weight of a supervised loss on the chosen answers, on top (Pang et al. 2024: 1.0)."""
    desirable: Annotated[float, Field(gt=0)] | None = None
    undesirable: Annotated[float, Field(gt=0)] | None = None
    """kto: the weights of thumbs up and down. None: such that both sides weigh the same."""
    center: Annotated[float, Field(ge=0)] = 0.0
    """reward: pulls the scores of each pair towards 0 (Eisenstein et al. 2023: 0.01)."""


_PREFERENCE_KEYS: Mapping[Method, tuple[str, ...]] = {
    "dpo": ("beta", "loss", "label_smoothing", "reference_free", "precompute", "supervised"),
    "kto": ("beta", "loss", "precompute", "desirable", "undesirable"),
    "reward": ("center",),
}
_LOSSES: Mapping[Method, tuple[str, ...]] = {
    "dpo": ("sigmoid", "ipo", "hinge", "robust", "apo_zero", "sigmoid_norm"),
    "kto": ("kto", "apo_zero"),
}


@dataclass(frozen=True, config=_STRICT)
class ParallelPart:
    """On how many devices, and what they share. ``lunheng tune launch`` writes what starts them."""

    devices: Annotated[int, Field(ge=1)] = 1
    """GPUs (or processes on CPUs) of each machine."""
    nodes: Annotated[int, Field(ge=1)] = 1
    """Machines."""
    strategy: Literal["none", "ddp", "fsdp", "zero2", "zero3"] = "none"
    """ddp: each device holds everything. fsdp (Zhao et al. 2023) and DeepSpeed's zero3 (Rajbhandari et al. 2020) share
    weights, gradients and optimiser states out; zero2 only the last two."""
    offload: bool = False
    """Keep what is shared out in RAM while it is not used: slower, and smaller on the GPU."""

    @property
    def world(self) -> int:
        """Devices in all."""
        return self.devices * self.nodes


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """A training run."""

    method: Method
    model: ModelPart
    data: DataPart
    output: Path
    parameters: ParameterPart = ParameterPart()
    training: TrainingPart = TrainingPart()
    preference: PreferencePart | None = None
    reward: RewardPart | None = None
    ppo: ProximalPart | None = None
    parallel: ParallelPart = ParallelPart()
    embedding: EmbeddingPart | None = None
    reranking: RerankingPart | None = None

    def __post_init__(self) -> None:
        _check_parallel(self)
        _check_data(self)
        check_parameters(self.parameters, bool(self.training.checkpointing))
        _refuse_unused(self.preference, "preference", self.method, tuple(_PREFERENCE_KEYS))
        _check_preference(self.method, self.preference)
        _refuse_unused(self.embedding, "embedding", self.method, ("embed",))
        _refuse_unused(self.reranking, "reranking", self.method, ("rerank",))
        if self.method in ENCODERS:
            _refuse_of_language_models(self)
        _refuse_unused(self.reward, "reward", self.method, ("ppo", "rloo", "grpo"))
        _refuse_unused(self.ppo, "ppo", self.method, ("ppo",))
        if self.method in ("ppo", "rloo", "grpo"):
            check_reward(self, self.reward)

    @property
    def kind(self) -> Kind:
        """The kind of example that it learns from."""
        return NEEDS[self.method]


def _check_parallel(recipe: Recipe) -> None:
    parallel = recipe.parallel
    shared = parallel.strategy in ("fsdp", "zero2", "zero3")
    if parallel.world > 1 and parallel.strategy == "none":
        raise ValueError(
            f"parallel.strategy: {parallel.world} devices need one; ddp where the model fits on each, else fsdp"
        )
    if parallel.offload and not shared:
        raise ValueError("parallel.offload: only fsdp, zero2 and zero3 offload")
    if recipe.training.batch % parallel.world:
        raise ValueError(
            f"training.batch: {recipe.training.batch} examples cannot be shared by {parallel.world} devices; "
            "take a multiple"
        )
    if shared and recipe.parameters.mode in FOUR_BIT:
        raise ValueError(
            f"parallel.strategy: {parallel.strategy} does not share out a base in 4 bits, which fits whole more often; "
            "take ddp, or parameters.mode = lora"
        )
    if shared and recipe.training.optimiser in ("adamw_8bit", "paged_adamw_8bit"):
        raise ValueError(
            f"training.optimiser: {recipe.training.optimiser} does not know parameters that {parallel.strategy} has "
            "shared out; take adamw, whose states are shared out too"
        )


def _check_data(recipe: Recipe) -> None:
    data = recipe.data
    if recipe.method == "clm":
        if data.too_long != "refuse":
            raise ValueError("data.too_long: clm fills every window and cuts nothing off; remove it")
        if recipe.model.template is not None:
            raise ValueError("model.template: clm learns running text, without a chat template; remove it")
    elif data.across_documents:
        raise ValueError(f"data.across_documents: is for clm, and the method is {recipe.method}; remove it")
    if data.packing and recipe.method not in ("clm", "sft"):
        raise ValueError(f"data.packing: is for sft (and clm always packs); {recipe.method} does not; remove it")
    apart = data.packing if recipe.method != "clm" else not data.across_documents
    if apart and recipe.model.trust_code:
        raise ValueError(
            "model.trust_code: examples in one window are kept apart by transformers' own attention, and Python of the "
            "checkpoint's own may let them see each other; "
            + ("say data.across_documents = true" if recipe.method == "clm" else "say data.packing = false")
        )
    if apart and recipe.parameters.mode in VIRTUAL:
        raise ValueError(
            f"parameters.mode: {recipe.parameters.mode} sets learnt vectors before the window, and then its examples "
            "cannot be kept apart; "
            + ("say data.across_documents = true" if recipe.method == "clm" else "say data.packing = false")
        )


def _check_preference(method: Method, part: PreferencePart | None) -> None:
    if part is None:
        return
    known = _PREFERENCE_KEYS[method]
    for key in dataclasses.fields(part):
        if key.name not in known and getattr(part, key.name) != key.default:
            raise ValueError(f"preference.{key.name}: {method} does not know it; it knows {', '.join(known)}")
    if part.loss is not None and part.loss not in _LOSSES[method]:
        raise ValueError(f"preference.loss: {method} has no {part.loss}; it has {', '.join(_LOSSES[method])}")
    if part.label_smoothing is not None and part.loss != "robust":
        raise ValueError('preference.label_smoothing: only the loss robust takes it; say loss = "robust", or remove it')
    if part.reference_free and part.loss == "apo_zero":
        raise ValueError(
            "preference.reference_free: apo_zero compares each answer with the reference, not the two with each other, "
            "and there is none; take sigmoid_norm"
        )
    if part.reference_free and part.precompute:
        raise ValueError("preference.precompute: there is no reference to compute with reference_free; remove one")


def _refuse_unused(part: object, name: str, method: str, methods: tuple[str, ...]) -> None:
    if part is not None and method not in methods:
        raise ValueError(f"[{name}] is for {', '.join(methods)}, and the method is {method}; remove it")


def _refuse_of_language_models(recipe: Recipe) -> None:
    """What an encoder's training makes no use of."""
    model, parameters, training = recipe.model, recipe.parameters, recipe.training
    for name, set_so in (
        ("model.template", model.template is not None),
        ("model.trust_code", model.trust_code),
        ("data.packing", recipe.data.packing),
        ("parameters.plus_ratio", parameters.plus_ratio is not None),
        ("parameters.save_embeddings", parameters.save_embeddings is not None),
    ):
        if set_so:
            raise ValueError(f"{name} is for language models, and the method is {recipe.method}; remove it")
    if parameters.mode not in ENCODER_MODES:
        raise ValueError(
            f"parameters.mode: {recipe.method} trains in the modes {', '.join(ENCODER_MODES)}, not {parameters.mode}"
        )
    loss = recipe.embedding.loss if recipe.embedding else "multiple_negatives"
    if (
        recipe.method == "embed"
        and loss == "multiple_negatives"
        and training.device_batch not in (None, training.batch)
    ):
        raise ValueError(
            "training.device_batch: the negatives are those of one device's batch, so that accumulating would leave most "
            'of them out; set embedding.loss = "cached_multiple_negatives", which takes device_batch at a time'
        )


_ADAPTER = TypeAdapter(Recipe)


def load_recipe(path: Path | str, method: Method | None = None, **changes: Any) -> Recipe:
    """Read a recipe; paths in it are relative to its folder.

    Args:
        method: what the command line says; a recipe that says another is an error.
        changes: values by dotted name that stand above the file's (``training.steps=20``).

    Raises:
        ConfigError: the file is missing, is not TOML, or holds an unknown key or a wrong value; names the key.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not TOML ({error})") from error
    if method is not None and raw.setdefault("method", method) != method:
        raise ConfigError(f"{path}: is a recipe for {raw['method']}, not {method}; run lunheng tune {raw['method']}")
    return make_recipe(raw, path.parent, str(path), **changes)


def make_recipe(raw: Mapping[str, Any], folder: Path = Path(), where: str = "recipe", **changes: Any) -> Recipe:
    """The recipe that ``raw`` describes, with ``changes`` as of ``load_recipe``; paths are relative to ``folder``.

    Raises:
        ConfigError: as ``load_recipe``.
    """
    made = _with_lists(raw)
    for name, value in changes.items():
        _set(made, name.split("."), value)
    if made.get("method") in ENCODERS and isinstance(made.get("parameters", {}), dict):
        made["parameters"] = {"mode": "full", **made.get("parameters", {})}
    try:
        recipe = _ADAPTER.validate_python(_with_lists(made))
    except ValidationError as error:
        raise ConfigError(f"{where}: " + "; ".join(_complaint(e) for e in error.errors())) from error
    data = dataclasses.replace(
        recipe.data,
        train=tuple(dataclasses.replace(s, path=folder / s.path) for s in recipe.data.train),
        evaluation=tuple(dataclasses.replace(s, path=folder / s.path) for s in recipe.data.evaluation),
    )
    name = recipe.model.name
    model = dataclasses.replace(recipe.model, name=str(folder / name)) if (folder / name).exists() else recipe.model
    return dataclasses.replace(
        recipe,
        data=data,
        model=model,
        output=folder / recipe.output,
        reward=recipe.reward and recipe.reward.within(folder),
        embedding=recipe.embedding and recipe.embedding.within(folder),
        reranking=recipe.reranking and recipe.reranking.within(folder),
    )


def as_plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe in the types of JSON and TOML, without what is left open."""
    plain: dict[str, Any] = _ADAPTER.dump_python(recipe, mode="json", exclude_none=True)
    return plain


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write ``recipe`` as TOML, with whole paths: it means the same wherever it is read.

    Raises:
        MissingExtraError: tomli-w is not installed.
    """
    try:
        import tomli_w
    except ImportError as error:
        raise MissingExtraError("tomli-w", "tune") from error
    data = dataclasses.replace(
        recipe.data,
        train=tuple(dataclasses.replace(s, path=s.path.absolute()) for s in recipe.data.train),
        evaluation=tuple(dataclasses.replace(s, path=s.path.absolute()) for s in recipe.data.evaluation),
    )
    name = recipe.model.name
    model = dataclasses.replace(recipe.model, name=str(Path(name).absolute()) if Path(name).exists() else name)
    here = Path.cwd()
    whole = dataclasses.replace(
        recipe,
        data=data,
        model=model,
        output=recipe.output.absolute(),
        reward=recipe.reward and recipe.reward.within(here),
        embedding=recipe.embedding and recipe.embedding.within(here),
        reranking=recipe.reranking and recipe.reranking.within(here),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tomli_w.dumps(as_plain(whole)), encoding="utf-8")


def _with_lists(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Data sets may be given as one path, or as a list of paths and tables."""
    made = dict(raw)
    if isinstance(made.get("data"), dict):
        made["data"] = dict(made["data"])
        for side in ("train", "evaluation"):
            given = made["data"].get(side)
            if given is not None:
                listed = given if isinstance(given, list) else [given]
                made["data"][side] = [{"path": s} if isinstance(s, str) else s for s in listed]
    return made


def _set(raw: dict[str, Any], steps: list[str], value: Any) -> None:
    for step in steps[:-1]:
        raw[step] = dict(raw.get(step) or {})
        raw = raw[step]
    raw[steps[-1]] = value


def _complaint(error: Any) -> str:
    place = tuple(str(step) for step in error["loc"])
    where = ".".join(place)
    if error["type"] not in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{where}: {error['msg']}".removeprefix(": ").replace("Value error, ", "")
    names = [f.name for f in dataclasses.fields(_part(place[:-1]))]
    near = difflib.get_close_matches(place[-1], names, n=1)
    return f"{where} is no key of a recipe; " + (
        f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    )


def _part(steps: tuple[str, ...]) -> type[Any]:
    """The dataclass that stands at ``steps``."""
    part: type[Any] = Recipe
    for step in steps:
        if step.isdigit():
            continue
        annotation = {f.name: f.type for f in dataclasses.fields(part)}[step]
        part = _named(str(annotation))
    return part


def _named(annotation: str) -> type[Any]:
    parts: tuple[type[Any], ...] = (ModelPart, SourcePart, DataPart, ParameterPart, TrainingPart, PreferencePart)
    parts += (RewardPart, ProximalPart, ParallelPart, EmbeddingPart, RerankingPart)
    return next(p for p in parts if p.__name__ in annotation)
