"""A ``tokenizer.json`` as Lunheng's ``Tokenizer``: counts, spans, truncation.

Called by the ONNX embedder and reranker; chunking gets it from the embedder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lunheng.errors import ModelError
from lunheng.models.unigram import open_unigram


class JsonTokenizer:
    """Wraps the ``tokenizers`` library, and SentencePiece where that gives the same tokens. Thread-safe."""

    def __init__(self, path: Path, pair_window: int | None = None) -> None:
        """Read ``path``; ``pair_window`` is the most tokens of a pair, of which the longer text is cut first.

        Raises:
            ModelError: the file is missing or damaged.
        """
        self._path = path
        self._pair_window = pair_window
        try:
            self._unigram = open_unigram(path) if pair_window is None else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._unreadable(error) from error
        if self._unigram is None:
            self._library  # noqa: B018  read now, so that what is wrong with the file is said now

    @cached_property
    def _library(self) -> Any:
        """The whole tokenizer; of a Unigram one only the few texts need it that hold special tokens."""
        from tokenizers import Tokenizer

        try:
            # The library raises plain Exception for a file that is missing or damaged.
            tokenizer = Tokenizer.from_file(str(self._path))
        except Exception as error:
            raise self._unreadable(error) from error
        tokenizer.no_truncation()
        if self._pair_window is not None:
            tokenizer.enable_truncation(self._pair_window, strategy="longest_first")
        tokenizer.no_padding()
        return tokenizer

    def _unreadable(self, error: Exception) -> ModelError:
        return ModelError(f"tokenizer {self._path}: cannot be read ({error}). Pull the model again.")

    def count(self, text: str) -> int:
        """Tokens of ``text``, special tokens not counted."""
        if self._unigram is not None and self._unigram.handles(text):
            return len(self._unigram.ids(text))
        return len(self._library.encode(text, add_special_tokens=False).ids)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The (start, end) character offsets of each token."""
        if self._unigram is not None and self._unigram.handles(text):
            return self._unigram.spans(text)
        return list(self._library.encode(text, add_special_tokens=False).offsets)

    def encode(self, texts: Sequence[str]) -> list[Any]:
        """Each text's ``Encoding`` (ids, special_tokens_mask), special tokens included, not truncated."""
        unigram = self._unigram
        if unigram is not None and all(unigram.handles(text) for text in texts):
            return [unigram.encode(text) for text in texts]
        return list(self._library.encode_batch_fast(list(texts)))

    def encode_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Any]:
        """Each pair's ``Encoding`` in the model's own template for two texts."""
        return list(self._library.encode_batch_fast(list(pairs)))
