"""An encoder of real architecture and a few thousand random weights, with a tokenizer made from the texts at hand.

Called by the tests of fine-tuning embedders and rerankers: it goes through the same loading, training, conversion and
serving as the default embedder, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lunheng.models.convert.bert_weights import LINEAR, NORMS, BertWeights

HIDDEN, LAYERS, HEADS, FEED_FORWARD, POSITIONS = 32, 2, 4, 64, 64


def make_tiny_encoder(folder: Path, texts: Iterable[str], seed: int = 0) -> Path:
    """Write a sentence-transformers folder, prompts ``query: `` and ``passage: ``, window of 64 tokens."""
    from lunheng.tuning.encoders.bases import write_torch

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = folder.parent / f"{folder.name}.tokenizer.json"
    weights = random_weights(write_tokenizer(tokenizer, texts), seed)
    write_torch(weights, tokenizer, folder, "query: ", "passage: ", POSITIONS)
    return folder


def write_tokenizer(path: Path, texts: Iterable[str]) -> int:
    """Write a ``tokenizer.json`` of the words of ``texts`` (of Chinese, the characters); gives how many tokens it has."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    first = ["<s>", "<pad>", "</s>", "<unk>"]
    split = pre_tokenizers.BertPreTokenizer()
    normal = normalizers.BertNormalizer(lowercase=True)
    prefixes = ["query: passage:"]
    words = {w for text in [*texts, *prefixes] for w, _ in split.pre_tokenize_str(normal.normalize_str(text))}
    vocabulary = {token: n for n, token in enumerate([*first, *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normal, split
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(path))
    return len(vocabulary)


def random_weights(vocabulary: int, seed: int = 0) -> BertWeights:
    """An untrained encoder."""
    chance = np.random.default_rng(seed)

    def drawn(*shape: int, scale: float = 0.2) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return chance.normal(0, scale, shape).astype(np.float32)

    tensors = {
        "emb.word": drawn(vocabulary, HIDDEN),
        "emb.pos": drawn(POSITIONS, HIDDEN, scale=0.02),
        "emb.type": drawn(2, HIDDEN, scale=0.02),
        "emb.ln.w": np.ones(HIDDEN, np.float32),
        "emb.ln.b": np.zeros(HIDDEN, np.float32),
    }
    sizes = {"fi": (FEED_FORWARD, HIDDEN), "fo": (HIDDEN, FEED_FORWARD)}
    for n in range(LAYERS):
        for name in LINEAR:
            rows, columns = sizes.get(name, (HIDDEN, HIDDEN))
            tensors |= {f"l{n}.{name}.w": drawn(rows, columns), f"l{n}.{name}.b": drawn(rows, scale=0.01)}
        for name in NORMS:
            tensors |= {f"l{n}.{name}.w": np.ones(HIDDEN, np.float32), f"l{n}.{name}.b": np.zeros(HIDDEN, np.float32)}
    return BertWeights(HIDDEN, LAYERS, HEADS, 1e-12, tensors)
