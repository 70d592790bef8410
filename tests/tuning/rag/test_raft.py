"""RAFT rows over the example handbook: the prompt and citations of ask, honest refusals, distractors that do not answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lunheng import KnowledgeBase
from lunheng.answering.prompts import is_refusal, phrases
from lunheng.tuning.data.loading import DataSource, load
from lunheng.tuning.rag.answers import holds_answer
from lunheng.tuning.rag.asked import read_questions
from lunheng.tuning.rag.raft import Question, RaftSettings, make_raft
from lunheng.types import Chunk


def chunk_with(kb: KnowledgeBase, mark: str) -> Chunk:
    return next(c for c in kb.chunks() if mark in c.text)


def asked(kb: KnowledgeBase) -> list[Question]:
    return [
        Question("zh", "婚假有多少天？", "婚假为 15 天。须一次休完。", chunk_with(kb, "婚假：15 天")),
        Question("en", "How long are network access logs kept?", "They are kept for 95 days.", chunk_with(kb, "| Network access logs | 95 days")),
        Question("mixed", "Roost 客户数据库的备份保留几天？", "备份保留 35 天。", chunk_with(kb, "Roost customer databases 客户数据库")),
        Question("wrong", "丧假有几天？", "丧假为 99 天。", chunk_with(kb, "婚假：15 天")),
    ]  # fmt: skip


def rows_of(kb: KnowledgeBase, output: Path, settings: RaftSettings) -> tuple[object, list[dict[str, object]]]:
    written = make_raft(asked(kb), kb.search, kb.embedder.tokenizer.count, output, settings)
    return written, [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def test_the_answer_cites_the_gold_source(handbook: KnowledgeBase, tmp_path: Path) -> None:
    written, rows = rows_of(handbook, tmp_path / "r.jsonl", RaftSettings(distractors=3, without_gold=0.0))
    assert written.rejected == {"the passage does not hold the answer": 1}  # type: ignore[attr-defined]
    answers = {q.gold.id + q.question: q for q in asked(handbook)}
    for row in rows:
        system, user, assistant = row["messages"]  # type: ignore[misc]
        n = row["gold"]
        question = next(q for q in answers.values() if q.question in user["content"])
        words = phrases("en" if question.id == "en" else "zh")
        assert system["content"] == words.system and user["content"].startswith(f"{words.sources}:\n[")
        assert user["content"].endswith(f"{words.question}: {question.question}")
        assert len(row["source_ids"]) == 4 and row["source_ids"][n - 1] == question.gold.id  # type: ignore[arg-type, index, operator]
        block = user["content"].split(f"[{n}] ")[1].split("\n\n[")[0]
        assert holds_answer(block, question.answer, question.question, 0.6)
        chunks = {c.id: c for c in handbook.chunks()}
        others = [chunks[i] for i in row["source_ids"] if i != question.gold.id]  # type: ignore[attr-defined]
        assert not any(holds_answer(c.full_text, question.answer, question.question) for c in others)
        assert assistant["content"].count(f"[{n}]") == (2 if question.id == "zh" else 1)
    by_question = {row["messages"][1]["content"].rsplit(": ", 1)[1]: row for row in rows}  # type: ignore[index]
    zh, en = by_question["婚假有多少天？"], by_question["How long are network access logs kept?"]
    assert zh["messages"][2]["content"] == f"婚假为 15 天[{zh['gold']}]。须一次休完[{zh['gold']}]。"  # type: ignore[index]
    assert en["messages"][2]["content"] == f"They are kept for 95 days [{en['gold']}]."  # type: ignore[index]
    assert {type(e).__name__ for e in load([DataSource(tmp_path / "r.jsonl")]).examples} == {"Conversation"}


def test_without_the_gold_passage_the_answer_says_so(handbook: KnowledgeBase, tmp_path: Path) -> None:
    written, rows = rows_of(handbook, tmp_path / "r.jsonl", RaftSettings(distractors=2, without_gold=1.0))
    assert written.counts["without the gold passage"] == len(rows) == 3  # type: ignore[attr-defined]
    for row in rows:
        answer = row["messages"][2]["content"]  # type: ignore[index]
        assert row["gold"] is None and row["chunk_id"] not in row["source_ids"] and len(row["source_ids"]) == 3  # type: ignore[operator, arg-type]
        assert is_refusal(answer) and ("No answer" in answer) == ("network" in answer)


def test_the_share_is_kept_and_positions_vary(handbook: KnowledgeBase, tmp_path: Path) -> None:
    leave, log = chunk_with(handbook, "婚假：15 天"), chunk_with(handbook, "| Network access logs | 95 days")
    many = [Question(str(i), "婚假有多少天？", "婚假为 15 天。", leave) for i in range(100)]
    many += [Question(f"e{i}", "How long are network access logs kept?", "For 95 days.", log) for i in range(100)]
    hits = {q: handbook.search(q, 10) for q in {m.question for m in many}}
    written = make_raft(
        many, lambda q, k: hits[q], len, tmp_path / "r.jsonl", RaftSettings(3, 0.3, context_tokens=4000)
    )
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()]
    assert 40 <= written.counts["without the gold passage"] <= 80
    places = [row["gold"] for row in rows if row["gold"]]
    assert all(places.count(n) >= len(places) / 8 for n in (1, 2, 3, 4))


def test_an_answer_that_does_not_fit_is_refused(handbook: KnowledgeBase, tmp_path: Path) -> None:
    settings = RaftSettings(distractors=3, without_gold=0.0, context_tokens=140)
    written, _ = rows_of(handbook, tmp_path / "r.jsonl", settings)
    assert written.rejected.get("the answer does not fit into the context", 0) >= 1  # type: ignore[attr-defined]


def test_questions_are_read_with_their_chunks(handbook: KnowledgeBase, tmp_path: Path) -> None:
    leave = chunk_with(handbook, "婚假：15 天")
    rows = [
        {"question": "婚假有多少天？", "answer": "15 天。", "chunk_id": leave.id, "positive": "x"},
        {"query": "婚假几天？", "answer": "15 天。", "positive": leave.full_text},
        {"question": "?", "answer": "!", "chunk_id": "gone"},
        {"question": "no answer"},
    ]
    file = tmp_path / "qa.jsonl"
    file.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows) + "{broken\n", encoding="utf-8")
    found, rejected = read_questions(file, handbook.chunks())
    assert [q.gold.id for q in found] == [leave.id, leave.id]
    assert [r.reason for r in rejected] == [
        "its passage is not in the knowledge base", "a row without a question and an answer", "a line that does not parse"
    ]  # fmt: skip


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_refusal_is_known_as_one_when_a_model_says_it(language: str) -> None:
    assert is_refusal(phrases(language).missing.format(question="谁 owns Roost?"))
    assert not is_refusal("The answer to this was found: 12 days [1].")
