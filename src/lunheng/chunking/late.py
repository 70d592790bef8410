"""Late chunking: each chunk's vector is made where the chunk stands, not from the chunk alone.

Called through ``make_chunker``. Günther et al. 2024 (arXiv 2409.04701): the model reads a long stretch of the document
once, and each chunk pools the vectors of its own tokens, which have seen what stands around them: whom "she" is about,
which year "that year" was. Chunks are cut as ``structure`` cuts. What is longer than the embedder's window is read in
windows that overlap by half, and each chunk is taken from the one in which it stands furthest from the edges.

It pays where chunks are small against the window: one that fills it has nothing around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lunheng.chunking.assembly import Assembler
from lunheng.chunking.fixed import visible_runs
from lunheng.chunking.parts import ChunkingParts
from lunheng.chunking.presets import WINDOW_MARGIN
from lunheng.chunking.structure import StructureChunker
from lunheng.chunking.tokens import TokenMap
from lunheng.errors import ConfigError
from lunheng.protocols import Chunker, TokenEmbedder
from lunheng.types import Chunk, Document

Span = tuple[int, int]


class LateChunker:
    """Chunks that say in which stretch of the document they are to be embedded."""

    def __init__(self, base: Chunker, embedder: TokenEmbedder) -> None:
        """``base`` cuts."""
        self._base = base
        self._tokenizer = embedder.tokenizer
        self._room = embedder.window - WINDOW_MARGIN

    @classmethod
    def from_parts(cls, parts: ChunkingParts) -> LateChunker:
        embedder = parts.need_embedder("late")
        if not isinstance(embedder, TokenEmbedder):
            raise ConfigError(
                "chunking.strategy: 'late' pools token vectors, which this embedder does not give; "
                "use an ONNX embedder, or the strategy 'contextual'"
            )
        return cls(StructureChunker.from_parts(parts), embedder)

    def split(self, document: Document) -> list[Chunk]:
        chunks = self._base.split(document)
        if not chunks:
            return chunks
        tokens = TokenMap(document.text, self._tokenizer)
        # Hidden text is in no window: it would speak through its neighbours.
        runs = list(visible_runs(Assembler(document, self._tokenizer, self._room)))
        made: list[Chunk] = []
        for run in runs:
            inside = [c for c in chunks if run[0] <= c.start and c.end <= run[1]]
            windows = list(self._windows(tokens, inside))
            for chunk in inside:
                around = [w for w in windows if w[0] <= chunk.start and chunk.end <= w[1]]
                margins = [_margin(tokens, w, chunk, inside) for w in around]
                best = around[margins.index(max(margins))]
                made.append(replace(chunk, metadata=replace(chunk.metadata, embedded_in=best)))
        return made

    def _windows(self, tokens: TokenMap, chunks: list[Chunk]) -> Iterator[Span]:
        """Stretches of whole chunks, each as long as the model reads, each beginning in the middle of the last."""
        first = 0
        while first < len(chunks):
            start = chunks[first].start
            last = first
            while last + 1 < len(chunks) and self._fits(tokens, start, chunks[last + 1].end):
                last += 1
            end = max(c.end for c in chunks[first : last + 1])
            yield start, end
            if last + 1 == len(chunks):
                return
            middle = tokens.end_after(start, tokens.count(start, end) // 2)
            following = next((i for i in range(first + 1, last + 1) if chunks[i].start >= middle), last + 1)
            first = following

    def _fits(self, tokens: TokenMap, start: int, end: int) -> bool:
        if tokens.count(start, end) > self._room:
            return False
        return self._tokenizer.count(tokens.text[start:end]) <= self._room


def _margin(tokens: TokenMap, window: Span, chunk: Chunk, chunks: list[Chunk]) -> int:
    """Tokens between the chunk and the nearer edge of the window, where the text goes on beyond that."""
    before = tokens.count(window[0], chunk.start) if window[0] > chunks[0].start else len(tokens.text)
    after = tokens.count(chunk.end, window[1]) if window[1] < chunks[-1].end else len(tokens.text)
    return min(before, after)
