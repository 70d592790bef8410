"""Exact match, F1, ROUGE-L and BLEU against sums made by hand, in Chinese, English and both mixed."""

from __future__ import annotations

import math

import pytest

from lunheng.errors import MissingExtraError
from lunheng.evaluation.model import bleu as bleu_module
from lunheng.evaluation.model.overlap import exact_match, f1, units
from lunheng.text import words


def test_units_are_characters_of_chinese_and_words_of_all_else() -> None:
    assert units("使用 Python 3.11，很快！") == ["使", "用", "python", "3_11", "很", "快"]
    assert units("The  U.S. e-mail, isn't") == ["u", "s", "e", "mail", "isnt"]
    assert units("ＧＰＵ臺灣") == ["gpu", "台", "湾"]
    assert units("1,000") == ["1000"] and units("3.5") != units("35")


@pytest.mark.parametrize(
    ("answer", "reference", "exact", "shared"),
    [
        ("北京。", "北京", True, 1.0),
        ("首都是北京", "北京", False, 4 / 7),  # 2 shared of 5 and 2: 2*2/7
        ("the Eiffel Tower", "Eiffel tower!", True, 1.0),
        ("a big red dog", "the red dog", False, 4 / 5),  # big red dog, red dog
        ("用 Docker 部署", "使用Docker部署", False, 8 / 9),  # 4 of 4 and 5
        ("", "北京", False, 0.0),
        ("上海", "北京", False, 0.0),
        ("臺北", "台北", True, 1.0),
    ],
)
def test_exact_match_and_f1(answer: str, reference: str, exact: bool, shared: float) -> None:
    assert exact_match(answer, [reference]) is exact
    assert f1(answer, [reference]) == pytest.approx(shared)
    assert f1(answer, ["zzz", reference]) == pytest.approx(shared), "the nearest reference counts"


def test_words_for_rouge() -> None:
    assert words("我们用 PyTorch 训练模型") == ["我们", "用", "pytorch", "训练", "模型"]
    assert words("Ｔｈｅ cats RAN 3.5 km") == ["the", "cats", "ran", "3.5", "km"]
    assert words("，。 !") == []


def test_rouge_l() -> None:
    pytest.importorskip("rouge_score", reason="needs the extra 'eval'")
    from lunheng.evaluation.model.rouge import rouge_l

    # Lin's own example: police kill the gunman / police killed the gunman: 3 of 4 and 4.
    assert rouge_l("police kill the gunman", ["police killed the gunman"]) == pytest.approx(0.75)
    assert rouge_l("the gunman kill police", ["police killed the gunman"]) == pytest.approx(0.5)
    # 我们 用 pytorch 训练 模型 / 他们 用 pytorch 训练 大 模型: 4 of 5 and 6.
    assert rouge_l("我们用 PyTorch 训练模型", ["他们用PyTorch训练大模型"]) == pytest.approx(2 * 4 / 11)
    assert rouge_l("备份在夜间开始", ["备份在夜间开始。"]) == 1.0
    assert rouge_l("", ["备份"]) == 0.0
    assert rouge_l("x", ["y", "x z"]) == pytest.approx(2 / 3)


def test_bleu_by_hand_and_by_sacrebleu() -> None:
    sacrebleu = pytest.importorskip("sacrebleu", reason="needs the extra 'eval'")
    metric = bleu_module.bleu(["the cat sat on the mat"], [["the cat is on the mat"]])
    # 5 of 6 words, 3 of 5 pairs, 1 of 4 triples, 0 of 3 quadruples (smoothed to 1/2 of one): no brevity penalty.
    by_hand = 100 * math.exp((math.log(5 / 6) + math.log(3 / 5) + math.log(1 / 4) + math.log(0.5 / 3)) / 4)
    assert metric.interval.mean == pytest.approx(by_hand)
    answers = ["今天天气很好，适合出门散步。", "备份每天凌晨两点开始运行。"]
    wanted = ["今天天气不错，适合出去散步。", "备份于每天凌晨两点半开始。"]
    assert bleu_module.bleu(answers, [[w] for w in wanted]).interval.mean == pytest.approx(
        sacrebleu.corpus_bleu(answers, [wanted], tokenize="zh").score
    )
    assert bleu_module.bleu(["用 Docker 部署服务吧"], [["用 Docker 部署服务吧"]]).interval.mean == pytest.approx(100)
    assert bleu_module.bleu(["短"], [["一句长得多的参考译文"]]).interval.mean < 1, "brevity is punished"


def test_a_missing_extra_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    bleu_module._bleu.cache_clear()
    with pytest.raises(MissingExtraError, match="eval"):
        bleu_module.bleu(["a"], [["a"]])
    bleu_module._bleu.cache_clear()
