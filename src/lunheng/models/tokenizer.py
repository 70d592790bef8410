"""A ``tokenizer.json`` as Lunheng's ``Tokenizer``: counts, spans, truncation.

Called by the ONNX embedder and reranker; chunking gets it from the embedder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lunheng.errors import ModelError


class JsonTokenizer:
    """Wraps the ``tokenizers`` library. Thread-safe."""

    def __init__(self, path: Path, pair_window: int | None = None) -> None:
        """Read ``path``; ``pair_window`` is the most tokens of a pair, of which the longer text is cut first.

        Raises:
            ModelError: the file is missing or damaged.
        """
        from tokenizers import Tokenizer

        try:
            # The library raises plain Exception for a file that is missing or damaged.
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            raise ModelError(f"tokenizer {path}: cannot be read ({error}). Pull the model again.") from error
        self._tokenizer.no_truncation()
        if pair_window is not None:
            self._tokenizer.enable_truncation(pair_window, strategy="longest_first")
        self._tokenizer.no_padding()

    def count(self, text: str) -> int:
        """Tokens of ``text``, special tokens not counted."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The (start, end) character offsets of each token."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).offsets)

    def encode(self, texts: Sequence[str]) -> list[Any]:
        """Each text's ``Encoding`` (ids, offsets, special_tokens_mask), special tokens included, not truncated."""
        return list(self._tokenizer.encode_batch_fast(list(texts)))

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Any]:
        """Each pair's ``Encoding`` in the model's own template for two texts."""
        return list(self._tokenizer.encode_batch_fast(list(pairs)))
