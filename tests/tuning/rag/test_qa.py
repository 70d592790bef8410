"""Questions of the example handbook: by templates and by a model, found again by search, going on after a stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lunheng import KnowledgeBase
from lunheng.errors import ModelError
from lunheng.testing.fakes import FakeLLM
from lunheng.tuning.data.loading import DataSource, load
from lunheng.tuning.rag.asking import wrong_with
from lunheng.tuning.rag.qa import ASKED_BEFORE, NOT_FOUND, QuestionSettings, make_questions
from lunheng.tuning.rag.templates import Draft
from lunheng.types import Chunk, Metadata


def test_templates_over_the_handbook(handbook: KnowledgeBase, tmp_path: Path) -> None:
    output = tmp_path / "qa.jsonl"
    settings = QuestionSettings(per_chunk=2, k=10)
    written = make_questions(handbook.chunks(), handbook.search, output, settings, limit=20)
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert written.items == 20 and written.rows == len(rows) >= 15
    chunks = {c.id: c for c in handbook.chunks()}
    for row in rows:
        assert row["positive"] == chunks[row["chunk_id"]].full_text
        assert row["chunk_id"] in [h.chunk.id for h in handbook.search(row["question"], 10)]
    triples = load([DataSource(output)]).examples
    dialogues = load([DataSource(output)], "conversation").examples
    assert {type(e).__name__ for e in triples} == {"Triple"} and {type(e).__name__ for e in dialogues} == {
        "Conversation"
    }
    assert all(e.group for e in triples)
    more = make_questions(handbook.chunks(), handbook.search, output, settings, limit=24)
    assert (more.resumed, more.items) == (20, 24)
    assert output.read_text(encoding="utf-8").splitlines()[: len(rows)] == [
        json.dumps(r, ensure_ascii=False) for r in rows
    ]
    questions = [json.loads(line)["question"] for line in output.read_text(encoding="utf-8").splitlines()]
    assert len(set(questions)) == len(questions)


def pairs(*given: tuple[str, str]) -> str:
    return json.dumps({"pairs": [{"question": q, "answer": a} for q, a in given]}, ensure_ascii=False)


def test_a_models_pairs_are_checked(handbook: KnowledgeBase, tmp_path: Path) -> None:
    leave = next(c for c in handbook.chunks() if "婚假：15 天" in c.text)
    log = next(c for c in handbook.chunks() if "Audit logs of the console" in c.text)
    replies = {
        leave.id: pairs(
            ("婚假有多少天？", "婚假为 15 天，自登记之日起一年内一次休完。"),
            ("婚假是多少天？", "婚假为 15 天。"),
            ("丧假有多少天？", "直系亲属 9 天。"),
            ("根据上文，搬家假怎么休？", "每两年 1 天。"),
            ("How long is the marriage leave?", "15 天"),
        ),
        log.id: pairs(("How long are network access logs kept?", "Network access logs are kept for 95 days.")),
    }
    llm = FakeLLM(
        [lambda m: next(r for i, r in replies.items() if {leave.id: leave, log.id: log}[i].text in m[1].content)]
    )
    written = make_questions([leave, log], handbook.search, tmp_path / "qa.jsonl", QuestionSettings(5, 5), llm)
    rows = [json.loads(line) for line in (tmp_path / "qa.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {r["question"] for r in rows} == {"婚假有多少天？", "How long are network access logs kept?"}
    assert written.rejected == {
        ASKED_BEFORE: 1,
        "the passage does not hold the answer": 1,
        "the question points at its passage": 1,
        "not in the passage's language": 1,
    }
    assert all(schema and schema["properties"]["pairs"]["maxItems"] == 5 for schema in llm.schemas)


def test_what_search_does_not_find_and_bad_json_are_counted(handbook: KnowledgeBase, tmp_path: Path) -> None:
    chunks = [c for c in handbook.chunks() if c.kind == "table"][:2]
    written = make_questions(chunks, lambda q, k: [], tmp_path / "a.jsonl", QuestionSettings(1))
    assert written.rows == 0 and written.rejected[NOT_FOUND] == written.counts["drafts checked"] > 0
    bad = make_questions(chunks, handbook.search, tmp_path / "b.jsonl", QuestionSettings(1), FakeLLM(["not JSON"]))
    assert bad.rejected == {"the model's reply is not the JSON asked for": 2}


def test_a_model_that_fails_loses_nothing(handbook: KnowledgeBase, tmp_path: Path) -> None:
    chunks = list(handbook.chunks())[:3]
    broken = FakeLLM([pairs(("", "")), ModelError("gone")])
    with pytest.raises(ModelError, match="gone"):
        make_questions(chunks, handbook.search, tmp_path / "a.jsonl", QuestionSettings(), broken)
    mended = make_questions(
        chunks, handbook.search, tmp_path / "a.jsonl", QuestionSettings(), FakeLLM([pairs(("", ""))])
    )
    assert (mended.resumed, mended.items) == (1, 3)


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("Who owns Roost 数据库?", "Wei Siyuan owns Roost.", None),
        ("What does the passage say of Roost?", "Wei Siyuan owns it.", "the question points at its passage"),
        ("Who owns the database Roost?", "The database Roost.", "the answer says nothing that the question does not"),
        ("Who owns Roost?", "Wei Siyuan owns it since 2019.", "the passage does not hold the answer"),
        ("Who " + "really " * 60 + "owns Roost?", "Wei Siyuan.", "a question too long"),
    ],
)
def test_wrong_with(question: str, answer: str, reason: str | None) -> None:
    text = "Roost is a database. Its owner is Wei Siyuan, who owns two more systems."
    assert (
        wrong_with(
            Draft(question, answer, "llm"), Chunk("c", text, 0, len(text), Metadata("a", "md", "d", 0, language="en"))
        )
        == reason
    )


@pytest.mark.slow
def test_a_real_model_writes_questions(handbook: KnowledgeBase, tmp_path: Path) -> None:
    from lunheng.testing.real_models import small_llm

    chunks = [
        next(c for c in handbook.chunks() if mark in c.text) for mark in ("婚假：15 天", "grace period of 12 days")
    ]
    written = make_questions(chunks, handbook.search, tmp_path / "qa.jsonl", QuestionSettings(2, 10), small_llm())
    assert written.items == 2 and written.rows + sum(written.rejected.values()) >= 2
