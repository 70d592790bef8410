"""Fine-tuning an embedder: a question nearer to the passage that answers it than to all others.

Called by ``methods`` and by ``lunheng tune embed``. The trainer and the losses are sentence-transformers' (Reimers and
Gurevych 2019); what is added is the end: the trained model is measured as it will serve, beside the one it came from.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lunheng.config import ModelSettings
from lunheng.errors import ConfigError, ModelError
from lunheng.evaluation.datasets import RetrievalDataset, load_dataset
from lunheng.evaluation.runner import RetrievalReport, evaluate_rankings
from lunheng.models import load_embedder
from lunheng.models.progress import sha256_of
from lunheng.protocols import Embedder, Vectors
from lunheng.tuning.arguments import arguments
from lunheng.tuning.bases import hub_offline
from lunheng.tuning.data.examples import Triple
from lunheng.tuning.encoder_parts import EmbeddingPart
from lunheng.tuning.encoders import adapters
from lunheng.tuning.encoders.bases import Encoder, find_encoder
from lunheng.tuning.encoders.lift import Lift, compare, note
from lunheng.tuning.encoders.retrieval_sets import DEPTH, Corpus, known_nearest, longest, material, nearest
from lunheng.tuning.encoders.served import SERVED, Form, device, open_embedder, serve_embedder
from lunheng.tuning.encoders.validation import BEST, evaluator, freeze_words, quietly
from lunheng.tuning.recipes import ParameterPart, Recipe
from lunheng.tuning.resuming import Resume
from lunheng.tuning.run import Trained, begin
from lunheng.types import EmbedKind, content_id

if TYPE_CHECKING:
    from lunheng.tuning.callbacks import Report

MINI_BATCH = 16
"""Examples at a time of the cached loss, where the recipe leaves it open."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of a run, and whether it is better."""

    trained: Trained
    form: Form
    """How it serves."""
    lift: Lift | None
    """None where the run was stopped before its end."""
    held_out: RetrievalDataset
    """What the lift was measured on."""


def embed(
    recipe: Recipe, resume: Resume = False, report: Report | None = None, corpus: Corpus = MappingProxyType({})
) -> Tuned:
    """Train on triples; measure on the held-out questions, over all passages of the data and of ``corpus``.

    Raises:
        ConfigError, DataError, ModelError, MissingExtraError: before anything is trained.
        TrainingError: while it trains.
    """
    part = recipe.embedding or EmbeddingPart()
    encoder = find_encoder(recipe.model.name)
    run = begin(recipe, resume, report, lambda _: encoder.folder)
    run.refuse_hopeless()
    quietly()
    model = _load(encoder, part, recipe.parameters)
    prefixes = (model.prompts["query"], model.prompts["document"])
    window = model.max_seq_length
    found = material(run, model.tokenizer, min(recipe.data.window, window), prefixes, part.negatives, corpus)
    run.settle(longest(model.tokenizer, found.rows, min(recipe.data.window, window), together=False))
    recipe = run.recipe
    trained = run.train(_trainer(recipe, part, encoder, model, found.rows, found.validation))
    form = serve_embedder(trained.model, recipe.output / SERVED, window, *prefixes)
    if trained.manifest.status != "done":
        return Tuned(trained, form, None, found.held_out)
    before = _untrained(encoder, window, prefixes)
    general = load_dataset(part.general) if part.general else None
    lift = measure_lift(before, open_embedder(form), found.held_out, general, part.allowed_loss)
    return Tuned(note(trained, lift), form, lift, found.held_out)


def measure_lift(
    before: Embedder, after: Embedder, held_out: RetrievalDataset, general: RetrievalDataset | None, allowed: float
) -> Lift:
    """Two embedders on the same questions over the same passages."""

    def both(dataset: RetrievalDataset) -> tuple[RetrievalReport, RetrievalReport]:
        old, new = known_nearest(before, dataset, DEPTH), nearest(after, dataset, DEPTH)
        return (
            evaluate_rankings(lambda q: old[q.id], dataset, DEPTH),
            evaluate_rankings(lambda q: new[q.id], dataset, DEPTH),
        )

    return Lift(compare(*both(held_out)), compare(*both(general)) if general else None, allowed)


def _load(encoder: Encoder, part: EmbeddingPart, parameters: ParameterPart) -> Any:
    """The model with the prompts that it is trained and served with, in the mode of ``parameters``."""
    from sentence_transformers import SentenceTransformer

    with hub_offline():
        try:
            model = SentenceTransformer(
                encoder.folder, local_files_only=True, device=device(), **adapters.opening(parameters)
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"model {encoder.folder}: sentence-transformers cannot load it ({error})") from error
    own = model.prompts
    passage = next((own[name] for name in ("passage", "document", "corpus") if own.get(name)), "")
    query = own.get("query", "")
    given = ((part.query_prefix, encoder.query_prefix, query), (part.passage_prefix, encoder.passage_prefix, passage))
    query, passage = (next(p for p in choices if p is not None) for choices in given)
    model.prompts = {"query": query, "document": passage}
    dimension = model.get_embedding_dimension()
    if too_long := [d for d in part.matryoshka if d >= dimension]:
        raise ConfigError(f"embedding.matryoshka: {too_long[0]} is not shorter than the model's {dimension} numbers")
    if part.freeze_words:
        freeze_words(model[0].auto_model)
    adapters.adapt(model[0].auto_model, parameters, head=False)
    return model


def _trainer(
    recipe: Recipe,
    part: EmbeddingPart,
    encoder: Encoder,
    model: Any,
    rows: Sequence[Triple],
    validation: RetrievalDataset,
) -> Any:
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers

    own: dict[str, Any] = {"include_num_input_tokens_seen": "no"}
    in_batch = part.loss.endswith("multiple_negatives")
    if in_batch:  # the whole batch at once: its other passages are the negatives
        own |= {
            "per_device_train_batch_size": recipe.training.batch // int(os.environ.get("WORLD_SIZE", "1")),
            "gradient_accumulation_steps": 1,
            "batch_sampler": BatchSamplers.NO_DUPLICATES,
        }
    columns = columns_of(part, rows)
    query, passage = model.prompts["query"], model.prompts["document"]
    own["prompts"] = {name: query if name == "query" else passage for name in columns if name not in ("label", "score")}
    from datasets import Dataset

    dataset = Dataset.from_dict(columns)
    settings = arguments(
        recipe, SentenceTransformerTrainingArguments, len(dataset), held=True, best=f"eval_{BEST}", greater=True, **own
    )

    def measure(now: Any) -> RetrievalReport:
        found = nearest(_Plain(now), validation, DEPTH)
        return evaluate_rankings(lambda q: found[q.id], validation, DEPTH)

    kind = adapters.trainer_of(
        SentenceTransformerTrainer,
        recipe.parameters,
        lambda: _load(encoder, part, ParameterPart(mode="full")),
        head=False,
    )
    return kind(
        model=model,
        args=settings,
        train_dataset=dataset,
        loss=_loss(recipe, part, model),
        evaluator=evaluator(measure),
    )


def columns_of(part: EmbeddingPart, rows: Sequence[Triple]) -> dict[str, list[Any]]:
    """The data set in the shape that the loss takes."""
    match part.loss:
        case "multiple_negatives" | "cached_multiple_negatives":
            negatives = {f"negative_{n + 1}": [t.negatives[n] for t in rows] for n in range(part.negatives)}
            return {"query": [t.query for t in rows], "positive": [t.positive for t in rows], **negatives}
        case "triplet":
            triplets = [(t.query, t.positive, negative) for t in rows for negative in t.negatives]
            return {name: [t[n] for t in triplets] for n, name in enumerate(("query", "positive", "negative"))}
        case "contrastive" | "cosent":
            name = "label" if part.loss == "contrastive" else "score"
            pairs: list[tuple[str, str, float]] = []
            for t in rows:
                pairs.append((t.query, t.positive, 1.0 if t.score is None or name == "label" else t.score))
                pairs += [(t.query, negative, 0.0) for negative in t.negatives]
            return {key: [p[n] for p in pairs] for n, key in enumerate(("query", "passage", name))}


def _loss(recipe: Recipe, part: EmbeddingPart, model: Any) -> Any:
    from sentence_transformers.sentence_transformer import losses

    scale = part.scale or 20.0
    match part.loss:
        case "multiple_negatives":
            loss = losses.MultipleNegativesRankingLoss(model, scale=scale)
        case "cached_multiple_negatives":
            size = recipe.training.device_batch or MINI_BATCH
            loss = losses.CachedMultipleNegativesRankingLoss(model, scale=scale, mini_batch_size=size)
        case "triplet":
            cosine = losses.TripletDistanceMetric.COSINE
            loss = losses.TripletLoss(model, distance_metric=cosine, triplet_margin=part.margin or 0.3)
        case "contrastive":
            loss = losses.ContrastiveLoss(model, margin=part.margin or 0.5)
        case "cosent":
            loss = losses.CoSENTLoss(model, scale=scale)
    if not part.matryoshka:
        return loss
    whole = model.get_embedding_dimension()
    return losses.MatryoshkaLoss(model, loss, matryoshka_dims=[whole, *sorted(part.matryoshka, reverse=True)])


def _untrained(encoder: Encoder, window: int, prefixes: tuple[str, str]) -> Embedder:
    """What it was trained from, as it serves."""
    if encoder.name:
        return load_embedder(ModelSettings(embedder=encoder.name))
    from lunheng.models.embedders.sentence_transformers import SentenceTransformersEmbedder

    return SentenceTransformersEmbedder(
        Path(encoder.folder),
        window=window,
        identity=_identity(encoder),
        query_prefix=prefixes[0],
        passage_prefix=prefixes[1],
    )


def _identity(encoder: Encoder) -> str:
    """What the weights are: rankings are kept by it."""
    folder = Path(encoder.folder)
    if (folder / "model.safetensors").is_file():
        return sha256_of(folder / "model.safetensors")
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return content_id(*(f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files))


class _Plain:
    """The model in training, as ``nearest`` takes it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def embed(self, texts: Sequence[str], kind: EmbedKind) -> Vectors:
        prompt = "query" if kind == "query" else "document"
        made = self._model.encode(list(texts), prompt_name=prompt, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(made, np.float32)
