"""The encoder that an embedder or a reranker is trained from, as a folder in Hugging Face's form.

Called by ``embedder`` and ``reranker``. The default embedder lies here converted to ONNX: its weights are read back
from there, once, and kept in the cache. Every other model is a folder, or a hub id that is fetched as any base is.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from lunheng.config import cache_dir
from lunheng.errors import MissingExtraError, ModelError
from lunheng.models.convert.bert_weights import BertWeights, from_own_onnx
from lunheng.models.onnx_session import MODEL_FILE, TOKENIZER_FILE
from lunheng.models.registry import ModelEntry, Registry
from lunheng.models.store import installed, remedy
from lunheng.tuning.bases import CONFIG_FILE, base_folder, hub_offline
from lunheng.tuning.run import MODEL

MODULES_FILE = "modules.json"
"""What marks a sentence-transformers folder."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """What is trained."""

    folder: str
    query_prefix: str | None = None
    """As the registry has it; None: as the folder's own prompts say."""
    passage_prefix: str | None = None
    name: str = ""
    """Of the registry; empty for any other."""


def find_encoder(name: str) -> Encoder:
    """The encoder called ``name``: a folder, a name of models.toml, or a hub id.

    Raises:
        ModelError: it was not pulled, or is no encoder that can be trained; names what can be given instead.
        MissingExtraError: the extra ``tune`` is not installed.
    """
    path = Path(name).expanduser()
    if (path / MODULES_FILE).is_file() or (path / CONFIG_FILE).is_file():
        return Encoder(str(path))
    registry = Registry.load()
    if name in registry:
        return _of_registry(registry[name])
    if name.count("/") == 1 and not path.exists() and not path.is_absolute():
        return Encoder(base_folder(name))
    raise ModelError(
        f"model {name}: no folder with {MODULES_FILE} or {CONFIG_FILE}, and no name of models.toml; "
        "see lunheng models list"
    )


def _of_registry(entry: ModelEntry) -> Encoder:
    if entry.task == "llm":
        raise ModelError(f"model {entry.name}: is a language model; an embedder or a reranker is trained here")
    there = installed(entry.name)
    if there is None:
        raise ModelError(f"model {entry.name}: is not on this machine yet. {remedy(entry.name)}")
    folder, manifest = there
    prefixes = (entry.query_prefix, entry.passage_prefix)
    if entry.format == "torch":
        return Encoder(str(folder), *prefixes, name=entry.name)
    for place in entry.places:
        if place.kind == "folder" and (place.path.parent / MODEL / CONFIG_FILE).is_file():  # promoted from a run
            return Encoder(str(place.path.parent / MODEL), *prefixes, name=entry.name)
    if entry.format != "onnx" or manifest.place != "package":
        hub = next((p.repo for p in entry.places if p.kind == "hub"), "its publisher's folder")
        raise ModelError(
            f"model {entry.name}: lies here as {entry.format} of another exporter, which cannot be trained; "
            f"name its torch form instead, as {hub}"
        )
    target = cache_dir() / "bases" / f"{entry.name}-{manifest.identity[:12]}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not (target / MODULES_FILE).is_file():
            making = target.with_name(target.name + ".part")
            shutil.rmtree(making, ignore_errors=True)
            write_torch(from_own_onnx(folder / MODEL_FILE), folder / TOKENIZER_FILE, making, *prefixes, entry.window)
            making.rename(target)
    return Encoder(str(target), *prefixes, name=entry.name)


def write_torch(
    weights: BertWeights, tokenizer: Path, folder: Path, query_prefix: str, passage_prefix: str, window: int
) -> None:
    """Write a sentence-transformers folder (mean over the tokens, length 1) of a BERT encoder.

    Raises:
        MissingExtraError: sentence-transformers is not installed.
    """
    try:
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Normalize, Transformer
        from sentence_transformers.sentence_transformer.modules import Pooling
        from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
    except ImportError as error:
        raise MissingExtraError("sentence-transformers", "tune") from error
    tensors = weights.tensors
    config = BertConfig(
        vocab_size=len(tensors["emb.word"]),
        hidden_size=weights.hidden,
        num_hidden_layers=weights.layers,
        num_attention_heads=weights.heads,
        intermediate_size=len(tensors["l0.fi.b"]),
        max_position_embeddings=len(tensors["emb.pos"]),
        type_vocab_size=len(tensors["emb.type"]),
        layer_norm_eps=weights.epsilon,
        pad_token_id=1,
    )
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.hugging_face().items()})
    words = PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer),
        model_max_length=window,
        **{"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"},
        **{"pad_token": "<pad>", "unk_token": "<unk>"},
    )
    plain = folder / "plain"
    model.save_pretrained(plain)
    words.save_pretrained(plain)
    with hub_offline():
        made = SentenceTransformer(
            modules=[
                Transformer(str(plain), max_seq_length=window),
                Pooling(weights.hidden, "mean"),
                Normalize(),
            ],
            prompts={"query": query_prefix, "passage": passage_prefix},
        )
        made.save(str(folder), create_model_card=False)
    shutil.rmtree(plain)
