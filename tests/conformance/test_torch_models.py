"""The embedder and reranker suites over sentence-transformers, with small untrained models of the default's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lunheng.models.embedders.sentence_transformers import SentenceTransformersEmbedder
from lunheng.models.rerankers.cross_encoder_torch import TorchReranker
from lunheng.testing.embedder import check_embedder
from lunheng.testing.real_models import EMBEDDER, model_folder
from lunheng.testing.reranker import check_reranker

pytest.importorskip("sentence_transformers", reason="needs the extra 'tune'")


def small_config(**more: Any) -> Any:
    from transformers import XLMRobertaConfig

    return XLMRobertaConfig(
        vocab_size=250_037,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=260,
        type_vocab_size=1,
        pad_token_id=1,
        **more,
    )


def save_tokenizer(folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(model_folder(EMBEDDER) / "tokenizer.json"),
        bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>", cls_token="<s>", sep_token="</s>",
        model_max_length=256,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)


def test_sentence_transformers_embedder(tmp_path: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import XLMRobertaModel

    torch.manual_seed(7)
    save_tokenizer(tmp_path / "base")
    XLMRobertaModel(small_config()).save_pretrained(tmp_path / "base")
    whole = SentenceTransformer(
        modules=[Transformer(str(tmp_path / "base"), max_seq_length=256), Pooling(32, "mean")], device="cpu"
    )
    whole.save(str(tmp_path / "model"))

    def make() -> SentenceTransformersEmbedder:
        return SentenceTransformersEmbedder(tmp_path / "model", passage_prefix="passage: ", identity="small")

    check_embedder(make)
    assert make().window == 256 and make().dimension == 32


def test_torch_cross_encoder(tmp_path: Path) -> None:
    import torch
    from transformers import XLMRobertaForSequenceClassification

    torch.manual_seed(7)
    save_tokenizer(tmp_path)
    XLMRobertaForSequenceClassification(small_config(num_labels=1)).save_pretrained(tmp_path)
    check_reranker(lambda: TorchReranker(tmp_path, identity="small", window=256))
