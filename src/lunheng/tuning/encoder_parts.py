"""The parts of a recipe that only ``embed`` and ``rerank`` have. Called by ``recipes``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra="forbid")
EmbeddingLoss = Literal["multiple_negatives", "cached_multiple_negatives", "triplet", "contrastive", "cosent"]
RerankingLoss = Literal["bce", "lambda", "list_net", "mse", "margin_mse"]


@dataclass(frozen=True, config=_STRICT)
class EmbeddingPart:
    """Of embed."""

    loss: EmbeddingLoss = "multiple_negatives"
    """Every other passage of the batch is a negative (Henderson et al. 2017), cached where the batch is larger than what
    fits (Gao et al. 2021; ``training.device_batch`` at a time); or triplets; or pairs that are near or far (Hadsell et
    al. 2006); or the order of graded pairs (CoSENT, Su 2022)."""
    scale: Annotated[float, Field(gt=0)] | None = None
    """One over the temperature, 20 by default; of multiple_negatives, cached_multiple_negatives and cosent."""
    margin: Annotated[float, Field(gt=0)] | None = None
    """Of cosine distance; .3 by default of triplet, .5 of contrastive."""
    negatives: Annotated[int, Field(ge=0)] = 1
    """Of each question, from the data; where it has fewer, they are drawn from other questions' passages."""
    matryoshka: tuple[Annotated[int, Field(ge=8)], ...] = ()
    """Shorter lengths at which the vectors must be good too (Kusupati et al. 2022)."""
    query_prefix: str | None = None
    """What stands before a question, as ``query: ``; None: as the model has it."""
    passage_prefix: str | None = None
    freeze_words: bool = False
    """Leave the word embeddings as they are: most of a small multilingual model, for which a few thousand examples say
    nothing of most words. Takes a third of the time and memory of the optimiser."""
    general: Path | None = None
    """A labelled set (corpus.jsonl, queries.jsonl, qrels.tsv) of other questions, to see what was forgotten."""
    allowed_loss: Annotated[float, Field(ge=0)] = 0.02
    """Of nDCG@10 on ``general``; a model that loses more, beyond chance, is not promoted."""

    def __post_init__(self) -> None:
        scaled, apart = ("multiple_negatives", "cached_multiple_negatives", "cosent"), ("triplet", "contrastive")
        _refuse_of_loss(self.scale, "embedding.scale", self.loss, scaled)
        _refuse_of_loss(self.margin, "embedding.margin", self.loss, apart)
        if self.negatives == 0 and self.loss not in scaled[:2]:
            raise ValueError(f"embedding.negatives: the loss {self.loss} needs at least 1")
        _refuse_without_general(self.allowed_loss, self.general, "embedding")

    def within(self, folder: Path) -> EmbeddingPart:
        """With its paths relative to ``folder``."""
        return self if self.general is None else dataclasses.replace(self, general=folder / self.general)


@dataclass(frozen=True, config=_STRICT)
class RerankingPart:
    """Of rerank."""

    loss: RerankingLoss = "bce"
    """Each pair by itself, cross entropy; the whole list: LambdaLoss (Wang et al. 2018), ListNet (Cao et al. 2007); or a
    teacher's scores (``mse``), or its differences between passages (``margin_mse``, Hofstätter et al. 2020)."""
    negatives: Annotated[int, Field(ge=1)] = 4
    """Of each question, from the data; where it has fewer, they are drawn from other questions' passages."""
    teacher: str | None = None
    """Of mse and margin_mse: a cross-encoder's folder, or a reranker of models.toml."""
    first_stage: str | None = None
    """The embedder of models.toml whose candidates are reranked when it is measured; None: multilingual-e5-small, or a
    knowledge base's search where one is given."""
    candidates: Annotated[int, Field(ge=2)] = 20
    """Of each question, when it is measured."""
    freeze_words: bool = False
    """As of embed."""
    general: Path | None = None
    """As of embed."""
    allowed_loss: Annotated[float, Field(ge=0)] = 0.02

    def __post_init__(self) -> None:
        _refuse_of_loss(self.teacher, "reranking.teacher", self.loss, ("mse", "margin_mse"))
        if self.teacher is None and self.loss in ("mse", "margin_mse"):
            raise ValueError(f"reranking.teacher: the loss {self.loss} learns from a stronger reranker; name one")
        _refuse_without_general(self.allowed_loss, self.general, "reranking")

    def within(self, folder: Path) -> RerankingPart:
        """With its paths relative to ``folder``."""
        return self if self.general is None else dataclasses.replace(self, general=folder / self.general)


def _refuse_of_loss(value: object, name: str, loss: str, losses: tuple[str, ...]) -> None:
    if value is not None and loss not in losses:
        raise ValueError(f"{name} is for {', '.join(losses)}, and the loss is {loss}; remove it")


def _refuse_without_general(allowed: float, general: Path | None, part: str) -> None:
    if general is None and allowed != 0.02:
        raise ValueError(f"{part}.allowed_loss: there is no {part}.general to lose on; remove it")
