"""The command line on the example handbook: what it prints, its JSON shapes, its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lunheng.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
HANDBOOK = ROOT / "examples" / "handbook"
SHARED_DATA = ROOT.parent / "shared" / "data"
CITATION = {"n", "document", "document_id", "chunk_id", "page", "heading_path", "quote", "start", "end", "supported"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cli")
    os.environ["LUNHENG_MODELS__LLM"] = "none"
    yield folder / "kb"
    del os.environ["LUNHENG_MODELS__LLM"]


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout


def as_json(*arguments: str, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code))


def test_sync_reports_what_became_of_each_file(home: Path) -> None:
    first = as_json("sync", str(HANDBOOK), "--kb", str(home))
    assert first["counts"] == {"added": 11}
    assert {"source", "status", "reason", "chunks", "warnings"} == set(first["items"][0])
    assert as_json("add", str(HANDBOOK), "--kb", str(home))["counts"] == {"unchanged": 11}


def test_list_and_status(home: Path) -> None:
    listed = as_json("list", "--kb", str(home))
    assert len(listed) == 11
    assert {"id", "source", "title", "source_type", "language", "chunks", "version", "acl"} <= set(listed[0])
    assert len(as_json("list", "--kb", str(home), "--filter", 'source_type == "docx"')) == 2
    status = as_json("status", "--kb", str(home))
    assert status["documents"] == 11 and status["chunks"] > 50 and status["embedder"] == "multilingual-e5-small"


def test_search(home: Path) -> None:
    found = as_json("search", "陪产假", "-k", "3", "--kb", str(home))
    assert set(found) == {"query", "confidence", "hits"} and len(found["hits"]) == 3
    assert {"chunk", "score", "kind", "scores", "ranks"} == set(found["hits"][0])
    assert "20 天" in "".join(h["chunk"]["text"] for h in found["hits"])
    assert "员工手册.pdf" in run("search", "陪产假", "-k", "3", "--kb", str(home))


def test_ask_has_the_documented_shape(home: Path) -> None:
    answer = as_json("ask", "陪产假有几天？", "--kb", str(home))
    assert {"answer", "citations", "verdict", "confidence", "trace"} <= set(answer)
    assert answer["citations"] and set(answer["citations"][0]) == CITATION
    assert answer["verdict"] in ("supported", "partly", "unsupported") and 0 <= answer["confidence"] <= 1
    assert {"name", "seconds", "given", "result", "warnings"} == set(answer["trace"]["stages"][0])
    shown = run("ask", "陪产假有几天？", "--kb", str(home), "--times")
    assert "Verdict" in shown and "Sources" in shown and "20 天" in shown and "Time" in shown


def test_parse_and_chunk() -> None:
    file = str(HANDBOOK / "安全密钥轮换.md")
    document = as_json("parse", file)
    assert document["source_type"] == "md" and document["language"] == "zh"
    for element in document["elements"]:
        assert document["text"][element["start"] : element["end"]] == element["text"]
    chunks = as_json("chunk", file, "--size", "100")
    assert all(document["text"][c["start"] : c["end"]] == c["text"] for c in chunks)
    assert max(c["metadata"]["token_count"] for c in chunks) <= 100


def test_check_backup_restore_rebuild(home: Path, tmp_path: Path) -> None:
    assert as_json("check", "--kb", str(home))["sound"]
    saved = tmp_path / "kb.zip"
    as_json("backup", str(saved), "--kb", str(home))
    copy = tmp_path / "copy"
    as_json("restore", str(saved), "--kb", str(copy))
    assert as_json("check", "--kb", str(copy))["sound"]
    one, two = (as_json("search", "年假", "-k", "5", "--kb", str(k))["hits"] for k in (home, copy))
    assert [h["chunk"]["id"] for h in one] == [h["chunk"]["id"] for h in two]
    note = tmp_path / "later.md"
    note.write_text("# Later\n\nThis is not in the backup.", encoding="utf-8")
    as_json("add", str(note), "--kb", str(copy))
    as_json("restore", str(saved), "--kb", str(copy), "--force")
    assert as_json("check", "--kb", str(copy))["documents"] == 11
    as_json("rebuild", "--kb", str(copy))
    assert as_json("check", "--kb", str(copy), "--repair")["sound"]


def test_remove(home: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.md"
    note.write_text("# Note\n\nThe ferry leaves at 07:45.", encoding="utf-8")
    as_json("add", str(note), "--kb", str(home), "--meta", "room=4", "--acl", "group:crew")
    hidden = as_json("search", "ferry", "--kb", str(home), "--as", "bob")["hits"]
    shown = as_json("search", "ferry", "--kb", str(home), "--as", "bob", "--group", "crew")["hits"]
    assert all("ferry" not in h["chunk"]["text"] for h in hidden)
    assert any("ferry" in h["chunk"]["text"] for h in shown)
    assert as_json("remove", str(note), "--kb", str(home))["counts"] == {"removed": 1}
    assert all("ferry" not in h["chunk"]["text"] for h in as_json("search", "ferry", "--kb", str(home))["hits"])


def test_a_bad_file_makes_the_exit_code_one(tmp_path: Path) -> None:
    (tmp_path / "empty.md").touch()
    (tmp_path / "good.md").write_text("# Good\n\ntext", encoding="utf-8")
    report = as_json("add", str(tmp_path), "--kb", str(tmp_path / "kb"), code=1)
    assert report["counts"] == {"added": 1, "failed": 1}


def test_a_group_without_a_user_is_refused(home: Path) -> None:
    assert CliRunner().invoke(app, ["search", "x", "--kb", str(home), "--group", "crew"]).exit_code == 2


def test_config_show() -> None:
    tomllib.loads(run("config", "show"))
    shown = as_json("config", "show")
    assert shown["retrieval"]["rrf_k"] == 60
    assert "[retrieval]" in run("config", "show")


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="needs the labelled sets in ../shared/data")
def test_eval_retrieval_prints_the_four_metrics() -> None:
    measured = as_json("eval", "retrieval", str(SHARED_DATA / "xquad_zh"), "--limit", "40")
    assert measured["queries"] == 40
    assert measured["ndcg@10"] > 0.9 and {"recall@10", "mrr@10", "hit@1"} <= set(measured)


def test_errors_are_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lunheng", "search", "x", "--kb", str(tmp_path / "none")], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "holds no knowledge base" in done.stderr and "Traceback" not in done.stderr


def test_import_is_light() -> None:
    code = "import sys, lunheng; print(len([m for m in sys.modules if m.split('.')[0] in ('numpy', 'sqlalchemy', 'torch')]))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "0"
