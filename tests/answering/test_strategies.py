"""Questions to checked answers: with a scripted model for each turn of events, and with the real 0.5B."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lunheng import KnowledgeBase, Settings
from lunheng.answering.cached_llm import CachedLLM
from lunheng.errors import ModelUnavailableError
from lunheng.models.embedders.onnx import OnnxEmbedder
from lunheng.testing.fakes import FakeLLM
from lunheng.testing.real_models import small_llm
from lunheng.types import Completion, DraftRejected, Message

ROOT = Path(__file__).resolve().parents[2]
HANDBOOK = ROOT / "examples" / "handbook"


@pytest.fixture
def ask(tmp_path: Path, embedder: OnnxEmbedder) -> Iterator[object]:
    """Opens a knowledge base over two handbook files with a given model."""
    opened: list[KnowledgeBase] = []

    def make(llm: object) -> KnowledgeBase:
        kb = KnowledgeBase.open(tmp_path / "kb", Settings(), embedder=embedder, llm=llm)  # type: ignore[arg-type]
        kb.add([HANDBOOK / "on-call-and-incidents.docx", HANDBOOK / "员工手册.pdf"])
        opened.append(kb)
        return kb

    yield make
    for kb in opened:
        kb.close()


QUESTION = "What is the weekly on-call allowance of a primary engineer?"


def test_a_right_answer_is_cited_and_supported(ask) -> None:  # type: ignore[no-untyped-def]
    answer = ask(FakeLLM(["A primary engineer receives CNY 1,350 a week [1]."])).ask(QUESTION)
    assert answer.answered and answer.verdict == "supported" and "[1]" in answer.text
    assert any("1,350" in answer.citations[0].quote or "allowance" in c.quote for c in answer.citations)
    assert {"translate", "generate", "verify"} & {s.name for s in answer.trace.stages} >= {"generate", "verify"}
    prompt = next(s for s in answer.trace.stages if s.name == "generate").given["prompt"]
    assert "1,350" in prompt[1]["content"], "an answer can be replayed from its trace"


def test_a_wrong_number_is_not_let_through(ask) -> None:  # type: ignore[no-untyped-def]
    answer = ask(FakeLLM(["A primary engineer receives CNY 9,999 a week [1]."])).ask(QUESTION)
    assert not answer.answered and answer.verdict == "unsupported"
    assert "CNY 9,999 a week" not in answer.text and "9,999" in answer.text, "it says what failed"


def test_what_fails_the_check_is_written_again_from_one_source(ask) -> None:  # type: ignore[no-untyped-def]
    llm = FakeLLM(["A primary engineer receives CNY 9,999 a week.", "A primary engineer receives CNY 1,350 a week."])
    events = list(ask(llm).ask_stream(QUESTION))
    rejected = [e for e in events if isinstance(e, DraftRejected)]
    assert len(rejected) == 1 and "9,999" in rejected[0].reasons[0]
    answer = events[-1].answer
    assert answer.answered and answer.verdict == "supported" and "1,350" in answer.text and "9,999" not in answer.text
    first, second = (call[1].content for call in llm.calls[-2:])
    assert first.count("\n[") > 1 and second.count("\n[") == 1, "the second prompt shows one source"


def test_a_draft_that_fails_as_often_as_allowed_is_refused(ask) -> None:  # type: ignore[no-untyped-def]
    llm = FakeLLM([f"A primary engineer receives CNY {n} a week." for n in ("9,999", "9,998", "9,997", "9,996")])
    kb = ask(llm)
    answer = kb.ask(QUESTION)
    assert not answer.answered
    written = [s for s in answer.trace.stages if s.name == "generate"]
    assert len(written) == kb.settings.answering.attempts


def test_only_the_sentences_that_hold_are_kept(ask) -> None:  # type: ignore[no-untyped-def]
    reply = "A primary engineer receives CNY 1,350 a week [1]. The allowance doubles on 29 February 2027 [1]."
    answer = ask(FakeLLM([reply])).ask(QUESTION)
    assert answer.answered and answer.verdict == "partly"
    assert "1,350" in answer.text and "2027" not in answer.text and "left out" in answer.text


def test_a_refusal_is_an_answer_that_says_so(ask) -> None:  # type: ignore[no-untyped-def]
    answer = ask(FakeLLM(["The sources do not say."])).ask(QUESTION)
    assert not answer.answered and QUESTION in answer.text and answer.citations, "the closest passages are shown"


def test_a_failing_model_is_told_and_the_sources_are_quoted(ask) -> None:  # type: ignore[no-untyped-def]
    answer = ask(FakeLLM([ModelUnavailableError("the server is away")])).ask(QUESTION)
    assert answer.extractive and "1,350" in answer.text
    assert any("the server is away" in w for w in answer.trace.warnings)


def test_the_same_question_asks_the_model_once(ask) -> None:  # type: ignore[no-untyped-def]
    llm = FakeLLM(["A primary engineer receives CNY 1,350 a week [1]."])
    kb = ask(llm)
    first = kb.ask(QUESTION)
    calls = len(llm.calls)
    assert kb.ask(QUESTION).text == first.text and len(llm.calls) == calls
    kb.remove(str(HANDBOOK / "员工手册.pdf"))
    kb.ask(QUESTION)
    assert len(llm.calls) > calls, "what may quote a removed document is forgotten"


def test_a_question_in_one_language_is_searched_in_the_other(ask) -> None:  # type: ignore[no-untyped-def]
    def reply(messages: list[Message]) -> str:
        if "Translate" in messages[0].content:
            return "What is the weekly on-call allowance of an incident commander?"
        return "事故指挥官每周 1,900 元[1]。"

    answer = ask(FakeLLM([reply])).ask("事故指挥官每周的值班补贴是多少？")  # type: ignore[list-item]
    assert answer.language == "zh" and answer.answered and answer.citations[0].document.endswith(".docx")
    translated = [s for s in answer.trace.stages if s.name == "translate"]
    assert translated and translated[0].result["translations"]


def test_advanced_searches_other_wordings_too(ask) -> None:  # type: ignore[no-untyped-def]
    def reply(messages: list[Message]) -> str:
        if "different ways" in messages[0].content:
            return "1. How much does the main engineer on duty get per week?\n2. Weekly pay for on-call\n"
        if "翻译" in messages[0].content:
            return "主值班工程师每周的值班补贴是多少？"
        return "A primary engineer receives CNY 1,350 a week [1]."

    answer = ask(FakeLLM([reply])).ask(QUESTION, strategy="advanced")  # type: ignore[list-item]
    rewrite = next(s for s in answer.trace.stages if s.name == "rewrite")
    assert rewrite.result["wordings"] == [
        "How much does the main engineer on duty get per week?",
        "Weekly pay for on-call",
    ]
    assert answer.verdict == "supported"
    text = ask(FakeLLM([reply])).document(answer.citations[0].document_id).text  # type: ignore[list-item]
    assert all(text[c.start : c.end] == c.quote for c in answer.citations)


def test_follow_ups_are_condensed(ask) -> None:  # type: ignore[no-untyped-def]
    kb = ask(FakeLLM(["What is the allowance of a secondary engineer?"]))
    history = [Message("user", QUESTION), Message("assistant", "CNY 1,350 [1].")]
    assert kb.condense([], "And of a secondary one?") == "And of a secondary one?"
    assert kb.condense(history, "And of a secondary one?") == "What is the allowance of a secondary engineer?"


@pytest.mark.parametrize(
    ("rewritten", "kept"),
    [
        ("A child ticket costs $1.50.", False),
        ("What does a child ticket for the Lisbon tram cost?", False),
        ("How much does a child ticket for the ferry cost?", True),
    ],
)
def test_a_follow_up_that_answers_itself_is_not_asked(ask, rewritten: str, kept: bool) -> None:  # type: ignore[no-untyped-def]
    history = [Message("user", "How much is a ticket for the ferry?"), Message("assistant", "6.20 EUR [1].")]
    question = "And how much does a child ticket cost?"
    condensed = ask(FakeLLM([rewritten])).condense(history, question)
    assert condensed == (rewritten if kept else f"How much is a ticket for the ferry? {question}")


def test_a_stream_that_is_left_is_not_remembered() -> None:
    class Cache(dict[str, Completion]):
        def get(self, fingerprint: str, prompt_hash: str) -> Completion | None:  # type: ignore[override]
            return super().get(prompt_hash)

        def put(self, fingerprint: str, prompt_hash: str, completion: Completion) -> None:
            self[prompt_hash] = completion

    cache = Cache()
    llm = CachedLLM(FakeLLM(["one two three"]), cache)
    stream = llm.stream([Message("user", "x")])
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert not cache
    assert "".join(llm.stream([Message("user", "x")])) == "one two three" and len(cache) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "fact"),
    [
        ("陪产假有几天？", "20"),
        ("What is the weekly on-call allowance of a primary engineer?", "1,350"),
    ],
)
def test_the_real_small_model_answers_in_both_languages(ask, question: str, fact: str) -> None:  # type: ignore[no-untyped-def]
    kb = ask(small_llm())
    answer = kb.ask(question)
    assert answer.answered and fact in answer.text and answer.verdict in ("supported", "partly")
    for citation in answer.citations:
        assert kb.document(citation.document_id).text[citation.start : citation.end] == citation.quote
