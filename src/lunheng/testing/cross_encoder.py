"""Makes a cross-encoder in ONNX from the default embedder, for tests of the ONNX reranker.

Called by tests. It is a real model of the real input form: query and passage are read together,
and the logit is the cosine of their halves' mean token vectors, times ten.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np


def write_cross_encoder(embedder_folder: Path, folder: Path) -> Path:
    """Write ``model.onnx`` and ``tokenizer.json`` into ``folder`` and give it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(embedder_folder / "model.onnx"))
    graph = model.graph

    def constant(name: str, value: object, kind: type) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(value, kind), name))
        return name

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    # <s> query </s> </s> passage </s>: the closing tokens before a place tell which text it belongs to.
    closing = node("Equal", ["input_ids", constant("ce.eos", 2, np.int64)], "ce.closing")
    counted = node("Cast", [closing], "ce.ones", to=TensorProto.INT64)
    before = node("CumSum", [counted, constant("ce.axis", 1, np.int64)], "ce.before")
    axes, token_axis = constant("ce.last", [2], np.int64), constant("ce.tokens", [1], np.int64)
    means = []
    for name, count in (("query", 0), ("passage", 2)):
        member = node("Equal", [before, constant(f"ce.{name}.count", count, np.int64)], f"ce.{name}.in")
        weight = node("Cast", [member], f"ce.{name}.weight", to=TensorProto.FLOAT)
        wide = node("Unsqueeze", [weight, axes], f"ce.{name}.wide")
        weighted = node("Mul", ["last_hidden_state", wide], f"ce.{name}.states")
        total = node("ReduceSum", [weighted, token_axis], f"ce.{name}.sum", keepdims=0)
        means.append(node("LpNormalization", [total], f"ce.{name}.unit", axis=-1, p=2))
    product = node("Mul", means, "ce.product")
    cosine = node("ReduceSum", [product, token_axis], "ce.cosine", keepdims=1)
    node("Mul", [cosine, constant("ce.ten", 10.0, np.float32)], "logits")
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1]))
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / "model.onnx"))
    shutil.copy(embedder_folder / "tokenizer.json", folder / "tokenizer.json")
    return folder
