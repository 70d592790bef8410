"""Fusion: RRF by hand and by its properties; evidence fusion follows what the lists know."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunheng.retrieval.fusion import (
    Fused,
    fuse_evidence,
    fuse_ranks,
    language_groups,
    lexical_shares,
    shortlist,
    standardise,
    z_scores,
)


def ranked(low: float, high: float) -> st.SearchStrategy[list[tuple[int, float]]]:
    """A list of distinct keys with scores, best first."""
    pairs = st.lists(st.tuples(st.integers(0, 40), st.floats(low, high)), max_size=20, unique_by=lambda p: p[0])
    return pairs.map(lambda items: sorted(items, key=lambda item: -item[1]))


DENSE, LEXICAL = ranked(-1, 1), ranked(0.01, 30)


def test_rrf_by_hand() -> None:
    fused = fuse_ranks([(1, 0.9), (2, 0.8)], [(2, 7.0), (3, 5.0)], k=60, lexical_weight=0.5)
    assert [f.key for f in fused] == [2, 1, 3]
    assert fused[0].score == pytest.approx(1 / 62 + 0.5 / 61)
    assert fused[0].ranks == {"dense": 2, "lexical": 1}
    assert fused[2].ranks == {"lexical": 2}


@given(DENSE, LEXICAL)
def test_both_hold_every_key_once_best_first(dense: list[tuple[int, float]], lexical: list[tuple[int, float]]) -> None:
    for fused in (
        fuse_ranks(dense, lexical),
        fuse_evidence([dense], lexical, query_mass=30, full_length=60),
    ):
        assert sorted(f.key for f in fused) == sorted({k for k, _ in dense} | {k for k, _ in lexical})
        assert all(a.score > b.score or (a.score == b.score and a.key < b.key) for a, b in pairwise(fused))


@given(DENSE)
def test_one_list_alone_keeps_its_order(dense: list[tuple[int, float]]) -> None:
    for fused in (fuse_ranks(dense, []), fuse_evidence([dense], [], query_mass=0, full_length=60)):
        score = dict(dense)
        order = [score[f.key] for f in fused]
        assert all(a >= b - 1e-6 for a, b in pairwise(order))


@given(LEXICAL, st.floats(0.1, 100))
def test_lexical_alone_keeps_its_order_below_the_mass(lexical: list[tuple[int, float]], factor: float) -> None:
    mass = sum(score for _, score in lexical) * max(1.0, factor)
    fused = fuse_evidence([], lexical, query_mass=mass, full_length=60)
    assert [f.score for f in fused] == pytest.approx([score / mass for _, score in lexical])


@given(DENSE, st.floats(0.01, 10), st.floats(-1, 1))
def test_the_scale_of_an_embedder_does_not_matter(dense: list[tuple[int, float]], scale: float, shift: float) -> None:
    stretched = [(key, scale * score + shift) for key, score in dense]
    spread = max((s for _, s in dense), default=0) - min((s for _, s in dense), default=0)
    if spread * scale < 1e-4 or spread < 1e-4:
        return
    assert standardise([stretched]) == pytest.approx(standardise([dense]), abs=1e-4)


def test_a_lexical_list_that_covers_little_does_not_outvote_the_dense_one() -> None:
    """A Chinese question over English passages: BM25 found only the year."""
    dense = [(key, 0.9 - 0.01 * key) for key in range(10)]
    lexical = [(9, 1.1), (8, 1.0), (7, 0.9)]
    assert fuse_ranks(dense, lexical)[0].key != 0, "the reason why ranks do not suffice"
    assert fuse_evidence([dense], lexical, query_mass=40, full_length=60)[0].key == 0


def test_a_lexical_list_that_covers_the_question_leads() -> None:
    dense = [(key, 0.9 - 0.001 * key) for key in range(10)]
    lexical = [(5, 36.0), (8, 3.0)]
    assert fuse_evidence([dense], lexical, query_mass=40, full_length=60)[0].key == 5


def test_a_cut_list_leaves_the_rest_at_its_last_score() -> None:
    dense = [(1, 0.9), (2, 0.8)]
    lexical = [(2, 20.0), (3, 10.0)]
    cut = {f.key: f.score for f in fuse_evidence([dense], lexical, query_mass=40, full_length=2)}
    whole = {f.key: f.score for f in fuse_evidence([dense], lexical, query_mass=40, full_length=60)}
    assert cut[1] == pytest.approx(whole[1] + 10 / 40)
    assert cut[2] == pytest.approx(whole[2])


def test_weights_are_heard() -> None:
    dense, lexical = [(1, 0.9), (2, 0.8)], [(2, 30.0), (1, 1.0)]
    first = {
        w: fuse_evidence([dense], lexical, query_mass=40, full_length=60, dense_weight=w)[0].key for w in (0.0, 100.0)
    }
    assert first == {0.0: 2, 100.0: 1}


def test_shares() -> None:
    assert lexical_shares([(1, 5.0), (2, 20.0)], 10) == {1: 0.5, 2: 1.0}
    assert lexical_shares([(1, 5.0)], 0) == {1: 0.0}


def test_each_language_counts_from_its_own_mean() -> None:
    """A Chinese question: every Chinese passage lies closer to it than the English one that answers it."""
    chinese = [(key, 0.86 - 0.002 * key) for key in range(10)]
    english = [(20, 0.80), *((20 + key, 0.75 - 0.002 * key) for key in range(1, 10))]
    apart = fuse_evidence([chinese, english], [], query_mass=40, full_length=60)
    together = fuse_evidence([chinese + english], [], query_mass=40, full_length=60)
    assert apart[0].key == 20
    assert together[10].key == 20


def test_one_passage_alone_in_its_language_is_neither_lost_nor_favoured() -> None:
    chinese = [(key, 0.86 - 0.002 * key) for key in range(10)]
    for alone, expected in ((0.90, True), (0.75, False)):
        fused = fuse_evidence([chinese, [(20, alone)]], [], query_mass=40, full_length=60)
        assert (fused[0].key == 20) is expected


def test_shortlist_shows_every_language() -> None:
    fused = [Fused(key, 1 - key / 100) for key in range(40)]
    languages = {key: "zh" if key < 30 else "en" for key in range(40)}
    picked = [f.key for f in shortlist(fused, languages, 10)]
    assert picked == [*range(10), *range(30, 35)]
    assert [f.key for f in shortlist(fused, {}, 10)] == list(range(10))


def test_z_scores_by_group() -> None:
    assert z_scores(np.array([1.0, 2.0, 3.0])) == pytest.approx([-1.2247, 0, 1.2247], abs=1e-4)
    assert z_scores(np.array([]), []).tolist() == []
    assert z_scores(np.array([0.5, 0.5])).tolist() == [0, 0]
    grouped = z_scores(np.array([10.0] * 50 + [12.0] + [0.0] * 50), ["a"] * 51 + ["b"] * 50)
    assert int(np.argmax(grouped)) == 50
    assert abs(grouped[0] - grouped[-1]) < 1


def test_stray_languages_count_with_the_largest() -> None:
    counts = {"zh": 900, "en": 80, "ja": 3, "und": 17}
    assert language_groups(counts) == {"zh": "zh", "en": "en", "ja": "zh", "und": "zh"}
    assert language_groups({"zh": 29, "en": 1}) == {"zh": "zh", "en": "en"}, "one English page among thirty is real"
    assert language_groups({"und": 5}) == {"und": "und"}
    assert language_groups({}) == {}
