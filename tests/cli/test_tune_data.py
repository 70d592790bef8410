"""``lunheng tune data``: questions, negatives and RAFT rows of a small bilingual knowledge base, end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lunheng.cli.main import app
from lunheng.errors import ConfigError, DataError

FILES = {
    "plans.md": (
        "# 方案一览\n\n| 方案 | 月费 | 存储 |\n| --- | --- | --- |\n| 雏鸟 | 99 元 | 200 GB |\n| 候鸟 | 899 元 | 5 TB |\n\n"
        "## 折扣\n\n- 年付：八八折，每年复核一次。\n- 初创企业：前 12 个月七折。\n"
    ),
    "logs.md": (
        "# Retention of logs\n\n| Data | Kept for |\n| --- | --- |\n| Audit logs | 400 days |\n| Network access logs | 95 days |\n\n"
        "## Certificates\n\nA certificate of erasure is a signed statement that nothing is left. It is issued within nine days.\n"
    ),
}


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tune-data")
    for name, text in FILES.items():
        (folder / "files").mkdir(exist_ok=True)
        (folder / "files" / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LUNHENG_MODELS__LLM", "none")
        run("sync", str(folder / "files"), "--kb", str(folder / "kb"))
        yield folder / "kb"


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


def as_json(*arguments: str) -> Any:
    return json.loads(run("tune", "data", *arguments, "--json"))


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def questions(kb: Path) -> Path:
    output = kb.parent / "qa.jsonl"
    made = as_json("qa", "--kb", str(kb), "-o", str(output), "--per-chunk", "4", "-k", "2")
    assert made["rows"] == len(rows(output)) >= 5 and 0 < made["survived"] <= 1
    return output


def test_questions_in_both_languages(questions: Path) -> None:
    asked = [row["question"] for row in rows(questions)]
    assert any("月费" in q for q in asked) and any("Audit logs" in q or "certificate" in q for q in asked)
    assert run("tune", "check", str(questions), "--json")


def test_negatives_of_the_questions(kb: Path, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mined = kb.parent / "triples.jsonl"
    own = ("--relative", "1", "--count", "2")
    made = as_json(
        "negatives", str(questions), "--kb", str(kb), "--search", "bm25,dense,hybrid", "-o", str(mined), *own
    )
    assert made["items"] == len(rows(questions)) == made["rows"] + sum(made["rejected"].values())
    assert made["counts"]["a labelled positive"] == made["items"] and made["unread"] == 0
    for row in rows(mined):
        assert 1 <= len(row["negatives"]) <= 2 and row["positive"] not in row["negatives"]
    monkeypatch.setenv("LUNHENG_MODELS__RERANKER", "late-interaction")
    plain = as_json("negatives", str(questions), "-o", str(kb.parent / "plain.jsonl"), "--scorer", "reranker", *own)
    assert plain["items"] == made["items"]
    run("tune", "check", str(mined), "--kind", "triple", "--json")


def test_raft_of_the_questions(kb: Path, questions: Path) -> None:
    output = kb.parent / "raft.jsonl"
    made = as_json("raft", "--kb", str(kb), "--from", str(questions), "-o", str(output), "--distractors", "1")
    assert made["rows"] == len(rows(output)) > 0
    straight = as_json("raft", "--kb", str(kb), "-o", str(kb.parent / "own.jsonl"), "--per-chunk", "1", "--limit", "3")
    assert straight["items"] <= 3 and (kb.parent / "own.qa.jsonl").is_file()
    run("tune", "check", str(output), "--kind", "conversation", "--json")


def test_what_does_not_go_is_said(kb: Path, questions: Path, tmp_path: Path) -> None:
    out = ("-o", str(tmp_path / "x.jsonl"))
    assert (
        CliRunner().invoke(app, ["tune", "data", "negatives", str(questions), *out, "--search", "hybrid"]).exit_code
        == 2
    )
    assert (
        CliRunner().invoke(app, ["tune", "data", "negatives", str(questions), *out, "--search", "web"]).exit_code == 2
    )
    refused = CliRunner().invoke(app, ["tune", "data", "negatives", str(questions), *out, "--scorer", "reranker"])
    assert refused.exit_code == 2 and "no reranker is configured" in refused.output
    with pytest.raises(ConfigError, match="needs a language model"):
        run("tune", "data", "negatives", str(questions), *out, "--generate", "2")
    with pytest.raises(DataError, match="k was 2 and is now 3"):
        run("tune", "data", "qa", "--kb", str(kb), "-o", str(questions), "--per-chunk", "4", "-k", "3")
