"""Right numbers of the wrong thing: another plan's price, another office's hours, a network's name for its password."""

from __future__ import annotations

import pytest

from lunheng.answering.passages import SentenceReader
from lunheng.answering.verification import Checked, verify
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.retrieval.late_interaction import TokenCodec
from lunheng.types import Chunk, Hit, Metadata, Source

PLANS = "| 方案 | 月费 | 存储 |\n| --- | --- | --- |\n| 雏鸟 | 99 元 | 200 GB |\n| 头雁 | 5,600 元 | 40 TB |"
OFFICES = (
    "| site | opens on workdays | visitor Wi-Fi |\n| --- | --- | --- |\n"
    "| Singapore office | 08:30–20:00 | starling-guest-sg |\n| Chengdu office | 09:00–19:00 | starling-guest-cd |"
)
OFFICE_HOURS = "新加坡办公室工作日 08:30 至 20:00 开门。成都办公室工作日 09:00 至 19:00 开门。"
ADD_ONS = "架构评审：每次 6,800 元，头雁方案每年免费 2 次。数据迁移：200 TB 以内免费。"


def check(
    embedder: OnnxEmbedder,
    question: str,
    answer: str,
    text: str,
    kind: str = "text",
    translation: str = "",
    file: str = "a.md",
    document: str = "",
) -> Checked:
    """The check of ``answer`` against one source, as the writer asks for it; ``document``: what else its file holds."""
    chunk = Chunk("c", text, 0, len(text), Metadata(file, "md", "d", 0), kind=kind)
    wordings = [w for w in (question, translation) if w]
    reader = SentenceReader(embedder, wordings, TokenCodec.for_embedder(embedder), lambda _: f"{document}\n{text}")
    source = Source(1, Hit(chunk, 1.0, "rerank"), 0, len(text), text, (text,))
    return verify(answer, [source], question, reader, [chunk], "zh" if question[0] >= "一" else "en")


@pytest.mark.parametrize(
    ("question", "right", "wrong", "text", "kind"),
    [
        ("头雁方案每月多少钱？", "头雁方案每月 5,600 元[1]。", "头雁方案每月 99 元[1]。", PLANS, "table"),
        (
            "新加坡办公室工作日几点开门？",
            "新加坡办公室工作日 08:30 开门[1]。",
            "东京办公室工作日 08:30 开门[1]。",
            OFFICE_HOURS,
            "text",
        ),
    ],
)
def test_a_value_of_another_case_is_refused(
    question: str, right: str, wrong: str, text: str, kind: str, embedder: OnnxEmbedder
) -> None:
    assert check(embedder, question, right, text, kind).verdict == "supported"
    assert check(embedder, question, wrong, text, kind).verdict == "unsupported"


def test_a_name_that_the_documents_never_mention(embedder: OnnxEmbedder) -> None:
    checked = check(embedder, "东京办公室几点开门？", "东京办公室 08:30 开门[1]。", OFFICE_HOURS)
    assert checked.verdict == "unsupported"
    assert "东京" in checked.checks[0].reasons[0] and "source" not in checked.checks[0].reasons[0], "in Chinese"


def test_a_property_that_the_source_does_not_speak_of(embedder: OnnxEmbedder) -> None:
    answer = "The password of the visitor Wi-Fi in the Singapore office is starling-guest-sg [1]."
    question = "What is the password of the visitor Wi-Fi in the Singapore office?"
    checked = check(embedder, question, answer, OFFICES, "table")
    assert checked.verdict == "unsupported" and "password" in checked.checks[0].reasons[0]


EXPENSES = "费用发生后 45 天内在“米仓”系统提交。3,000 元以下由直属主管审批。"
HOTELS = "住宿费每晚：一线城市 680 元，其他城市 460 元。"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (
            "Under the 2026 policy, within how many days must an expense be submitted?",
            "Under the 2026 policy, an expense must be submitted within 45 days [1].",
        ),
        ("按 2026 年的制度，费用要在多少天内提交？", "费用发生后 45 天内提交[1]。"),
    ],
)
def test_a_document_of_another_year(question: str, answer: str, embedder: OnnxEmbedder) -> None:
    replaced = "本制度已由 2026 版取代。"
    asked = {"translation": "2026年政策下，费用必须在多少天内提交？"} if question.isascii() else {}
    other = check(embedder, question, answer, EXPENSES, file="报销制度-2025.txt", document=replaced, **asked)
    assert other.verdict == "unsupported" and "2026" in other.checks[0].reasons[0]
    assert check(embedder, question, answer, EXPENSES, file="报销制度-2026.txt", **asked).verdict == "supported"


def test_a_name_that_another_part_of_the_document_explains(embedder: OnnxEmbedder) -> None:
    question, answer = "去上海出差，住宿费每晚最多报销多少元？", "去上海出差，住宿费每晚最多报销 680 元[1]。"
    cities = "一线城市是指北京、上海、广州、深圳和杭州。"
    assert check(embedder, question, answer, HOTELS, document=cities).verdict == "supported"
    assert check(embedder, question, answer, HOTELS).verdict == "unsupported", "the document never says 上海"


def test_a_limit_needs_no_word_for_it(embedder: OnnxEmbedder) -> None:
    source = "客户招待人均不超过 200 元，可以事后补办申请。"
    checked = check(embedder, "客户招待的人均上限是多少？", "客户招待的人均上限是 200 元[1]。", source)
    assert checked.verdict == "supported", checked.checks


@pytest.mark.parametrize(
    ("question", "answer", "source"),
    [
        (
            "Who may order a legal hold, and after how many months is it reviewed?",
            "Anyone may order a legal hold, and it is reviewed after 6 months [1].",
            "Legal hold. The General Counsel may suspend erasure in writing. Every hold is reviewed after 6 months.",
        ),
        (
            "谁可以启用紧急账号，多久审查一次？",
            "任何人都可以启用紧急账号，每 6 个月审查一次[1]。",
            "紧急账号由两名副总监以上的管理者授权启用，每 6 个月审查一次。",
        ),
    ],
)
def test_what_holds_for_some_is_not_said_of_everybody(
    question: str, answer: str, source: str, embedder: OnnxEmbedder
) -> None:
    assert check(embedder, question, answer, source).verdict == "unsupported"


def test_across_languages_the_translated_question_is_compared(embedder: OnnxEmbedder) -> None:
    question, translation = (
        "How much does the company pay for pet insurance each year?",
        "公司每年为宠物保险支付多少钱？",
    )
    answer = "The company pays 6,800 yuan for pet insurance each year [1]."
    assert check(embedder, question, answer, ADD_ONS, translation=translation).verdict == "unsupported"
    asked, translated = "How much does an architecture review cost?", "架构评审多少钱一次？"
    good = check(embedder, asked, "An architecture review costs 6,800 yuan each time [1].", ADD_ONS, "text", translated)
    assert good.verdict == "supported", good.checks


FINES = "第七条 使用超过年限单车的，每辆处二百元罚款。"


@pytest.mark.parametrize(
    ("answer", "text", "verdict"),
    [
        ("使用超过年限的单车，每辆罚二百元[1]。", FINES, "supported"),
        ("违反押金规定的企业会被罚二百元，使用超过年限的单车会被罚二百元[1]。", FINES, "unsupported"),
        (
            "Lost badges cost 30 euros, and late returns of books cost 30 euros [1].",
            "A lost badge is replaced for 30 euros.",
            "unsupported",
        ),
        (
            "A lost badge costs 30 euros, and a lost key costs 90 euros [1].",
            "A lost badge is replaced for 30 euros. A lost key is replaced for 90 euros.",
            "supported",
        ),
        (
            "陪产假 20 天，自子女出生之日起 6 个月内休完[1]。",
            "陪产假：20 天，自子女出生之日起 6 个月内休完。",
            "supported",
        ),
    ],
)
def test_what_is_true_of_one_part_does_not_vouch_for_the_other(
    answer: str, text: str, verdict: str, embedder: OnnxEmbedder
) -> None:
    asked = {"陪产假": "陪产假有几天？", "头雁": "头雁方案每月多少钱？包含多少存储空间？"}
    question = "What does it cost?" if answer.isascii() else "罚款是多少？"
    question = next((q for word, q in asked.items() if word in answer), question)
    kind = "table" if text.startswith("|") else "text"
    assert check(embedder, question, answer, text, kind).verdict == verdict


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        (
            "An unlisted discount needs the approval of Wen Kolbe [1].",
            "Any discount that is not on this slide needs the approval of Wen Kolbe.",
        ),
        ("没有被录用的应聘者的简历保存 8 个月[1]。", "未被录用的应聘者的简历保存 8 个月。"),
    ],
)
def test_a_clause_that_says_which_one_denies_nothing(answer: str, source: str, embedder: OnnxEmbedder) -> None:
    assert check(embedder, "?", answer, source).verdict != "unsupported"
