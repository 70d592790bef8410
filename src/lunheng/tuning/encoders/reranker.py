"""Fine-tuning a reranker: a cross-encoder that reads question and passage together and scores them.

Called by ``methods`` and by ``lunheng tune rerank``. The base is a cross-encoder, or an encoder that gets a fresh head.
The trainer and the losses are sentence-transformers'; the end is ours: it is measured as it will serve, on the
candidates that the first stage gives.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lunheng.config import ModelSettings
from lunheng.errors import ConfigError, ModelError
from lunheng.evaluation.datasets import Query, RetrievalDataset, load_dataset
from lunheng.evaluation.runner import RetrievalReport, evaluate_rankings
from lunheng.models import load_embedder, load_reranker
from lunheng.models.rerankers.cross_encoder_torch import TorchReranker
from lunheng.protocols import Reranker
from lunheng.tuning.arguments import arguments
from lunheng.tuning.bases import CONFIG_FILE, hub_offline
from lunheng.tuning.data.examples import Triple
from lunheng.tuning.encoder_parts import RerankingPart
from lunheng.tuning.encoders import adapters
from lunheng.tuning.encoders.bases import find_encoder
from lunheng.tuning.encoders.lift import METRIC, Comparison, Lift, compare, note
from lunheng.tuning.encoders.retrieval_sets import DEPTH, Candidates, Corpus, known_nearest, longest, material
from lunheng.tuning.encoders.served import SERVED, Form, device, open_reranker, serve_reranker
from lunheng.tuning.encoders.validation import BEST, evaluator, freeze_words, quietly
from lunheng.tuning.recipes import ParameterPart, Recipe
from lunheng.tuning.resuming import Resume
from lunheng.tuning.run import Trained, begin
from lunheng.types import content_id

if TYPE_CHECKING:
    from lunheng.tuning.callbacks import Report

FIRST_STAGE = "multilingual-e5-small"
"""The embedder that finds the candidates, where neither the recipe nor the caller names another."""
Search = Callable[[str, int], Sequence[str]]
"""A question and a number to the texts of so many passages, best first."""


@dataclass(frozen=True, slots=True)
class TunedReranker:
    """What came of a run, and whether it is better."""

    trained: Trained
    form: Form
    """How it serves."""
    lift: Lift | None
    """Beside the first stage, or the reranker that it was trained from where that is better; None where the run was
    stopped before its end."""
    held_out: RetrievalDataset
    """What the lift was measured on."""
    compared_with: str = ""
    """``first stage`` or ``base``."""


def rerank(
    recipe: Recipe,
    resume: Resume = False,
    report: Report | None = None,
    corpus: Corpus = MappingProxyType({}),
    first_stage: Search | None = None,
) -> TunedReranker:
    """Train on triples; measure on the held-out questions' candidates, of all passages of the data and of ``corpus``.

    Args:
        first_stage: what finds the candidates; by default the embedder that the recipe names.

    Raises:
        ConfigError, DataError, ModelError, MissingExtraError: before anything is trained.
        TrainingError: while it trains.
    """
    part = recipe.reranking or RerankingPart()
    if first_stage is not None and part.first_stage is not None:
        raise ConfigError("reranking.first_stage: the candidates are found by what the caller gives; remove it")
    encoder = find_encoder(recipe.model.name)
    run = begin(recipe, resume, report, lambda _: encoder.folder)
    run.refuse_hopeless()
    quietly()
    model = _load(encoder.folder, part, recipe.parameters)
    window = int(model.max_seq_length)
    found = material(run, model.tokenizer, min(recipe.data.window, window), None, part.negatives, corpus)
    run.settle(longest(model.tokenizer, found.rows, min(recipe.data.window, window), together=True))
    recipe = run.recipe
    trained = run.train(_trainer(recipe, part, encoder.folder, model, found.rows, found.validation))
    form = serve_reranker(trained.model, recipe.output / SERVED, window)
    if trained.manifest.status != "done":
        return TunedReranker(trained, form, None, found.held_out)
    base = TorchReranker(Path(encoder.folder), identity="untrained", window=window) if _scores(encoder.folder) else None
    general = load_dataset(part.general) if part.general else None
    stage = part.first_stage or FIRST_STAGE
    compared, held_out = _compare(
        found.held_out, _candidates(found.held_out, part.candidates, stage, first_stage), base, form
    )
    other = _compare(general, _candidates(general, part.candidates, stage, None), base, form)[1] if general else None
    lift = Lift(held_out, other, part.allowed_loss)
    return TunedReranker(note(trained, lift), form, lift, found.held_out, compared)


def reranked(reranker: Reranker, dataset: RetrievalDataset, candidates: Candidates) -> RetrievalReport:
    """What the candidates are worth once ``reranker`` has put them in order."""
    texts = {p.id: p.full_text for p in dataset.passages}

    def rank(query: Query) -> list[str]:
        listed = candidates[query.id]
        scores = reranker.score(query.text, [texts[id] for id in listed])
        order = sorted(range(len(listed)), key=lambda i: -float(scores[i]))
        return [listed[i] for i in order]

    return evaluate_rankings(rank, dataset, DEPTH)


def _compare(
    dataset: RetrievalDataset, candidates: Candidates, base: Reranker | None, form: Form
) -> tuple[str, Comparison]:
    """The trained reranker beside the better of the first stage and of what it was trained from."""
    before = {"first stage": evaluate_rankings(lambda q: candidates[q.id], dataset, DEPTH)}
    if base is not None:
        before["base"] = reranked(base, dataset, candidates)
    best = max(before, key=lambda name: before[name].metrics[METRIC].mean)
    return best, compare(before[best], reranked(open_reranker(form), dataset, candidates))


def _candidates(dataset: RetrievalDataset, count: int, name: str, search: Search | None) -> Candidates:
    """Ids of each question's candidates, best first."""
    if search is None:
        return known_nearest(load_embedder(ModelSettings(embedder=name)), dataset, count)
    ids = {p.full_text: p.id for p in dataset.passages}
    return {q.id: [ids[text] for text in search(q.text, count) if text in ids] for q in dataset.queries}


def _load(folder: str, part: RerankingPart, parameters: ParameterPart) -> Any:
    import torch
    from sentence_transformers import CrossEncoder

    with hub_offline():
        try:
            model = CrossEncoder(
                folder,
                num_labels=1,
                local_files_only=True,
                device=device(),
                activation_fn=torch.nn.Identity(),
                **adapters.opening(parameters),
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"model {folder}: sentence-transformers cannot load it ({error})") from error
    if part.freeze_words:
        freeze_words(model[0].auto_model)
    adapters.adapt(model[0].auto_model, parameters, head=True)
    return model


def _scores(folder: str) -> bool:
    """Whether the base is a cross-encoder already."""
    config = json.loads((Path(folder) / CONFIG_FILE).read_text(encoding="utf-8"))
    return str((config.get("architectures") or [""])[0]).endswith("ForSequenceClassification")


def _trainer(
    recipe: Recipe, part: RerankingPart, folder: str, model: Any, rows: Sequence[Triple], validation: RetrievalDataset
) -> Any:
    from datasets import Dataset
    from sentence_transformers import CrossEncoderTrainer, CrossEncoderTrainingArguments

    teacher = _teacher(part.teacher) if part.teacher else None
    dataset = Dataset.from_dict(columns_of(part, rows, teacher))
    settings = arguments(
        recipe,
        CrossEncoderTrainingArguments,
        len(dataset),
        held=True,
        best=f"eval_{BEST}",
        greater=True,
        include_num_input_tokens_seen="no",
    )
    # In an order that says nothing: what scores all alike must not find the right one first.
    candidates = {q.id: sorted(validation.qrels[q.id], key=content_id) for q in validation.queries}

    def measure(now: Any) -> RetrievalReport:
        return reranked(_Plain(now), validation, candidates)

    kind = adapters.trainer_of(
        CrossEncoderTrainer, recipe.parameters, lambda: _load(folder, part, ParameterPart(mode="full")), head=True
    )
    return kind(
        model=model, args=settings, train_dataset=dataset, loss=_loss(recipe, part, model), evaluator=evaluator(measure)
    )


def columns_of(part: RerankingPart, rows: Sequence[Triple], teacher: Reranker | None) -> dict[str, list[Any]]:
    """The data set in the shape that the loss takes."""
    listed = [(t.query, [t.positive, *t.negatives], t.score) for t in rows]
    if part.loss in ("lambda", "list_net"):
        graded = [[1.0 if score is None else score, *[0.0] * (len(texts) - 1)] for _, texts, score in listed]
        return {"query": [q for q, *_ in listed], "passages": [texts for _, texts, _ in listed], "labels": graded}
    if part.loss == "margin_mse":
        assert teacher is not None
        columns: dict[str, list[Any]] = {"query": [q for q, *_ in listed], "positive": [t[0] for _, t, _ in listed]}
        for n in range(part.negatives):
            columns[f"negative_{n + 1}"] = [texts[n + 1] for _, texts, _ in listed]
        columns["label"] = [[float(s) for s in teacher.score(q, texts)] for q, texts, _ in listed]
        return columns
    pairs: list[tuple[str, str, float]] = []
    for query, texts, score in listed:
        if teacher is not None:
            labels = [float(s) for s in teacher.score(query, texts)]
        else:
            labels = [1.0 if score is None else score, *[0.0] * (len(texts) - 1)]
        pairs += [(query, text, label) for text, label in zip(texts, labels, strict=True)]
    return {name: [p[n] for p in pairs] for n, name in enumerate(("query", "passage", "label"))}


def _teacher(name: str) -> Reranker:
    if (Path(name) / CONFIG_FILE).is_file():
        return TorchReranker(Path(name), identity="teacher")
    found = load_reranker(ModelSettings(reranker=name), load_embedder(ModelSettings()))
    if found is None:
        raise ConfigError(
            f"reranking.teacher: {name} is no reranker; name a cross-encoder's folder, or one of models.toml"
        )
    return found


def _loss(recipe: Recipe, part: RerankingPart, model: Any) -> Any:
    from sentence_transformers.cross_encoder import losses

    size = recipe.training.device_batch
    match part.loss:
        case "bce":
            return losses.BinaryCrossEntropyLoss(model)
        case "lambda":
            return losses.LambdaLoss(model, mini_batch_size=size)
        case "list_net":
            return losses.ListNetLoss(model, mini_batch_size=size)
        case "mse":
            return losses.MSELoss(model)
        case "margin_mse":
            return losses.MarginMSELoss(model)


class _Plain:
    """The model in training as a ``Reranker``."""

    fingerprint = ""

    def __init__(self, model: Any) -> None:
        self._model = model

    def score(self, query: str, texts: Sequence[str]) -> Any:
        return self._model.predict([(query, text) for text in texts], show_progress_bar=False)
