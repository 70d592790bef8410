"""What every reranker must do: run ``check_reranker(make)`` over yours.

Called by tests/conformance and by whoever writes a reranker.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lunheng.protocols import Reranker

QUERY = "备份保留多久？How long are backups kept?"
TEXTS = (
    "Nightly backups run at 02:30 UTC and are kept for 35 days. 备份保留三十五天。",
    "员工请假三天以上的，须提前五个工作日书面申请。",
    "",
    "The museum is closed on Mondays.",
)


def check_reranker(make: Callable[[], Reranker], *, tolerance: float = 1e-4) -> None:
    """Run every check.

    Raises:
        AssertionError: names what the reranker does not keep.
    """
    reranker = make()
    assert isinstance(reranker, Reranker), "it lacks methods of lunheng.protocols.Reranker"
    assert reranker.fingerprint == make().fingerprint, "two of the same settings have different fingerprints"
    none = reranker.score(QUERY, [])
    assert none.shape == (0,) and none.dtype == np.float32, f"no texts give {none.shape} {none.dtype}"
    scores = reranker.score(QUERY, TEXTS)
    assert scores.shape == (len(TEXTS),) and scores.dtype == np.float32, f"{scores.shape} {scores.dtype}"
    assert np.isfinite(scores).all(), f"scores are not finite: {scores}"
    backward = reranker.score(QUERY, tuple(reversed(TEXTS)))[::-1]
    assert np.abs(scores - backward).max() <= tolerance, "scores depend on the order of the texts"
    alone = np.array([reranker.score(QUERY, [t])[0] for t in TEXTS])
    assert np.abs(scores - alone).max() <= tolerance, "a score depends on the other texts"
    doubled = reranker.score(QUERY, [TEXTS[0], TEXTS[1], TEXTS[0]])
    assert doubled[0] == doubled[2], "equal texts have different scores"
    long = reranker.score("问题 question " * 300, ["很长的文本 a long text " * 2000, TEXTS[0]])
    assert np.isfinite(long).all(), "a query and text over the window are refused"


def check_relevance(reranker: Reranker) -> None:
    """For real models: the passage that answers is scored highest."""
    scores = reranker.score(QUERY, TEXTS)
    assert int(scores.argmax()) == 0, f"the answer is not first: {scores}"
