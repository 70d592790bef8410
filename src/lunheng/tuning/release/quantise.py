"""The weights of a GGUF file in fewer bits: llama.cpp's K-quants, without its llama-quantize.

Called by ``gguf_file``. The sums are llama.cpp's own: ``ggml_quantize_chunk``, a public function of the library that
xllamacpp brings, which has no llama-quantize. Which tensor gets how many bits follows llama.cpp's mixtures, since a
file that calls itself Q4_K_M should be what everyone else's is; a test compares it with published files.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import MissingExtraError, ModelError
from lunheng.models.onnx_session import thread_count

Mixture = Literal["q3_k_m", "q4_k_m", "q5_k_m", "q6_k"]
_BASE: dict[Mixture, str] = {"q3_k_m": "Q3_K", "q4_k_m": "Q4_K", "q5_k_m": "Q5_K", "q6_k": "Q6_K"}
_FALLBACK = {"Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""For rows that are no multiple of 256 values: types in blocks of 32."""
_SUPER_BLOCK, _BLOCK = 256, 32
_KEPT = re.compile(r"_norm\.weight|ffn_gate_inp|position_embd|token_types|ssm_conv1d|altup|laurel|per_layer_model_proj")
"""Matrices that are small and fine: they stay as they are."""
_ROWS = 512
"""Rows that a thread takes at a time."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A tensor of a GGUF file."""

    name: str
    dimensions: int
    row: int
    """Values in a row, which are quantised together."""


def tensor_types(tensors: Sequence[Shape], mixture: Mixture) -> dict[str, str]:
    """The type of each tensor, by name; what stays as it is, is left out.

    The tensors that hurt most get more bits: the output, and in some layers the values of the attention and the way
    back from the feed-forward network. Layers are counted as they come in the file.
    """
    tied = not any(t.name == "output.weight" for t in tensors)
    layers: dict[str, int] = {}
    for tensor in tensors:
        layers[_role(tensor.name)] = layers.get(_role(tensor.name), 0) + 1
    seen = dict.fromkeys(layers, 0)
    types = {}
    for tensor in tensors:
        role = _role(tensor.name)
        layer, seen[role] = seen[role], seen[role] + 1
        if tensor.dimensions < 2 or not tensor.name.endswith("weight") or _KEPT.search(tensor.name):
            continue
        if role == "output" or (tied and role == "token_embd"):
            kind = "Q6_K"
        else:
            kind = _type(role, layer, layers[role], mixture)
        types[tensor.name] = _fitting(kind, tensor.row)
    return types


def _role(name: str) -> str:
    """``blk.3.attn_v.weight`` is attn_v; the experts of a mixture count as what they are made of."""
    return re.sub(r"^blk\.\d+\.|_exps|_shexp|\.weight$", "", name)


def _type(role: str, layer: int, layers: int, mixture: Mixture) -> str:
    values, down = role in ("attn_v", "attn_qkv", "attn_kv_b"), role == "ffn_down"
    if mixture in ("q4_k_m", "q5_k_m") and (values or down) and _delicate(layer, layers):
        return "Q6_K"
    if mixture == "q3_k_m":
        if values:
            return "Q5_K" if layer < 2 else "Q4_K"
        if down:
            return "Q5_K" if layer < layers // 16 else "Q4_K"
        if role == "attn_output":
            return "Q4_K"
    return _BASE[mixture]


def _delicate(layer: int, layers: int) -> bool:
    """The first and the last eighth, and every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _fitting(kind: str, row: int) -> str:
    if row % _SUPER_BLOCK == 0:
        return kind
    return _FALLBACK[kind] if row % _BLOCK == 0 else "F16"


def quantise(writer: Any, mixture: Mixture, threads: int = 0) -> None:
    """Turn the tensors that ``writer`` (gguf's) holds into a mixture of K-quants, each when it is written.

    Raises:
        MissingExtraError: xllamacpp is not installed.
        ModelError: this xllamacpp does not give llama.cpp's function away.
    """
    import gguf

    library = _library()
    pool = ThreadPoolExecutor(thread_count(threads))
    shapes = [
        Shape(name, len(info.shape), int(info.shape[-1]))
        for tensors in writer.tensors
        for name, info in tensors.items()
    ]
    types = tensor_types(shapes, mixture)
    for tensors in writer.tensors:
        for name, info in tensors.items():
            if name in types:
                kind = getattr(gguf.GGMLQuantizationType, types[name])
                shape = gguf.quant_shape_to_byte_shape(info.shape, kind)
                info.dtype, info.nbytes = kind, int(np.prod(shape, dtype=np.int64))
                info.tensor = _Later(info.tensor, library, pool, int(kind), shape)


class _Later:
    """A tensor that is quantised when the writer asks for its bytes: one at a time is in memory."""

    def __init__(self, tensor: Any, library: Any, pool: ThreadPoolExecutor, kind: int, shape: tuple[int, ...]) -> None:
        self._tensor, self._library, self._pool, self._kind, self._shape = tensor, library, pool, kind, shape
        self.nbytes = int(np.prod(shape, dtype=np.int64))

    def tofile(self, file: Any) -> None:
        """Write the bytes."""
        import gguf

        values = np.asarray(gguf.LazyNumpyTensor.to_eager(self._tensor)).astype(np.float32, copy=False)
        if self._kind == int(gguf.GGMLQuantizationType.F16):
            values.astype(np.float16).tofile(file)
        else:
            _quantised(self._library, self._pool, values, self._kind, self._shape[-1]).tofile(file)


def _quantised(
    library: Any, pool: ThreadPoolExecutor, values: NDArray[np.float32], kind: int, row_bytes: int
) -> NDArray[np.uint8]:
    """The rows of ``values`` by llama.cpp's own function, which leaves the interpreter free: threads help."""
    rows = np.ascontiguousarray(values.reshape(-1, values.shape[-1]))
    made = np.empty((len(rows), row_bytes), np.uint8)

    def some(at: int) -> int:
        part, out = rows[at : at + _ROWS], made[at : at + _ROWS]
        return int(
            library.ggml_quantize_chunk(kind, part.ctypes.data, out.ctypes.data, 0, len(part), rows.shape[1], None)
        )

    written = sum(pool.map(some, range(0, len(rows), _ROWS)))
    if written != made.nbytes:
        raise ModelError(
            f"ggml_quantize_chunk wrote {written} bytes where {made.nbytes} were expected; export f16 or q8_0"
        )
    return made


def _library() -> Any:
    try:
        import xllamacpp.xllamacpp as module
    except ImportError as error:
        raise MissingExtraError("xllamacpp", "tune", "pip install xllamacpp") from error
    library = ctypes.CDLL(str(module.__file__))
    try:
        function = library.ggml_quantize_chunk
    except AttributeError as error:
        raise ModelError(
            "this xllamacpp does not give ggml_quantize_chunk away; take another version, or export f16 and run "
            "llama-quantize of llama.cpp on it"
        ) from error
    function.restype = ctypes.c_size_t
    function.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    return library
