"""Late interaction: compares a question with a passage word by word, through the embedder's own token vectors.

Called by ingest (``TokenCodec.encode``, once a passage) and by reranking (``TokenCodec.score``). One vector a
passage blurs its words together; comparing each word of the question with the word of the passage nearest to it
(MaxSim, Khattab & Zaharia 2020, ColBERT) does not, and works across languages, since the vectors come from a
multilingual model in context.

The embedder gives token vectors in the same run as the passage's vector, so at ingest they cost nothing more; what
they cost is room. Each is therefore kept as one bit a dimension: centred, turned by a fixed random rotation, signs
only (Gao & Long 2024, RaBitQ). 384 dimensions take 48 bytes a token. The question's vectors stay exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import IndexDamagedError
from lunheng.protocols import TokenEmbedder, Vectors

FORMAT = 1
"""The first byte of each code. Another centre, rotation or layout needs another number."""

_SIGN_TO_COSINE = float(np.sqrt(np.pi / 2))
"""A unit vector's signs over sqrt(d) have this inverse as their expected cosine to it."""


class TokenCodec:
    """Packs an embedder's token vectors into bits, and compares a question's vectors with them."""

    def __init__(self, dimension: int, find_centre: Callable[[], NDArray[np.float32]]) -> None:
        """``find_centre`` gives the mean token vector, (dimension,), which says nothing about any one token.

        It is called when first needed: most runs over an unchanged folder pack nothing.
        """
        self._dimension = dimension
        self._find_centre = find_centre

    @classmethod
    def for_embedder(cls, embedder: TokenEmbedder) -> TokenCodec:
        """The codec of ``embedder``; its centre is the mean over a fixed text, half English and half Chinese.

        Which text matters little: centres taken from 500 tokens of it and from 40,000 of web snippets rank alike.
        """

        def centre() -> NDArray[np.float32]:
            means = [np.concatenate(embedder.embed_tokens(texts, "passage")).mean(axis=0) for texts in _REFERENCE]
            return np.asarray(np.mean(means, axis=0), dtype=np.float32)

        return cls(embedder.dimension, centre)

    @cached_property
    def _centre(self) -> NDArray[np.float32]:
        return self._find_centre()

    def encode(self, tokens: Vectors) -> bytes:
        """Pack (n, dimension) token vectors: the format's number, then n rows of dimension / 8 bytes."""
        return bytes([FORMAT]) + np.packbits(self._turn(tokens) > 0, axis=1).tobytes()

    def without_first(self, code: bytes, count: int) -> bytes:
        """``code`` less its first ``count`` tokens, such as those of a heading that is not the passage's own."""
        return code[:1] + code[1 + count * ((self._dimension + 7) // 8) :]

    def prepare(self, tokens: Vectors) -> Vectors:
        """A question's token vectors, centred, turned and of length 1: what ``score`` takes."""
        turned = self._turn(tokens)
        return np.asarray(turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-9), dtype=np.float32)

    def read(self, embedder: TokenEmbedder, question: str) -> tuple[Vectors, Vectors]:
        """The question's vector, (dimension,), and its prepared token vectors, in one run of the model."""
        rows, packed = embedder.embed_with_tokens([question], "query", lambda tokens: tokens.tobytes())
        return rows[0], self.prepare(np.frombuffer(packed[0], dtype=np.float32).reshape(-1, self._dimension))

    def score(self, question: Vectors, codes: Sequence[bytes]) -> NDArray[np.float32]:
        """MaxSim of a prepared question with each passage, (n,): mean over its tokens of their best cosine.

        An empty question or passage scores 0.

        Raises:
            IndexDamagedError: a code is not of this format and dimension.
        """
        scores = np.zeros(len(codes), dtype=np.float32)
        lengths = [self._check(code) for code in codes]
        if not len(question) or not sum(lengths):
            return scores
        packed = np.frombuffer(b"".join(code[1:] for code in codes), dtype=np.uint8)
        bits = np.unpackbits(packed.reshape(sum(lengths), -1), axis=1, count=self._dimension)
        # sum(q * (2 bit - 1)) = 2 sum(q * bit) - sum(q)
        cosines = (2 * (bits.astype(np.float32) @ question.T) - question.sum(axis=1)) * (
            _SIGN_TO_COSINE / np.sqrt(self._dimension)
        )
        filled = [i for i, length in enumerate(lengths) if length]
        starts = np.cumsum([0, *(lengths[i] for i in filled)])[:-1]
        scores[filled] = np.maximum.reduceat(cosines, starts, axis=0).mean(axis=1)
        return scores

    def _turn(self, tokens: Vectors) -> Vectors:
        return np.asarray(
            (np.asarray(tokens, dtype=np.float32) - self._centre) @ _rotation(self._dimension), dtype=np.float32
        )

    def _check(self, code: bytes) -> int:
        """How many tokens ``code`` holds."""
        length, rest = divmod(len(code) - 1, (self._dimension + 7) // 8)
        if not code or code[0] != FORMAT or rest:
            raise IndexDamagedError("a passage's token codes are damaged or of another version; run: lunheng rebuild")
        return length


@cache
def _rotation(dimension: int) -> NDArray[np.float32]:
    """A random orthogonal matrix, the same on every machine.

    From the bit generator's raw stream, which numpy never changes, through a QR decomposition made unique by a
    positive diagonal.
    """
    raw = np.random.PCG64(20).random_raw(dimension * dimension)
    uniform = (raw >> np.uint64(11)).astype(np.float64) / 2.0**53 - 0.5
    q, r = np.linalg.qr(uniform.reshape(dimension, dimension))
    return np.asarray(q * np.sign(np.diag(r)), dtype=np.float32)


_REFERENCE = (
    (
        "The committee said on Monday that it would publish the report next week.",
        "Several members had asked for more time.",
        "In the north the summers are short and the rivers freeze by November.",
        "To install the program, open the settings, choose a folder and wait until the download has ended.",
        "She was born in 1962, studied law, and later became the first woman to lead the bank.",
        "How much does it cost, and who pays for it?",
        "Cells divide when they receive a signal; if the signal never stops, a tumour may grow.",
        "Prices rose by 3.5 percent, wages by less.",
        "The king's army crossed the river at night and was beaten before dawn.",
        "Please send the invoice to the address below within thirty days.",
        "Water boils at 100 degrees at sea level, and at a lower temperature in the mountains.",
    ),
    (
        "委员会星期一表示，报告将于下周公布，不过有几名成员要求给予更多时间。",
        "北方的夏天很短，河流到十一月就会结冰。",
        "安装程序时，请打开设置，选择文件夹，等待下载完成。",
        "她出生于1962年，学习法律，后来成为第一位领导该银行的女性。",
        "这要花多少钱，由谁来付？",
        "细胞收到信号后就会分裂；如果信号一直不停，就可能长出肿瘤。",
        "物价上涨了百分之三点五，工资涨得少一些。",
        "国王的军队在夜里渡河，天亮之前就被打败了。",
        "请在三十天内将发票寄到以下地址。",
        "水在海平面一百度时沸腾，在山上沸点更低。",
    ),
)


def leading_heading(text: str, heading_path: Sequence[str]) -> str:
    """The headings with which ``text`` itself begins: its first lines, as far as they stand in ``heading_path``.

    Ingest leaves their tokens out of the codes like those of a prefix. A heading stands over many passages, so a
    question that repeats it would find all of them alike near; on web pages cut into paragraphs that costs a tenth
    of nDCG. Nothing is left out of a text that is headings only.
    """
    known = {line.strip() for heading in heading_path for line in heading.splitlines()}
    end = 0
    for line in text.splitlines(keepends=True):
        if line.strip() and line.strip() not in known:
            return text[:end]
        end += len(line)
    return ""
