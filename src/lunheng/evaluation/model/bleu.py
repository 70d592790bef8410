"""BLEU (Papineni et al. 2002) over a whole set, by sacreBLEU (Post 2018); Chinese by characters, as is usual there.

Called by ``answering``. Each item adds its n-gram counts, so that the corpus score has an interval and a paired test
of its own instead of a mean of sentence scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lunheng.errors import MissingExtraError
from lunheng.evaluation.model.scores import Metric
from lunheng.text import han_share

_ORDER = 4


@cache
def _bleu(tokenizer: str) -> Any:
    try:
        from sacrebleu.metrics import BLEU
    except ImportError as error:
        raise MissingExtraError("sacrebleu", "eval") from error
    return BLEU(tokenize=tokenizer, effective_order=True)


def bleu(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Metric:
    """Corpus BLEU, from 0 to 100. A reference with Chinese in it is cut as Chinese (English words stay whole).

    Raises:
        MissingExtraError: the extra ``eval`` is not installed.
    """
    rows: list[list[float]] = []
    for answer, wanted in zip(answers, references, strict=True):
        score = _bleu("zh" if any(han_share(r) > 0 for r in wanted) else "13a").sentence_score(answer, list(wanted))
        rows.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return Metric("bleu", np.array(rows, np.float64), corpus_bleu, tuple(range(len(rows))))


def corpus_bleu(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """BLEU of summed counts, (..., 10): matches and n-grams of each order, both lengths."""
    compute = _bleu("13a").compute_bleu
    flat = np.rint(totals).astype(np.int64).reshape(-1, 2 * _ORDER + 2)
    scores = [
        compute(row[:_ORDER], row[_ORDER : 2 * _ORDER], row[-2], row[-1], smooth_method="exp").score
        for row in flat.tolist()
    ]
    return np.asarray(scores, np.float64).reshape(totals.shape[:-1])
