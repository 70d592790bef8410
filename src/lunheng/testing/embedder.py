"""What every embedder must do: run ``check_embedder(make)`` over yours.

Called by tests/conformance and by whoever writes an embedder.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lunheng.protocols import Embedder

TEXTS = (
    "The nightly backup starts at 02:30 UTC.",
    "夜间备份于凌晨两点半开始。",
    "向量数据库 stores embeddings，并支持近似检索。",
    "a",
    "，。！",
    "def area(radius): return math.pi * radius ** 2",
    "😀 emoji and ｆｕｌｌ ｗｉｄｔｈ",
)


def check_embedder(make: Callable[[], Embedder], *, tolerance: float = 1e-5) -> None:
    """Run every check.

    Args:
        make: gives a fresh embedder of the same model and settings each time.
        tolerance: how far two vectors of one text may be apart (0 cannot be asked of a remote server).

    Raises:
        AssertionError: names what the embedder does not keep.
    """
    embedder = make()
    assert isinstance(embedder, Embedder), "it lacks methods of lunheng.protocols.Embedder"
    check_shape_and_length(embedder)
    check_order_and_duplicates(embedder, tolerance)
    check_batch_independence(embedder, tolerance)
    check_long_text(embedder)
    check_tokenizer(embedder)
    check_threads(embedder, tolerance)
    again = make()
    assert again.fingerprint == embedder.fingerprint, "two embedders of the same settings have different fingerprints"


def check_shape_and_length(embedder: Embedder) -> None:
    """float32 (n, dimension), finite, rows of length 1; also for no text and for an empty text."""
    for texts in ([], [""], list(TEXTS)):
        for kind in ("query", "passage"):
            vectors = embedder.embed(texts, kind)
            assert vectors.dtype == np.float32, f"dtype is {vectors.dtype}"
            assert vectors.shape == (len(texts), embedder.dimension), f"shape is {vectors.shape}"
            assert np.isfinite(vectors).all(), "a vector is not finite"
            lengths = np.linalg.norm(vectors, axis=1)
            assert np.allclose(lengths, 1, atol=1e-3), f"rows have the lengths {lengths}"


def check_order_and_duplicates(embedder: Embedder, tolerance: float) -> None:
    """Rows come in the order of the texts, and equal texts have equal vectors."""
    forward = embedder.embed(list(TEXTS), "passage")
    backward = embedder.embed(list(reversed(TEXTS)), "passage")
    assert np.abs(forward - backward[::-1]).max() <= tolerance, "rows are not in the order of the texts"
    doubled = embedder.embed([TEXTS[0], TEXTS[1], TEXTS[0]], "passage")
    assert np.abs(doubled[0] - doubled[2]).max() <= tolerance, "one text has two vectors in one call"
    assert np.abs(forward[0] - forward[1]).max() > 1e-3, "different texts have the same vector"


def check_batch_independence(embedder: Embedder, tolerance: float) -> None:
    """A text's vector does not depend on its neighbours."""
    together = embedder.embed(list(TEXTS), "passage")
    for i, text in enumerate(TEXTS):
        difference = np.abs(embedder.embed([text], "passage")[0] - together[i]).max()
        assert difference <= tolerance, f"{text!r} alone and in a batch are {difference} apart"


def check_long_text(embedder: Embedder) -> None:
    """A text far over the window is cut, not refused; what stands after the window changes nothing."""
    head = "很长的文本 a long text " * embedder.window
    vectors = embedder.embed([head, head + "different end 不同的结尾"], "passage")
    assert np.isfinite(vectors).all()
    assert float(vectors[0] @ vectors[1]) > 0.999, "the text was not cut at the window"


def check_tokenizer(embedder: Embedder) -> None:
    """Counts agree with spans, spans lie in the text and in order, the window is positive."""
    assert embedder.window > 0
    for text in TEXTS:
        spans = embedder.tokenizer.spans(text)
        assert embedder.tokenizer.count(text) == len(spans), f"count and spans differ for {text!r}"
        assert all(0 <= start <= end <= len(text) for start, end in spans), f"a span leaves {text!r}: {spans}"
        assert spans == sorted(spans), f"spans of {text!r} are out of order"
    assert embedder.tokenizer.count("") == 0


def check_threads(embedder: Embedder, tolerance: float) -> None:
    """Calls from several threads give what they give one after another."""
    expected = [embedder.embed([t], "query")[0] for t in TEXTS]
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(lambda t: embedder.embed([t], "query")[0], TEXTS))
    worst = max(float(np.abs(a - b).max()) for a, b in zip(expected, given, strict=True))
    assert worst <= tolerance, f"threads give other vectors, {worst} apart"


def check_meaning(embedder: Embedder) -> None:
    """For real, multilingual models: a question is nearest to the passage that answers it, across languages too."""
    english = [
        "Nightly backups run at 02:30 UTC and are kept for 35 days.",
        "A leave of more than three days must be requested five working days ahead, in writing.",
        "The museum is closed on Mondays and on public holidays.",
        "At twenty degrees below zero the battery loses about thirty percent of its capacity.",
    ]
    chinese = [
        "备份每天凌晨两点半进行，保留三十五天。",
        "员工请假三天以上的，须提前五个工作日书面申请。",
        "博物馆每逢周一和法定节假日闭馆。",
        "电池在零下二十度时容量下降约百分之三十。",
    ]
    questions = [
        ("How long are backups kept?", "备份保留多久？"),
        ("How far ahead must a leave of four days be requested?", "请四天假要提前多久申请？"),
        ("On which day of the week is the museum closed?", "博物馆星期几不开门？"),
        ("How much capacity does the battery lose in the cold?", "电池在低温下会损失多少容量？"),
    ]
    for passages in (english, chinese):
        vectors = embedder.embed(passages, "passage")
        for best, asked in enumerate(questions):
            for question in asked:
                nearest = int((vectors @ embedder.embed([question], "query")[0]).argmax())
                assert nearest == best, f"{question!r} is nearest to {passages[nearest]!r}"
