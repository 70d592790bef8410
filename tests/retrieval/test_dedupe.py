"""Near-duplicates go, look-alikes that say something else stay."""

from __future__ import annotations

import numpy as np
import pytest

from lunheng.retrieval.dedupe import remove_duplicates
from lunheng.testing.real_models import real_embedder

PAGE = (
    "备份每天凌晨两点半自动执行，保留三十五天，由运维组负责检查。每个季度要做一次恢复演练，演练的记录存放在共享盘里。"
)
MIRROR = "备份每天凌晨两点半自动执行，保留三十五天，由运维组负责检查。每个季度要做一次恢复演练，演练的记录存放在共享盘里！（转载）"
ENGLISH = "Employees may work from home up to three days a week with the written consent of their manager."


def dedupe(texts: list[str], similarity: float = 0.95) -> list[int]:
    return list(remove_duplicates(texts, real_embedder().embed(texts, "passage"), similarity).kept)


def test_a_mirror_goes_and_the_better_stays() -> None:
    texts = [PAGE, ENGLISH, MIRROR, ENGLISH.replace("three days a week", "three days a week, as a rule,")]
    result = remove_duplicates(texts, real_embedder().embed(texts, "passage"), 0.95)
    assert result.kept == (0, 1)
    assert [(d.position, d.kept) for d in result.dropped] == [(2, 0), (3, 1)]
    assert all(d.cosine >= 0.95 and d.overlap >= 0.8 for d in result.dropped)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (PAGE, PAGE.replace("三十五天", "三十天")),
        (ENGLISH, ENGLISH.replace("may", "may not")),
        ("2019年全国人口出生率为10.48‰，自然增长率为3.34‰。", "2018年全国人口出生率为10.94‰，自然增长率为3.81‰。"),
        (PAGE, PAGE.replace("由运维组负责检查", "不由运维组负责检查")),
    ],
)
def test_another_number_or_a_negation_is_another_fact(a: str, b: str) -> None:
    assert dedupe([a, b]) == [0, 1]


def test_the_same_in_two_languages_both_stay() -> None:
    assert dedupe(["The backup runs every night.", "备份每晚执行。"], 0.5) == [0, 1]


def test_traditional_and_simplified_are_the_same_words() -> None:
    assert dedupe([PAGE, PAGE.replace("备份每天", "備份每天").replace("恢复演练", "恢復演練")], 0.9) == [0]


def test_nothing_and_mismatch() -> None:
    assert remove_duplicates([], np.empty((0, 384), np.float32)).kept == ()
    with pytest.raises(ValueError, match="1 texts for 2 vectors"):
        remove_duplicates(["a"], np.ones((2, 3), np.float32))
