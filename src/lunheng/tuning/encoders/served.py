"""A trained encoder in the form in which a knowledge base serves it, and the check that this form is the same model.

Called by ``embedder`` and ``reranker`` when a run ends: the lift is measured on what will serve. BERT, RoBERTa and
XLM-RoBERTa become ONNX, which needs no torch; any other architecture stays as it is and is served by torch.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lunheng.errors import ModelError
from lunheng.models.convert.bert_onnx import build_bert_onnx, can_quantise
from lunheng.models.convert.bert_weights import FAMILIES, BertWeights, from_folder
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.models.embedders.sentence_transformers import SentenceTransformersEmbedder
from lunheng.models.onnx_session import MODEL_FILE, TOKENIZER_FILE
from lunheng.models.progress import sha256_of
from lunheng.models.registry import Pooling
from lunheng.models.rerankers.cross_encoder_torch import TorchReranker
from lunheng.models.rerankers.onnx import OnnxReranker
from lunheng.protocols import Embedder, Reranker
from lunheng.tuning.encoders.bases import MODULES_FILE

log = logging.getLogger(__name__)

SERVED = "served"
"""The folder in a run's output."""
LOWEST_COSINE = 0.99
"""Of a converted embedder's vectors to the trained one's."""
LOWEST_CORRELATION = 0.99
"""Of a converted cross-encoder's scores with the trained one's."""
SAMPLE = (
    ("How many days of leave do I have?", "Employees have 25 days of paid leave a year, and may carry over five."),
    ("年假有多少天？", "员工每年享有二十五天带薪年假，未休的最多可以结转五天。"),
    ("What does error E-417 mean?", "E-417 is shown when the filter is clogged; clean it and restart the pump."),
    ("服务器多久备份一次？", "Starling 的备份每天 02:30 UTC 运行，保留三十天，由值班人员检查。"),
    ("Who approves travel over 500 euros?", "出差费用超过 500 欧元须由部门主管批准，并附上报价单。"),
    ("水泵异响怎么办", "If the pump hums without turning, switch it off at once, since the motor may overheat."),
)
"""Questions and passages in both languages, for comparing two forms of one model."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a model is served."""

    folder: Path
    format: str
    """``onnx`` or ``torch``."""
    window: int
    query_prefix: str = ""
    passage_prefix: str = ""
    dimension: int | None = None
    pooling: Pooling = "mean"

    @property
    def identity(self) -> str:
        """Checksum of the weights."""
        return sha256_of(self.folder / (MODEL_FILE if self.format == "onnx" else "model.safetensors"))


def serve_embedder(model: Path, folder: Path, window: int, query_prefix: str, passage_prefix: str) -> Form:
    """The sentence-transformers folder ``model`` as it will serve; written into ``folder`` where it becomes ONNX.

    Raises:
        ModelError: the converted model gives other vectors than the trained one.
    """
    dimension, pooling = _pooling(model)
    plain = Form(model, "torch", window, query_prefix, passage_prefix, dimension, pooling or "mean")
    if pooling is None or not _convertible(model):
        log.warning("%s: is of an architecture that has no ONNX form here; it serves with torch", model)
        return plain
    weights = from_folder(model)
    made = Form(folder, "onnx", window, query_prefix, passage_prefix, dimension, pooling)
    texts = [text for pair in SAMPLE for text in pair]
    expected = open_embedder(plain).embed(texts, "passage")
    lowest = 0.0
    for quantised in [True, False] if can_quantise(weights) else [False]:
        _write(weights, model, folder, quantised)
        lowest = float((open_embedder(made).embed(texts, "passage") * expected).sum(axis=1).min())
        if lowest >= LOWEST_COSINE:
            return made
    raise ModelError(f"{model}: converted to ONNX it reaches a cosine of only {lowest:.4f} to what was trained")


def serve_reranker(model: Path, folder: Path, window: int) -> Form:
    """The cross-encoder in ``model`` as it will serve; as ``serve_embedder``.

    Raises:
        ModelError: the converted model gives other scores than the trained one.
    """
    plain = Form(model, "torch", window)
    if not _convertible(model):
        log.warning("%s: is of an architecture that has no ONNX form here; it serves with torch", model)
        return plain
    weights = from_folder(model)
    made = Form(folder, "onnx", window)
    pairs = [(question, passage) for question, _ in SAMPLE for _, passage in SAMPLE]
    expected = _logits(model, pairs)
    found = 0.0
    for quantised in [True, False] if can_quantise(weights) else [False]:
        _write(weights, model, folder, quantised)
        found = float(np.corrcoef(_scores(open_reranker(made), pairs), expected)[0, 1])
        if found >= LOWEST_CORRELATION:
            return made
    raise ModelError(f"{model}: converted to ONNX its scores correlate by only {found:.4f} with what was trained")


def open_embedder(form: Form) -> Embedder:
    """The embedder that serves."""
    if form.format == "onnx":
        return OnnxEmbedder(
            form.folder,
            query_prefix=form.query_prefix,
            passage_prefix=form.passage_prefix,
            window=form.window,
            pooling=form.pooling,
            identity=form.identity,
        )
    return SentenceTransformersEmbedder(
        form.folder,
        query_prefix=form.query_prefix,
        passage_prefix=form.passage_prefix,
        window=form.window,
        identity=form.identity,
    )


def open_reranker(form: Form) -> Reranker:
    """The reranker that serves."""
    if form.format == "onnx":
        return OnnxReranker(form.folder, window=form.window, identity=form.identity)
    return TorchReranker(form.folder, window=form.window, identity=form.identity)


def _write(weights: BertWeights, model: Path, folder: Path, quantised: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    build_bert_onnx(weights, folder / MODEL_FILE, model.parent.name, quantised)
    shutil.copy(model / TOKENIZER_FILE, folder / TOKENIZER_FILE)


def _logits(model: Path, pairs: list[tuple[str, str]]) -> Any:
    import torch
    from sentence_transformers import CrossEncoder

    trained = CrossEncoder(str(model), local_files_only=True, device=device(), activation_fn=torch.nn.Identity())
    return np.asarray(trained.predict(pairs, show_progress_bar=False)).reshape(-1)


def device() -> str | None:
    """The CPU where there is no CUDA: the trainer uses no other device, and the measures must not either."""
    import torch

    return None if torch.cuda.is_available() else "cpu"


def _scores(reranker: Reranker, pairs: list[tuple[str, str]]) -> Any:
    return np.array([reranker.score(question, [passage])[0] for question, passage in pairs])


def _convertible(model: Path) -> bool:
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    return (
        config.get("model_type") in FAMILIES
        and config.get("hidden_act", "gelu") == "gelu"
        and (model / "model.safetensors").is_file()
        and (model / TOKENIZER_FILE).is_file()
        and config.get("position_embedding_type", "absolute") == "absolute"
    )


def _pooling(model: Path) -> tuple[int | None, Pooling | None]:
    """Numbers in a vector, and how tokens become one; None where more is done than the ONNX embedder does."""
    modules = json.loads((model / MODULES_FILE).read_text(encoding="utf-8"))
    kinds = [m["type"].rpartition(".")[2] for m in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or set(kinds[2:]) - {"Normalize"}:
        return None, None
    config = json.loads((model / modules[1]["path"] / "config.json").read_text(encoding="utf-8"))
    dimension = config.get("embedding_dimension", config.get("word_embedding_dimension"))
    # Before sentence-transformers 6 each mode had a switch of its own: pooling_mode_mean_tokens.
    switched = [key.removeprefix("pooling_mode_").removesuffix("_tokens") for key, on in config.items() if on is True]
    mode = config.get("pooling_mode") or "+".join(m.removesuffix("_token") for m in switched if m != "include_prompt")
    known: dict[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
    return dimension, known.get(mode)
